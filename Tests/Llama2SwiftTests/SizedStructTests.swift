import Llama2Core
import Testing

/// A struct that began with 12 bytes and has 20 today: options and results of every size a program can have.
struct SizedStructTests {
    private static let first = 12, known = 20

    /// What the library sees of a struct of `size` bytes that states `stated`, followed by `tail`.
    private func read(_ content: [UInt8], stated: Int) throws(Llama2Error) -> [UInt8] {
        var raw = withUnsafeBytes(of: UInt32(stated)) { Array($0) } + content
        raw += [UInt8](repeating: 0, count: 4096)
        var target = [UInt8](repeating: 0, count: Self.known)
        let result = target.withUnsafeMutableBytes { target -> Result<Void, Llama2Error> in
            raw.withUnsafeBytes { raw in
                do throws(Llama2Error) {
                    return .success(try SizedStruct.read(raw.baseAddress!, into: target, first: Self.first, "options"))
                } catch { return .failure(error) }
            }
        }
        try result.get()
        return Array(target[4...])
    }

    @Test(arguments: [12, 13, 16, 19, 20])
    func smallerOptionsOfAnOlderProgramAreReadAndTheRestIsZero(size: Int) throws {
        // the bytes behind the older struct are the caller's own business
        #expect(try read([UInt8](repeating: 7, count: 60), stated: size) == [UInt8](repeating: 7, count: size - 4) + [UInt8](repeating: 0, count: 20 - size))
    }

    @Test(arguments: [0, 3, 4, 11, 4097, Int(UInt32.max)])
    func sizesThatNoVersionHadAreRefused(size: Int) {
        #expect { try read([], stated: size) } throws: {
            ($0 as? Llama2Error)?.kind == .structSize && "\($0)".contains("options.struct_size is \(size), expected 12 to 20")
        }
    }

    @Test func largerOptionsOfANewerProgramMustBeZeroBehindWhatIsKnown() throws {
        let content = [UInt8](repeating: 7, count: 16)
        #expect(try read(content, stated: 4096) == content)
        #expect(try read(content + [0, 0, 9], stated: 22) == content)
        #expect { try read(content + [0, 0, 9], stated: 23) } throws: {
            ($0 as? Llama2Error)?.kind == .structSize && "\($0)".contains("content at byte 22")
        }
    }

    @Test(arguments: [12, 16, 20, 40])
    func resultsAreFilledAsFarAsTheCallersStructReaches(size: Int) throws {
        var raw = withUnsafeBytes(of: UInt32(size)) { Array($0) } + [UInt8](repeating: 1, count: 60)
        let value = [UInt8](repeating: 7, count: Self.known)
        let result = raw.withUnsafeMutableBytes { raw -> Result<Void, Llama2Error> in
            value.withUnsafeBytes { value in
                do throws(Llama2Error) {
                    return .success(try SizedStruct.fill(raw.baseAddress!, with: value, first: Self.first, "result"))
                } catch { return .failure(error) }
            }
        }
        try result.get()
        let filled = min(size, Self.known) - 4
        #expect(raw[0] == UInt8(size))  // stays
        #expect(Array(raw[4...]) == [UInt8](repeating: 7, count: filled) + [UInt8](repeating: 1, count: 60 - filled))
    }
}
