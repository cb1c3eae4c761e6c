public import Llama2Core
public import Llama2Grammar
internal import Llama2Model
internal import Synchronization

// What any thread may do at any time.
extension Scheduler {
    /// Returns its number. callback: on the thread that steps.
    public func submit(
        _ tokens: UnsafeBufferPointer<Int32>, _ box: SamplerBox, grammar: Grammar?, _ options: Request.Options,
        _ callback: @escaping Request.Callback
    ) throws(Llama2Error) -> UInt64 {
        try context.inference.checkProcess()
        let length = context.inference.configuration.contextLength, vocabulary = context.model.vocabularySize
        guard tokens.count > 0 else { throw Llama2Error(.invalidArgument, "a request without tokens") }
        guard tokens.count <= length else {
            throw Llama2Error(.contextFull, "a request of \(tokens.count) tokens; the context has \(length) positions")
        }
        let copy = try context.copied(tokens[...])
        defer { withExtendedLifetime(copy) {} }
        for (index, token) in copy.elements.enumerated() where token < 0 || Int(token) >= vocabulary {
            throw Llama2Error(.invalidToken, "token \(token) at index \(index) is not in the vocabulary of \(vocabulary)")
        }
        try context.inference.checkAdapters(options.adapters)
        guard active.add(1, ordering: .relaxed).newValue <= self.options.maxRequests else {
            active.subtract(1, ordering: .relaxed)
            throw Llama2Error(.busy, "\(self.options.maxRequests) requests wait or run already; there are no more at once")
        }
        do throws(Llama2Error) {
            if let grammar { try box.setGrammar(grammar) }
            let id = nextID.add(1, ordering: .relaxed).oldValue
            let request = try Request(
                id, context.model, contextLength: length, tokens: copy.elements, box, options, passes: passes, draft: drafter?.costs, callback
            ) {
                (sampler) throws(Llama2Error) in try context.checkGrammar(sampler)
            }
            try leave(.request(request))
            return id
        } catch {
            active.subtract(1, ordering: .relaxed)
            throw error
        }
    }

    /// Ends a request at the next step. One that has ended is no matter.
    public func cancel(_ id: UInt64) throws(Llama2Error) {
        guard id > 0, id < nextID.load(ordering: .relaxed) else { throw Llama2Error(.notFound, "there was no request \(id)") }
        try leave(.cancel(id))
    }

    private func leave(_ item: Inbox.Item) throws(Llama2Error) {
        let node = Inbox.Node(item)
        // what stays must not lie in the reserve: the next call may need it
        guard !MemoryReserve.wasUsed else { throw Llama2Error(.noMemory, "the system refused memory for a request") }
        inbox.put(node)
    }

    public var statistics: SchedulerStatistics {
        counters.read(active: active.load(ordering: .relaxed))
    }
}
