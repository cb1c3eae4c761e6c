public import Llama2Core
internal import Llama2Kernels
public import Llama2Model

// What a host asks of a context, and what a context asks of its host.
extension Context {
    /// The floating-point mode of the host, for its callbacks.
    public var hostMode: FloatMode {
        get { inference.hostMode }
        set { inference.hostMode = newValue }
    }

    /// Refuses to go on in a child that a callback has forked.
    public func checkProcess() throws(Llama2Error) { try inference.checkProcess() }

    /// Asked in every eval whether it is still wanted; nil: nobody.
    public func setCancel(_ callback: CancelCallback.Function?, _ data: UnsafeMutableRawPointer?) {
        inference.cancel = callback
        inference.cancelData = data
    }

    public var configuration: ContextConfiguration { inference.configuration }

    /// Layers that it computes.
    public var layerCount: Int { inference.weights.hyperparameters.layerCount }

    // MARK: Logits

    public var logitsRows: Int { inference.logitsRows }

    /// Row `row`, (vocabulary); valid until the next successful eval.
    public func logits(_ row: Int) throws(Llama2Error) -> UnsafeBufferPointer<Float> {
        try inference.checkLogitsAreMade()
        guard let values = inference.logits(row) else {
            throw Llama2Error(.noLogits, "row \(UInt(bitPattern: row)) of the logits; there are \(inference.logitsRows)")
        }
        return values
    }

    // MARK: Memory

    public struct Info: Sendable {
        public var configuration: ContextConfiguration
        /// Of the kernels that run.
        public var isa: Int32
        public var memoryBytes: Int
        /// In all; with an owner; with several; without, but still known to `adopt`.
        public var pages, pagesUsed, pagesShared, pagesCached: Int
        /// In use by any sequence.
        public var positions: Int
    }

    public var info: Info {
        let c = inference.configuration, pages = inference.pages
        return Info(
            configuration: c, isa: inference.isa, memoryBytes: inference.memoryBytes, pages: pages.all, pagesUsed: pages.used,
            pagesShared: pages.shared, pagesCached: pages.cached, positions: c.contextLength - inference.freePositions)
    }

    /// Bytes that a context of this configuration would take.
    public struct Memory: Sendable {
        public var model, cache, work, logits: Int
    }

    /// What `init` would refuse, and what it would take, without doing so.
    public static func memory(of model: Model, _ c: ContextConfiguration) throws(Llama2Error) -> Memory {
        let weights = try model.weights
        _ = try Kernels.table(c.isa)
        let m = try Inference.memory(weights, c)
        if let path = c.energyPath { _ = try EnergyMeter(folder: path) }
        return Memory(model: weights.byteCount, cache: m.cache, work: m.work, logits: m.logits)
    }
}
