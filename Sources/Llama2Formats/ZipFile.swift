internal import Llama2Core

/// The entries of a zip archive whose data is stored, not compressed, as PyTorch writes them.
/// Source: PKWARE's APPNOTE.TXT, with zip64. Entries must lie inside the file and must not overlap.
struct ZipFile {
    private(set) var entries: [ByteText: UnsafeRawBufferPointer] = [:]

    static func recognises(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: [0x50, 0x4b, 3, 4]) }

    init(_ bytes: UnsafeRawBufferPointer, _ path: FilePath) throws(Llama2Error) {
        do throws(Llama2Error) {
            try read(bytes)
        } catch {
            throw Llama2Error(error.kind, "\(path): \(error.message)")
        }
    }

    private mutating func read(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) {
        let directory = try ZipFile.directory(bytes)
        var reader = ByteReader(UnsafeRawBufferPointer(rebasing: bytes[directory.offset..<(directory.offset + directory.size)]))
        typealias Place = (start: Int, end: Int, name: ByteText)
        // sorted, which takes half as many beside it; a name is checked as a string, and one that is refused is said
        try MemoryReserve.cover(
            2 * .list(directory.count, of: Place.self) + .table(directory.count, of: ByteText.self, UnsafeRawBufferPointer.self)
                + 2 * .texts(directory.count, bytes: directory.size), for: "the zip directory")
        var ranges: [Place] = []
        for index in 0..<directory.count {
            let entry = try Entry(&reader, index)
            let start = try entry.dataStart(bytes), end = try checkedAdd(start, entry.size, "end of entry \(entry.name)")
            guard end <= directory.offset else {
                throw Llama2Error(.corrupt, "zip entry \(entry.name) takes bytes \(start) to \(end), beyond the directory at \(directory.offset)")
            }
            ranges.append((entry.header, end, entry.name))
            guard entries.updateValue(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), forKey: entry.name) == nil else {
                throw Llama2Error(.corrupt, "zip entry \(entry.name) appears twice")
            }
        }
        ranges.sort { $0.start < $1.start }
        for (a, b) in zip(ranges, ranges.dropFirst()) where a.end > b.start {
            throw Llama2Error(.corrupt, "zip entries \(a.name) and \(b.name) overlap at byte \(b.start)")
        }
    }

    /// Where the central directory lies: the end record is the last one in the file, a comment may follow it.
    private static func directory(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) -> (offset: Int, size: Int, count: Int) {
        func number<T: FixedWidthInteger & BitwiseCopyable>(_ at: Int, _ type: T.Type) -> T {
            T(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: T.self))
        }
        var end = bytes.count - 22
        let lowest = max(0, end - 65_535)
        while end >= lowest, number(end, UInt32.self) != 0x0605_4b50 { end -= 1 }
        guard end >= lowest, end >= 0 else { throw Llama2Error(.corrupt, "no end of the zip directory: cut off?") }
        var count = UInt64(number(end + 10, UInt16.self)), size = UInt64(number(end + 12, UInt32.self))
        var offset = UInt64(number(end + 16, UInt32.self))
        if end >= 20, number(end - 20, UInt32.self) == 0x0706_4b50 {
            let record = number(end - 12, UInt64.self)
            // it lies before its locator, which lies before the end record
            guard record <= UInt64(end - 20), Int(record) <= end - 20 - 56, number(Int(record), UInt32.self) == 0x0606_4b50 else {
                throw Llama2Error(.corrupt, "the zip64 record at \(record) is not there")
            }
            count = number(Int(record) + 32, UInt64.self)
            size = number(Int(record) + 40, UInt64.self)
            offset = number(Int(record) + 48, UInt64.self)
        }
        guard offset <= UInt64(end), size <= UInt64(end) - offset, count <= size / 46 else {
            throw Llama2Error(.corrupt, "a zip directory of \(count) entries in \(size) bytes at \(offset), in a file of \(bytes.count)")
        }
        guard count <= TensorInfo.most else { throw Llama2Error(.unsupported, "a zip directory of \(count) entries; the limit is \(TensorInfo.most)") }
        return (Int(offset), Int(size), Int(count))
    }

    private struct Entry {
        let name: ByteText, nameBytes: UnsafeRawBufferPointer, size: Int, header: Int

        init(_ reader: inout ByteReader, _ index: Int) throws(Llama2Error) {
            let what = "zip entry \(index)"
            guard try reader.number(UInt32.self, what) == 0x0201_4b50 else { throw Llama2Error(.corrupt, "\(what) has no signature") }
            _ = try reader.take(4, what)
            let flags = try reader.number(UInt16.self, what), method = try reader.number(UInt16.self, what)
            _ = try reader.take(8, what)
            var stored = UInt64(try reader.number(UInt32.self, what)), size = UInt64(try reader.number(UInt32.self, what))
            let nameLength = Int(try reader.number(UInt16.self, what)), extraLength = Int(try reader.number(UInt16.self, what))
            let commentLength = Int(try reader.number(UInt16.self, what))
            _ = try reader.take(8, what)
            var header = UInt64(try reader.number(UInt32.self, what))
            nameBytes = try reader.take(nameLength, what)
            guard !nameBytes.contains(0), String(validating: nameBytes, as: UTF8.self) != nil else {
                throw Llama2Error(.corrupt, "the name of \(what) contains NUL or is not UTF-8")
            }
            let name = ByteText(nameBytes)
            func shown() -> ByteText { ByteText(name.bytes.prefix(200)) }
            var extra = ByteReader(try reader.take(extraLength, what))
            _ = try reader.take(commentLength, what)
            while extra.remaining >= 4 {
                let id = try extra.number(UInt16.self, what), length = Int(try extra.number(UInt16.self, what))
                var field = ByteReader(try extra.take(length, "extra field of \(what)"))
                guard id == 1 else { continue }
                // zip64: those of the three that did not fit, in this order
                if size == 0xffff_ffff { size = try field.number(UInt64.self, what) }
                if stored == 0xffff_ffff { stored = try field.number(UInt64.self, what) }
                if header == 0xffff_ffff { header = try field.number(UInt64.self, what) }
            }
            guard method == 0, flags & 1 == 0, stored == size else {
                throw Llama2Error(.unsupported, "zip entry \(shown()) is compressed or encrypted; PyTorch stores")
            }
            self.name = name
            self.size = try checkedInt(size, "size of zip entry \(shown())")
            self.header = try checkedInt(header, "offset of zip entry \(shown())")
        }

        /// After the local header, whose own lengths count.
        func dataStart(_ bytes: UnsafeRawBufferPointer) throws(Llama2Error) -> Int {
            guard header <= bytes.count - 30 else { throw Llama2Error(.corrupt, "zip entry \(name) begins at \(header), outside of the file") }
            func number<T: FixedWidthInteger & BitwiseCopyable>(_ at: Int, _ type: T.Type) -> T {
                T(littleEndian: bytes.loadUnaligned(fromByteOffset: header + at, as: T.self))
            }
            guard number(0, UInt32.self) == 0x0403_4b50 else { throw Llama2Error(.corrupt, "zip entry \(name) has no header at \(header)") }
            let nameEnd = header + 30 + Int(number(26, UInt16.self)), start = nameEnd + Int(number(28, UInt16.self))
            guard start <= bytes.count else { throw Llama2Error(.corrupt, "the data of zip entry \(name) begins at \(start), outside of the file") }
            // a reader that goes by the other name would see other data
            guard bytes[(header + 30)..<nameEnd].elementsEqual(nameBytes) else {
                throw Llama2Error(.corrupt, "zip entry \(name) has another name in its header at \(header)")
            }
            return start
        }
    }
}
