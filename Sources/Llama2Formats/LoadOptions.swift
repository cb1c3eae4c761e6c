public import Llama2Core

/// What a caller says about the file to be loaded.
public struct LoadOptions: Sendable {
    /// Where its weights lie.
    public var memory: FileMemory
    /// Positions that the model was trained on, where the caller knows better than the file; nil: as the file says.
    public var contextLength: Int?

    /// The layers that are computed with; nil: to the last one.
    public var firstLayer = 0, layerCount: Int?

    public init(memory: FileMemory = .view, contextLength: Int? = nil) {
        self.memory = memory
        self.contextLength = contextLength
    }
}
