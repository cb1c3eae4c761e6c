/// The one error of the engine: what kind of failure it was, and a sentence for a person.
///
/// The kind becomes a status code at the C boundary; the sentence names the value that was
/// refused and the limit or the expectation that it broke.
public struct Llama2Error: Error, Sendable {
    public enum Kind: Sendable, CaseIterable {
        case nullArgument, invalidArgument, badHandle, structSize, outOfRange, bufferTooSmall, invalidToken, notFound
        /// A token that a grammar does not allow.
        case forbidden
        case noMemory, io, thread
        /// Not a format that this library knows.
        case format
        /// A known format whose content is truncated or contradicts itself.
        case corrupt
        /// Well formed, but it asks for something that this version cannot do.
        case unsupported
        case unknownTemplate
        case contextFull, cancelled, busy, noLogits, forked
    }

    public let kind: Kind
    public let message: String
    /// errno where a system call failed, else 0.
    public let systemError: Int32

    public init(_ kind: Kind, _ message: String, systemError: Int32 = 0) {
        self.kind = kind
        self.message = message
        self.systemError = systemError
    }
}
