/// What a caller says about the file to be loaded.
public struct LoadOptions: Sendable {
    /// Into memory of its own, see `MappedFile`.
    public var copy: Bool
    /// Positions that the model was trained on, where the caller knows better than the file; nil: as the file says.
    public var contextLength: Int?

    /// The layers that are computed with; nil: to the last one.
    public var firstLayer = 0, layerCount: Int?

    public init(copy: Bool = false, contextLength: Int? = nil) {
        self.copy = copy
        self.contextLength = contextLength
    }
}
