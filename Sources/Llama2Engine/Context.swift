internal import Glibc
public import Llama2Core
public import Llama2Model
internal import Llama2Sampling
internal import Synchronization

/// What a host holds: sequences of one model with their logits. One caller at a time, checked.
public final class Context {
    public let model: Model
    let inference: Inference
    /// Since creation or `reset`.
    public var timings: Timings { Timings(prefill: prefill, decode: decode, energyZones: energy?.zones ?? 0) }
    private var prefill = Work(), decode = Work()
    private let energy: EnergyMeter?
    /// Of passes with tokens of one text.
    let clock = PassClock()
    private let gate = Gate()
    /// The last error as a C string, (errorCapacity).
    public let errorText: UnsafeMutablePointer<CChar>
    public static let errorCapacity = 1024

    public struct Timings: Sendable {
        public var prefill = Work(), decode = Work()
        /// Processors whose energy is measured.
        public var energyZones = 0
    }

    /// What evals of one kind took.
    public struct Work: Sendable {
        public var tokens = 0, nanoseconds = 0
        /// CPU time of the caller and of the context's threads.
        public var cpuNanoseconds = 0
        /// Of all of the machine's processors.
        public var microjoules = 0
    }

    public init(model: Model, configuration: ContextConfiguration) throws(Llama2Error) {
        self.model = model
        energy = if let path = configuration.energyPath { try EnergyMeter(folder: path) } else { nil }
        inference = try Inference(weights: try model.weights, configuration: configuration)
        errorText = .allocate(capacity: Context.errorCapacity)
        errorText.initialize(repeating: 0, count: Context.errorCapacity)
    }

    deinit { errorText.deallocate() }

    /// Runs `body` unless another caller is inside.
    public func exclusively<T>(_ body: () throws(Llama2Error) -> T) throws(Llama2Error) -> T {
        // before the gate: whoever was inside at the fork stays there for ever
        try inference.checkProcess()
        try gate.enter("context")
        defer { gate.leave() }
        return try body()
    }

    /// Keeps every other caller out until `vacate`.
    func occupy(_ what: StaticString = "context") throws(Llama2Error) {
        try inference.checkProcess()
        try gate.enter(what)
    }

    func vacate() { gate.leave() }

    // MARK: All of the following inside `exclusively`

    public func reset() {
        inference.reset()
        prefill = Work()
        decode = Work()
    }

    /// Appends the `count` tokens that `entry` tells, index by index. All or nothing.
    /// hidden: of a range of layers, see `HiddenStates`; embeddings: see `Inference.eval`. decodes: one token, and guesses of what follows it.
    public func eval(
        count: Int, hidden: HiddenStates? = nil, decodes: Bool = false, embeddings: UnsafeMutablePointer<Float>? = nil,
        _ entry: (Int) throws(Llama2Error) -> BatchEntry
    ) throws(Llama2Error) {
        let start = monotonicNanoseconds(), cpu = inference.cpuNanoseconds
        _ = energy?.gained()  // what others took between two evals is not this one's
        try inference.eval(count: count, hidden: hidden, embeddings: embeddings, entry)
        var work = Work()
        work.tokens = decodes ? 1 : count
        work.nanoseconds = monotonicNanoseconds() - start
        work.cpuNanoseconds = max(0, inference.cpuNanoseconds - cpu)
        work.microjoules = energy?.gained() ?? 0
        guard count == 1 || decodes else { return prefill += work }
        decode += work
        clock.took(work.nanoseconds, tokens: count)
    }

    /// Appends `token`, and guesses of what follows it, to sequence 0; logits of all. Returns how many guesses were evaluated: none of them is
    /// the reason for an error.
    func eval(_ token: Int32, guesses: UnsafeBufferPointer<Int32>) throws(Llama2Error) -> Int {
        do throws(Llama2Error) {
            try eval(count: guesses.count + 1, decodes: true) { BatchEntry(token: $0 == 0 ? token : guesses[$0 - 1], wantsLogits: true) }
            return guesses.count
        } catch {
            guard guesses.count > 0, error.kind != .cancelled else { throw error }
            try eval(count: 1) { _ in BatchEntry(token: token, wantsLogits: true) }
            return 0
        }
    }

    /// Guesses of the last eval that came true.
    func countDecoded(_ tokens: Int) { decode.tokens += tokens }

    /// Appends to sequence 0; logits of the last token.
    public func eval(tokens: UnsafeBufferPointer<Int32>) throws(Llama2Error) {
        try eval(count: tokens.count) { BatchEntry(token: tokens[$0], wantsLogits: $0 == tokens.count - 1) }
    }

    /// The last row of logits.
    func lastLogits() throws(Llama2Error) -> UnsafeBufferPointer<Float> {
        try inference.checkLogitsAreMade()
        guard let logits = inference.logits(inference.logitsRows - 1) else {
            throw Llama2Error(.noLogits, "there are no logits: nothing was evaluated that asked for them")
        }
        return logits
    }

    /// Chooses a token and accepts it.
    public func sample(_ sampler: SamplerBox) throws(Llama2Error) -> Int32 {
        let logits = try lastLogits()
        return try sampler.exclusively { (sampler) throws(Llama2Error) in
            try checkGrammar(sampler)
            sampler.setHost(inference.hostMode)
            return try sampler.take(logits.span)
        }
    }
}

extension Context.Work {
    /// Nanoseconds and microjoules of years stay below 63 bits; a counter of the kernel's that says more is followed round.
    static func += (sum: inout Context.Work, work: Context.Work) {
        sum.tokens &+= work.tokens
        sum.nanoseconds &+= work.nanoseconds
        sum.cpuNanoseconds &+= work.cpuNanoseconds
        sum.microjoules &+= work.microjoules
    }
}

/// Lets one caller in and refuses the others; nobody waits.
public final class Gate: Sendable {
    private let inside = Atomic<Bool>(false)

    public init() {}

    public func enter(_ what: StaticString) throws(Llama2Error) {
        guard !inside.exchange(true, ordering: .acquiring) else {
            throw Llama2Error(.busy, "this \(what) is in use by another call")
        }
    }

    public func leave() { inside.store(false, ordering: .releasing) }
}

func monotonicNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
}
