internal import Llama2Core
internal import Llama2Model

/// Who comes when.
///
/// The order is that of `live`: by priority, then by age. Every running request that has one token pending gets it evaluated in
/// every step. What is left of a step goes to those that have more pending (prompts, and what was computed before their sequence was
/// taken away), in equal shares among those of the same priority. A request is admitted when a sequence is free and there is room for
/// all that is pending; one of higher priority takes both from the least important. Who is taken from keeps its tokens and
/// comes back as the first of its priority that waits. The first of all is never taken from, so that something always comes to its end.
extension Scheduler {
    // MARK: Admission

    func admit() {
        for index in live.indices where live[index].sequence == nil {
            guard admit(live[index]) else { return }
        }
    }

    private func admit(_ request: Request) -> Bool {
        // 1. a sequence
        if freeSequences.count == 0 {
            guard let victim = leastImportant(below: request.priority) else { return false }
            giveUp(victim)
        }
        guard let sequence = freeSequences.popLast() else { return false }
        request.sequence = sequence
        do throws(Llama2Error) {
            try context.inference.setAdapters(Int(sequence), request.adapters)
        } catch {
            request.finish(.error, error)
            return true
        }
        adopt(request)

        // 2. room for all that those who run will need
        while !hasRoom() {
            if let victim = leastImportant(below: request.priority) {
                giveUp(victim)
            } else if live.count(where: { $0.sequence != nil }) > 1 {
                giveBackSequence(request)
                return false
            } else {
                return true  // alone, with a prompt that fills the context
            }
        }
        if !request.hasBegun {
            request.hasBegun = true
            request.adopted = min(request.evaluated, request.promptCount)
            counters.began(prompt: request.promptCount, adopted: request.adopted)
        }
        return true
    }

    /// Whether what is pending fits, and a token more of each.
    private func hasRoom() -> Bool {
        var wanted = 0
        for request in live where request.sequence != nil { wanted += request.pending + 1 }
        return wanted <= context.inference.freePositions
    }

    /// The longest beginning of its tokens that is stored becomes its sequence's, which is empty.
    private func adopt(_ request: Request) {
        guard let sequence = request.sequence, request.adoptable.count > 0 else { return }
        request.evaluated = (try? context.inference.adopt(Int(sequence), request.adoptable)) ?? 0
    }

    func giveBackSequence(_ request: Request) {
        guard let sequence = request.sequence else { return }
        context.inference.disown(Int(sequence))
        drafter?.forget(Int(sequence))
        request.drafted?.forget()
        try? freeSequences.append(sequence)  // there is room for all
        request.sequence = nil
        request.evaluated = 0
        request.isHeld = false
    }

    // MARK: Pre-emption

    private func leastImportant(below priority: Int32) -> Request? {
        live.last { $0.sequence != nil && $0.priority < priority }
    }

    private func giveUp(_ request: Request) {
        giveBackSequence(request)
        counters.preempted()
    }

    /// The least important of several running requests gives up its room. False when there is only one.
    func giveUpTheLeast() -> Bool {
        guard live.count(where: { $0.sequence != nil && !$0.isOver }) > 1, let victim = live.last(where: { $0.sequence != nil && !$0.isOver })
        else { return false }
        giveUp(victim)
        return true
    }

    // MARK: The batch

    /// What is evaluated in this step. Throws when a draft was cancelled only.
    func plan(guesses: Bool = true) throws(Llama2Error) {
        pieces.removeAll()
        entryCount = 0
        let decoding = live.count(where: isDecoding)
        let each = guesses && decoding > 0 && !context.inference.isObserved ? Scheduler.guessing / decoding - 1 : 0
        for index in live.indices where isDecoding(live[index]) { live[index].guess(each, drafter, beside: decoding) }
        try drafter?.run(atOnce: live.count == 1 ? nil : Scheduler.leastPrompt)
        for index in live.indices where isDecoding(live[index]) { add(index, 1, ahead: live[index].ahead) }
        var left = promptTokens(beside: decoding), rows = Scheduler.echoing
        var index = 0
        while index < live.count, left > 0 {
            // those of one priority share what is left
            var end = index, sharing = 0
            while end < live.count, live[end].priority == live[index].priority {
                if isPrefilling(live[end]) { sharing += 1 }
                end += 1
            }
            while index < end {
                if isPrefilling(live[index]), left > 0 {
                    if !isBehindAnother(live[index]) {
                        let share = max(Scheduler.leastPrompt, left / max(sharing, 1))
                        let count = min(live[index].pending, share, left, mostEvaluated(live[index], rows: rows))
                        rows -= add(index, count)
                        left -= count
                    }
                    sharing -= 1
                }
                index += 1
            }
        }
    }

    /// Tokens of prompts beside so many that decode.
    private func promptTokens(beside decoding: Int) -> Int {
        let batch = context.inference.configuration.batchSize
        guard decoding > 0 else { return batch }
        let wanted = options.promptTokensPerStep > 0 ? options.promptTokensPerStep : usualPromptTokens(beside: decoding)
        return min(wanted, max(batch - decoding, Scheduler.leastPrompt))
    }

    /// What a prompt costs those that decode is the same in all, in however many steps it comes; each step costs its pass over the weights besides. So
    /// small pieces serve an even pace only, and where more wait for their first token than have such a pace, the pieces are larger in that proportion. Those
    /// of lower priority than somebody who decodes do not count.
    private func usualPromptTokens(beside decoding: Int) -> Int {
        let few = max(Scheduler.leastPrompt, 2 * decoding)
        guard let first = live.first(where: isDecoding) else { return few }
        let waiting = live.count { isPrefilling($0) && $0.priority >= first.priority }
        return max(few, few * waiting / decoding)
    }

    private func isDecoding(_ request: Request) -> Bool { request.sequence != nil && !request.isOver && request.pending == 1 }

    private func isPrefilling(_ request: Request) -> Bool { request.sequence != nil && !request.isOver && request.pending > 1 }

    /// How many tokens of it can be evaluated with at most so many rows of logits of its prompt.
    private func mostEvaluated(_ request: Request, rows: Int) -> Int {
        request.isEchoing ? max(request.echoPositions.lowerBound - request.evaluated, 0) + rows : request.pending
    }

    /// Returns how many rows of logits of its prompt it takes.
    @discardableResult private func add(
        _ index: Int, _ count: Int, ahead: UnsafeBufferPointer<Int32> = UnsafeBufferPointer(start: nil, count: 0)
    ) -> Int {
        let request = live[index]
        guard count > 0, let sequence = request.sequence else { return 0 }
        let isLast = count == request.pending, echoes = request.isEchoing ? request.echoPositions : 0..<0
        for i in 0..<count {
            let position = request.evaluated + i
            entries[entryCount + i] = BatchEntry(
                token: request.tokens[position], sequence: sequence, wantsLogits: isLast && i == count - 1 || echoes.contains(position))
        }
        let echoed = echoes.clamped(to: request.evaluated..<request.evaluated + count).count
        for (i, token) in ahead.enumerated() {
            entries[entryCount + count + i] = BatchEntry(token: token, sequence: sequence, wantsLogits: true)
        }
        try? pieces.append(  // there is room
            Piece(index: index, first: entryCount, count: count, echoes: echoed, guesses: ahead.count, isLast: isLast))
        entryCount += count + ahead.count
        return echoed
    }

    // MARK: Common beginnings

    /// Whether somebody in this step computes at least a page of what this request needs too: then it waits for that.
    private func isBehindAnother(_ request: Request) -> Bool {
        guard !request.isEchoing else { return false }
        if request.isHeld {
            // what the other has computed meanwhile
            request.isHeld = false
            let before = request.evaluated
            if let sequence = request.sequence { context.inference.disown(Int(sequence)) }
            adopt(request)
            let gained = min(request.evaluated, request.promptCount) - min(before, request.promptCount)
            request.adopted += gained
            counters.adopted(gained)
        }
        for number in 0..<pieces.count {
            let other = live[pieces[number].index]
            // one that decodes, or will do so after this step, is ahead by what it has
            let end = other.evaluated + pieces[number].count
            guard pieces[number].count > 1, end > request.evaluated, other.hasAdapters(of: request) else { continue }
            let limit = min(other.tokens.count, request.tokens.count - 1)
            guard limit >= request.evaluated + Inference.pagePositions else { continue }
            var common = 0
            while common < limit, other.tokens[common] == request.tokens[common] { common += 1 }
            if common >= request.evaluated + Inference.pagePositions {
                request.isHeld = true
                return true
            }
        }
        return false
    }
}
