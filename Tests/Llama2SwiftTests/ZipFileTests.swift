import Llama2Core
import Testing

@testable import Llama2Formats

/// Archives of one stored entry, field by field: the bounds of zip64.
@Suite struct ZipFileTests {
    private struct Archive {
        var name = Array("data.pkl".utf8), data: [UInt8] = [1, 2, 3, 4, 5]
        /// In place of what is so; nil: as it is.
        var size: UInt64?, header: UInt64?, directoryOffset: UInt64?, directorySize: UInt64?, count: UInt64?, record: UInt64?
        var isZip64 = false, nameInHeader: [UInt8]?
        /// Of the entry's own zip64 field, which may be too short.
        var extraBytes: Int?

        /// Little-endian numbers, each of so many bytes.
        private func numbers(_ list: (value: UInt64, bytes: Int)...) -> [UInt8] {
            list.flatMap { number in (0..<number.bytes).map { UInt8(truncatingIfNeeded: number.value >> UInt64(8 * $0)) } }
        }

        var bytes: [UInt8] {
            let own = nameInHeader ?? name, length = UInt64(data.count)
            var out = numbers((0x0403_4b50, 4), (20, 2), (0, 2), (0, 2), (0, 8), (length, 4), (length, 4), (UInt64(own.count), 2), (0, 2))
            out += own
            out += data
            let directory = UInt64(out.count), size = size ?? length, header = header ?? 0
            func small(_ value: UInt64) -> UInt64 { isZip64 ? 0xffff_ffff : value }
            let field = isZip64 ? numbers((size, 8), (size, 8), (header, 8)) : []
            let extra = Array(field.prefix(extraBytes ?? field.count)), extraLength = isZip64 ? UInt64(extra.count) + 4 : 0
            out += numbers((0x0201_4b50, 4), (20, 2), (20, 2), (0, 2), (0, 2), (0, 8), (small(size), 4), (small(size), 4))
            out += numbers((UInt64(name.count), 2), (extraLength, 2), (0, 2), (0, 8), (small(header), 4))
            out += name
            if isZip64 {
                out += numbers((1, 2), (UInt64(extra.count), 2))
                out += extra
            }
            let offset = directoryOffset ?? directory, all = directorySize ?? UInt64(out.count) - directory, entries = count ?? 1
            if isZip64 {
                let at = UInt64(out.count)
                out += numbers((0x0606_4b50, 4), (44, 8), (45, 2), (45, 2), (0, 8), (entries, 8), (entries, 8), (all, 8), (offset, 8))
                out += numbers((0x0706_4b50, 4), (0, 4), (record ?? at, 8), (1, 4))
            }
            out += numbers((0x0605_4b50, 4), (0, 4), (small(entries), 2), (small(entries), 2), (small(all), 4), (small(offset), 4), (0, 2))
            return out
        }
    }

    private func read(_ archive: Archive) throws(Llama2Error) -> [UInt8]? {
        let bytes = archive.bytes, memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { memory.deallocate() }
        memory.copyBytes(from: bytes)
        return try ZipFile(UnsafeRawBufferPointer(memory), FilePath("a.pth")).entries[ByteText(Array("data.pkl".utf8))].map { Array($0) }
    }

    private func refused(_ change: (inout Archive) -> Void, isZip64: Bool = true) -> Bool {
        var archive = Archive()
        archive.isZip64 = isZip64
        change(&archive)
        do throws(Llama2Error) {
            _ = try read(archive)
            return false
        } catch { return error.kind == .corrupt }
    }

    @Test(arguments: [false, true]) func whatIsStoredIsFound(isZip64: Bool) throws {
        var archive = Archive()
        archive.isZip64 = isZip64
        #expect(try read(archive) == [1, 2, 3, 4, 5])
        archive.data = []
        #expect(try read(archive) == [])
    }

    @Test(arguments: [6, 1 << 31, 1 << 32, 1 << 62, 1 << 63, UInt64.max - 38, UInt64.max])
    func aSizeBeyondTheDirectoryIsRefusedAlsoWhereTheSumOverflows(size: UInt64) { #expect(refused { $0.size = size }) }

    @Test(arguments: [1, 43, 100, 1 << 32, 1 << 63, UInt64.max - 29, UInt64.max])
    func aHeaderThatIsNoneIsRefused(header: UInt64) { #expect(refused { $0.header = header }) }

    @Test(arguments: [0, 44, 1 << 32, 1 << 63, UInt64.max])
    func aDirectoryElsewhereIsRefused(offset: UInt64) { #expect(refused { $0.directoryOffset = offset }) }

    @Test(arguments: [45, 1 << 32, 1 << 63, UInt64.max])
    func aDirectoryOfAnotherSizeIsRefused(size: UInt64) { #expect(refused { $0.directorySize = size }) }

    @Test(arguments: [2, 3, 1 << 32, UInt64.max]) func moreEntriesThanThereAreAreRefused(count: UInt64) { #expect(refused { $0.count = count }) }

    @Test(arguments: [0, 1, 1 << 40, 1 << 63, UInt64.max]) func aRecordElsewhereIsRefused(record: UInt64) { #expect(refused { $0.record = record }) }

    @Test(arguments: 0..<24) func anEntrysFieldThatEndsEarlyIsRefused(bytes: Int) { #expect(refused { $0.extraBytes = bytes }) }

    @Test func anEntryWithTwoNamesIsRefused() { #expect(refused({ $0.nameInHeader = Array("data.pkL".utf8) }, isZip64: false)) }
}
