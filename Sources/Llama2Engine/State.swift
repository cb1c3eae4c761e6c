public import Llama2Core
internal import Llama2Model

// States of sequences and of whole contexts (nil), to files, memory and callbacks: STATE.md.
extension Context {
    public func stateSize(_ sequence: Int?) throws(Llama2Error) -> Int { try inference.stateSize(sequence) }

    /// To whoever takes it, piece by piece.
    public func save(_ sequence: Int?, _ sink: (RawSpan) throws(Llama2Error) -> Void) throws(Llama2Error) {
        try inference.save(sequence, sink)
    }

    /// `path` is as it was, or the complete state.
    public func save(_ sequence: Int?, path: FilePath) throws(Llama2Error) {
        // what can be refused is refused before a file is made
        _ = try inference.stateSize(sequence)
        let writer = try AtomicFile(path)
        try inference.save(sequence) { (bytes) throws(Llama2Error) in try writer.write(bytes) }
        try writer.finish()
    }

    public func load(_ sequence: Int?, path: FilePath) throws(Llama2Error) {
        // a copy: what is checked must be what is used, whoever writes to the file meanwhile
        try load(sequence, try MappedFile(path: path, as: .copy))
    }

    public func load(_ sequence: Int?, _ file: MappedFile) throws(Llama2Error) {
        do throws(Llama2Error) {
            try file.withBytes { (bytes) throws(Llama2Error) in try inference.load(sequence, bytes.bytes) }
        } catch {
            throw Llama2Error(error.kind, "\(file.path): \(error.message)", systemError: error.systemError)
        }
    }
}
