/// The convention of structs that begin with `struct_size`: fields are only ever appended, so a program and this
/// library understand each other on the bytes that both know.
///
///     size the caller states    | first ... known | beyond known
///     options that are read     | copied          | must be zero
///     results that are filled   | written         | left as they are
///
/// `first` is the size in the version that brought the struct: no program has ever been compiled with less.
/// `known` is the size of this version.
public enum SizedStruct {
    /// More than any version will have; what lies behind is not looked at.
    private static let largest = 4096

    /// Zero but for the size at the front. The caller says it: only the one who declared the struct knows how much room there is.
    public static func initialize(_ raw: UnsafeMutableRawPointer, size: Int) throws(Llama2Error) {
        let sizeField = MemoryLayout<UInt32>.size
        guard size >= sizeField, size <= largest else {
            throw Llama2Error(.invalidArgument, "a struct of \(UInt(bitPattern: size)) bytes, expected \(sizeField) to \(largest)")
        }
        raw.initializeMemory(as: UInt8.self, repeating: 0, count: size)
        raw.storeBytes(of: UInt32(size), as: UInt32.self)
    }

    /// The size at the front of the struct at `raw`, checked.
    public static func statedSize(_ raw: UnsafeRawPointer, first: Int, known: Int, _ name: StaticString) throws(Llama2Error) -> Int {
        let size = Int(raw.loadUnaligned(as: UInt32.self))
        guard size >= first, size <= largest else {
            throw Llama2Error(.structSize, "\(name).struct_size is \(size), expected \(first) to \(known)")
        }
        return size
    }

    /// Copies what the caller has into `target` (known bytes), whose other bytes stay.
    public static func read(
        _ raw: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer, first: Int, _ name: StaticString
    ) throws(Llama2Error) {
        let known = target.count, size = try statedSize(raw, first: first, known: known, name)
        for i in known..<max(known, size) where raw.load(fromByteOffset: i, as: UInt8.self) != 0 {
            throw Llama2Error(
                .structSize, "\(name) has \(size) bytes and content at byte \(i), which this version (\(known) bytes) does not know")
        }
        target.baseAddress?.copyMemory(from: raw, byteCount: min(size, known))
    }

    /// Writes `value` (known bytes) to `raw` as far as the caller's struct reaches; its struct_size stays.
    public static func fill(
        _ raw: UnsafeMutableRawPointer, with value: UnsafeRawBufferPointer, first: Int, _ name: StaticString
    ) throws(Llama2Error) {
        let known = value.count, size = try statedSize(raw, first: first, known: known, name), sizeField = MemoryLayout<UInt32>.size
        guard let source = value.baseAddress else { return }
        (raw + sizeField).copyMemory(from: source + sizeField, byteCount: min(size, known) - sizeField)
    }
}
