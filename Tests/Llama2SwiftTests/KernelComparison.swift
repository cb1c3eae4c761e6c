import KernelOperands
import Llama2Core
import Llama2Kernels

/// Everything that a table of kernels computes, digested: equal digests are equal bits (a NaN is a NaN: which one is not part of
/// the contract). `compareKernels` runs each case with the reference and with every other instruction set of this machine.
///
/// Also compiled for aarch64 and run in an emulator (Tests/trust/arm64.sh), by Embedded Swift: no existentials, no Foundation.
struct Digest: Equatable {
    var value: UInt64 = 0xcbf2_9ce4_8422_2325

    /// FNV-1a, a word at a time.
    mutating func add(_ word: UInt32) { value = (value ^ UInt64(word)) &* 0x100_0000_01b3 }
    mutating func add(_ x: Float) { add(x.isNaN ? 0x7fc0_0000 : x.bitPattern) }
    mutating func add(half bits: UInt16) { add(bits & 0x7fff > 0x7c00 ? 0x7e00 : UInt32(bits)) }
    mutating func add(_ list: [Float]) { for x in list { add(x) } }
    mutating func add(_ list: [UInt8]) { for x in list { add(UInt32(x)) } }
    mutating func add(_ bool: Bool) { add(bool ? UInt32(1) : 2) }
}

/// Memory on a cache line, as kernels want their scratch: exactly as much as is said, and behind it what nobody may write.
final class Scratch {
    let pointer: UnsafeMutableRawPointer
    private let bytes: Int
    private static let behind = 4096

    init(_ bytes: Int) {
        self.bytes = bytes
        pointer = UnsafeMutableRawPointer.allocate(byteCount: bytes + Scratch.behind, alignment: 64)
        pointer.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
        (pointer + bytes).initializeMemory(as: UInt8.self, repeating: 0xa5, count: Scratch.behind)
    }

    func fill(_ byte: UInt8) { pointer.initializeMemory(as: UInt8.self, repeating: byte, count: bytes) }

    deinit {
        for i in 0..<Scratch.behind { precondition(pointer.load(fromByteOffset: bytes + i, as: UInt8.self) == 0xa5, "written behind the scratch") }
        pointer.deallocate()
    }
}

/// The digest of all that the reference computes here, on every machine; whoever changes a sequence of operations changes it.
let digestOfAllKernels: UInt64 = 3_778_118_941_106_416_656

struct KernelComparison {
    /// Those to be compared with the reference.
    let others: [Kernels]
    let reference: Kernels
    /// What differed.
    private(set) var differing: [String] = []
    /// Comparisons made.
    private(set) var cases = 0
    /// Of all that the reference computed: the same on every machine.
    private(set) var total = Digest()

    init(_ isas: [Kernels.ISA]) throws(Llama2Error) {
        reference = try Kernels.table(.reference)
        var others: [Kernels] = []
        for isa in isas where isa != .reference { others.append(try Kernels.table(isa)) }
        self.others = others
    }

    mutating func compare(_ name: String, _ run: (Kernels, inout Digest) -> Void) {
        var expected = Digest()
        run(reference, &expected)
        total.add(UInt32(truncatingIfNeeded: expected.value))
        total.add(UInt32(truncatingIfNeeded: expected.value >> 32))
        for kernels in others {
            var got = Digest()
            run(kernels, &got)
            cases += 1
            if got != expected { differing.append("\(kernels.isa.name) \(name)") }
        }
    }

    /// A comparison that is no part of `total`: what it expects is.
    mutating func note(_ name: String, isSame: Bool) {
        cases += 1
        if !isSame { differing.append(name) }
    }

    mutating func all() {
        for type in BlockType.allCases { for fill in Fill.allCases { products(type, fill) } }
        for fill in Fill.allCases {
            vectors(fill)
            attention(fill)
            dividedAttention(fill)
            superblocks(fill)
        }
    }

    static func floats(_ count: Int, _ fill: Fill, seed: UInt64, extreme: Float = 1e30) -> [Float] {
        var random = TestRandom(state: seed)
        return (0..<count).map { _ in Float(bitPattern: floatBits(fill, &random, extreme: extreme)) }
    }

    /// Products of each type, all rows and few of them, tokens in and out of step with tiles of 2, 4 and 8; two calls, as of two threads.
    mutating func products(_ type: BlockType, _ fill: Fill) {
        for (rows, columns, tokens) in [
            (1, 256, 1), (16, 256, 1), (53, 512, 1), (16, 256, 2), (33, 256, 3), (40, 512, 5), (32, 256, 8), (37, 256, 9), (16, 512, 23),
            (16, 256, 263),
        ] {
            let columns = type.isFloat ? columns + 5 : columns
            let data = randomBlocks(type, rows: rows, columns: columns, fill: fill, seed: 7)
            let x = KernelComparison.floats(tokens * columns, fill, seed: 3)
            compare("\(type.name) fill \(fill.number), \(rows)x\(columns), \(tokens) tokens") { kernels, digest in
                KernelComparison.product(kernels, type, data, rows, columns, tokens, x, &digest)
            }
        }
    }

    private static func product(
        _ kernels: Kernels, _ type: BlockType, _ data: [UInt8], _ rows: Int, _ columns: Int, _ tokens: Int, _ x: [Float],
        _ digest: inout Digest
    ) {
        let blocks = max(Activations.blocks(tokens, columns: columns), 1), scratch = Scratch(Kernels.scratchBytes)
        let q = Scratch(32 * blocks), scale = Scratch(4 * blocks), corrections = Scratch(16 * blocks)
        var out = [Float](repeating: -1, count: tokens * rows)
        x.withUnsafeBufferPointer { x in
            let a = Activations(
                f32: x.baseAddress!, q: q.pointer.assumingMemoryBound(to: Int8.self), scale: scale.pointer.assumingMemoryBound(to: Float.self),
                corrections: corrections.pointer.assumingMemoryBound(to: Int32.self), tokens: tokens)
            if !type.isFloat {
                for t in 0..<tokens { kernels.quantize(a, columns: columns, token: t, first: 0, count: columns) }
                // below eight tokens by token, whatever the layout is: so the digest stays
                let each = columns / 32, tiles = tokens >= 8 || a.width == 1
                for n in 0..<(tiles ? blocks : tokens * each) {
                    let i = tiles ? n : n % each * a.width + n / each
                    digest.add(a.scale[i])
                    for j in 0..<32 { digest.add(UInt32(bitPattern: Int32(a.q[32 * i + j]))) }
                    for j in 0..<4 where j != 1 { digest.add(UInt32(bitPattern: a.corrections[4 * i + j])) }
                    digest.add(Float(bitPattern: UInt32(bitPattern: a.corrections[4 * i + 1])))
                }
            }
            data.withUnsafeBytes { data in
                let matrix = Matrix(data: data.baseAddress!, type: type, rows: rows, columns: columns)
                out.withUnsafeMutableBufferPointer { out in
                    let middle = matrix.panels / 2
                    for panels in [0..<middle, middle..<matrix.panels] {
                        kernels.multiply(
                            matrix, panels: panels, a, tokens: tokens, out: out.baseAddress!, outStride: rows, scratch: scratch.pointer)
                    }
                }
            }
        }
        digest.add(out)
    }

    /// Norms, activations, sums, rotations and stores of odd lengths.
    mutating func vectors(_ fill: Fill) {
        for count in [1, 2, 15, 16, 17, 31, 48, 100, 511, 1024] {
            let x = KernelComparison.floats(count, fill, seed: 21), y = KernelComparison.floats(count, fill, seed: 22, extreme: 8)
            compare("vectors of \(count), fill \(fill.number)") { kernels, digest in
                var out = [Float](repeating: 7, count: count)
                out.withUnsafeMutableBufferPointer { out in
                    kernels.table.rmsNorm(x, y, count, 1e-5, out.baseAddress!)
                    for v in out { digest.add(v) }
                    kernels.table.swiGLU(y, x, count, out.baseAddress!)
                    for v in out { digest.add(v) }
                    kernels.table.add(out.baseAddress!, y, count)
                    for v in out { digest.add(v) }
                }
                for (stride, half) in [(1, true), (3, true), (1, false), (3, false)] {
                    var stored = [UInt8](repeating: 0, count: 4 * count * stride)
                    let fits = stored.withUnsafeMutableBytes {
                        kernels.table.storeCache(x, count, $0.baseAddress!, stride, half)
                    }
                    digest.add(fits)
                    stored.withUnsafeBytes { bytes in
                        for i in 0..<count * stride {
                            if half {
                                digest.add(half: bytes.load(fromByteOffset: 2 * i, as: UInt16.self))
                            } else {
                                digest.add(bytes.load(fromByteOffset: 4 * i, as: Float.self))
                            }
                        }
                    }
                }
            }
        }
        for (heads, stride, pairs) in [(1, 2, 1), (3, 24, 10), (2, 64, 32), (5, 128, 64)] {
            let x = KernelComparison.floats(heads * stride, fill, seed: 31), angles = KernelComparison.floats(2 * pairs, .random, seed: 32)
            compare("rope \(heads)x\(stride), fill \(fill.number)") { kernels, digest in
                var out = x
                out.withUnsafeMutableBufferPointer {
                    kernels.table.rotatePairs($0.baseAddress!, heads, stride, pairs, angles)
                }
                digest.add(out)
            }
        }
    }

    /// Attention over pages of every type, rows enough to have pages unpacked and too few for that.
    mutating func attention(_ fill: Fill) {
        for (keys, values) in [
            (CacheType.f32, CacheType.f32), (.f16, .f16), (.q8_0, .q8_0), (.q4_0, .q4_0), (.f16, .q4_0), (.q8_0, .f32),
        ] {
            for (rows, group, length) in [(1, 1, 1), (1, 1, 63), (2, 2, 64), (3, 1, 65), (4, 4, 130), (6, 2, 127), (9, 3, 1), (13, 1, 61), (8, 4, 190)] {
                for headStride in keys.isQuantized || values.isQuantized ? [64, 128] : [16, 64, 80] {
                    let pages = (length + (rows - 1) / group + 63) / 64
                    let k = KernelComparison.part(keys, headStride, pages, fill, seed: 41)
                    let v = KernelComparison.part(values, headStride, pages, fill, seed: 42)
                    let q = KernelComparison.floats(rows * headStride, fill, seed: 43, extreme: 1e4)
                    compare("attention of \(keys.name) and \(values.name), \(rows) rows, \(length) positions, fill \(fill.number)") {
                        kernels, digest in
                        let scratch = Scratch(Kernels.attentionScratchBytes(rows: rows, headStride: headStride))
                        var out = [Float](repeating: 0, count: rows * headStride)
                        let kPages = (0..<pages).map { UnsafeRawPointer(k.pointer + $0 * keys.partBytes(headStride: headStride)) }
                        let vPages = (0..<pages).map { UnsafeRawPointer(v.pointer + $0 * values.partBytes(headStride: headStride)) }
                        out.withUnsafeMutableBufferPointer {
                            KernelComparison.attend(
                                kernels, q, rows: rows, group: group, headStride: headStride, kPages: kPages, vPages: vPages, length: length,
                                keys, values, out: $0.baseAddress!, scratch.pointer)
                        }
                        digest.add(out)
                    }
                }
            }
        }
    }

    /// Arrays become pointers where a function is called.
    static func attend(
        _ kernels: Kernels, _ q: UnsafePointer<Float>, rows: Int, group: Int, headStride: Int, kPages: UnsafePointer<UnsafeRawPointer>,
        vPages: UnsafePointer<UnsafeRawPointer>, length: Int, _ keys: CacheType, _ values: CacheType, out: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutableRawPointer
    ) {
        let operands = AttentionOperands(
            q: q, rows: rows, group: group, head_stride: headStride, scale: 0.125, k_pages: kPages, v_pages: vPages, length: length,
            k_type: keys.rawValue, v_type: values.rawValue, out: out, scratch: scratch)
        withUnsafePointer(to: operands) { kernels.table.attention($0) }
    }

    /// Pages of one head: floats, halves, or integers with their scales.
    static func part(_ type: CacheType, _ headStride: Int, _ pages: Int, _ fill: Fill, seed: UInt64) -> Scratch {
        let bytes = type.partBytes(headStride: headStride), memory = Scratch(pages * bytes)
        // the bytes of weights of these types, which end with halves where a page begins with them
        switch type {
        case .f32, .f16:
            let count = pages * 64 * headStride
            let data = randomBlocks(type == .f32 ? .f32 : .f16, rows: 1, columns: count, fill: fill, seed: seed)
            for i in 0..<data.count { memory.pointer.storeBytes(of: data[i], toByteOffset: i, as: UInt8.self) }
        case .q8_0, .q4_0:
            for page in 0..<pages {
                let scales = headStride / 32 * 128, start = page * bytes
                let halves = randomBlocks(.f16, rows: 1, columns: scales / 2, fill: fill, seed: seed + UInt64(page))
                var random = TestRandom(state: seed + 100 + UInt64(page))
                for i in 0..<scales { memory.pointer.storeBytes(of: halves[i], toByteOffset: start + i, as: UInt8.self) }
                for i in scales..<bytes {
                    memory.pointer.storeBytes(of: UInt8(truncatingIfNeeded: random.next()), toByteOffset: start + i, as: UInt8.self)
                }
            }
        }
        return memory
    }

    /// Floats to superblocks and back.
    mutating func superblocks(_ fill: Fill) {
        if fill == .strange { return }  // what is quantized is finite
        let count = 5 * 256, x = KernelComparison.floats(count, fill, seed: 51)
        var importance = KernelComparison.floats(count, .random, seed: 52)
        for i in 0..<count { importance[i] = importance[i].magnitude }
        for type in [BlockType.q2_K, .q3_K, .q4_K, .q5_K, .q6_K] {
            for weighted in [false, true] {
                compare("\(type.name) made, fill \(fill.number)") { kernels, digest in
                    let out = Scratch(5 * type.bytes), scratch = Scratch(Kernels.quantizeScratchBytes), back = Scratch(4 * count)
                    let table = Scratch(Kernels.dequantizeScratchBytes), floats = back.pointer.assumingMemoryBound(to: Float.self)
                    importance.withUnsafeBufferPointer {
                        kernels.quantize(
                            type, x, importance: weighted ? $0.baseAddress! : nil, count: count, out.pointer, scratch: scratch.pointer)
                    }
                    kernels.dequantize(type, out.pointer, count, floats, scratch: table.pointer)
                    for i in 0..<5 * type.bytes { digest.add(UInt32(out.pointer.load(fromByteOffset: i, as: UInt8.self))) }
                    for i in 0..<count { digest.add(floats[i]) }
                }
            }
        }
    }
}

extension Fill {
    /// For names, without reflection.
    var number: Int {
        switch self {
        case .random: 0
        case .zero: 1
        case .extreme: 2
        case .strange: 3
        }
    }
}
