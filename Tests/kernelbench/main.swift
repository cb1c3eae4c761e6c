/// Speed of the products of one thread: swift run -c release kernelbench [TYPES [COLUMNS [MEGABYTES [TOKENS]]]]; and `kernelbench compare`
///
/// For each type and instruction set: one token in GB/s of weights beside a bare read of the same bytes in the same loop, and
/// several tokens in GOP/s (a multiplication and an addition are two). By CPU time of the thread, the best of many short
/// repetitions, so that a machine that is not quiet disturbs it little; the weights are random.

import Glibc
import Llama2Core
import Llama2Kernels

let arguments = CommandLine.arguments
// kernelbench compare: the bits of every kernel of this machine against the reference, as `swift test` compares them
if arguments.count > 1 && arguments[1] == "compare" {
    var comparison = try KernelComparison(Kernels.available)
    comparison.all()
    for name in comparison.differing { print("different: \(name)") }
    let same = comparison.total.value == digestOfAllKernels
    let verdict = same ? "" : "NOT (\(comparison.total.value)) "
    print("\(comparison.cases) comparisons, \(comparison.differing.count) different; the reference is \(verdict)as everywhere")
    exit(comparison.differing.isEmpty && same ? 0 : 1)
}
let columns = arguments.count > 2 ? Int(arguments[2])! : 2048
let megabytes = arguments.count > 3 ? Int(arguments[3])! : 64
let types = BlockType.allCases.filter { arguments.count < 2 || arguments[1].split(separator: ",").contains(Substring($0.name)) }
let tokenCounts = arguments.count > 4 ? arguments[4].split(separator: ",").map { Int($0)! } : [1, 2, 4, 8, 16, 512]

func seconds() -> Double {
    var t = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
    return Double(t.tv_sec) + Double(t.tv_nsec) * 1e-9
}

/// Best time of `repetitions` calls, in seconds.
func best(_ repetitions: Int, _ work: () -> Void) -> Double {
    var least = Double.infinity
    for _ in 0..<repetitions {
        let start = seconds()
        work()
        least = min(least, seconds() - start)
    }
    return least
}

/// A sum of all words, so that every byte is read.
@inline(never) func read(_ p: UnsafeRawPointer, _ count: Int) -> UInt64 {
    var sums = (SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>(), SIMD8<UInt64>())
    var i = 0
    while i + 256 <= count {
        sums.0 &+= p.loadUnaligned(fromByteOffset: i, as: SIMD8<UInt64>.self)
        sums.1 &+= p.loadUnaligned(fromByteOffset: i + 64, as: SIMD8<UInt64>.self)
        sums.2 &+= p.loadUnaligned(fromByteOffset: i + 128, as: SIMD8<UInt64>.self)
        sums.3 &+= p.loadUnaligned(fromByteOffset: i + 192, as: SIMD8<UInt64>.self)
        i += 256
    }
    return (sums.0 &+ sums.1 &+ sums.2 &+ sums.3).wrappedSum()
}

/// d.dd
func text(_ x: Double) -> String {
    let hundredths = Int(x * 100)
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
}

/// Weights of `count` blocks: random bytes, but no number of them infinite, none at all or too small to be normal (of every high byte one bit is
/// clear and one is set): some CPUs take a hundred cycles for one of those.
func randomWeights(_ count: Int) throws -> AlignedBuffer<UInt8> {
    let buffer = try AlignedBuffer<UInt8>(count: count, of: "weights")
    var state: UInt64 = 1
    for i in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        buffer.pointer[i] = UInt8(truncatingIfNeeded: state >> 56) & 0xbf | 0x20
    }
    return buffer
}

let data = try randomWeights(megabytes << 20)
var sink: UInt64 = 0
for type in types {
    guard let rowBytes = type.rowBytes(columns) else { continue }
    let rows = data.count / rowBytes / 16 * 16
    let matrix = Matrix(data: UnsafeRawPointer(data.pointer), type: type, rows: rows, columns: columns)
    for isa in Kernels.available {
        let kernels = try Kernels.table(isa)
        var line = "\(type.name)  \(isa.name)"
        for tokens in tokenCounts where isa != .reference || tokens <= 8 {
            let blocks = max(Activations.blocks(tokens, columns: columns), 1)
            let x = try AlignedBuffer<Float>(count: tokens * columns, of: "x"), q = try AlignedBuffer<Int8>(count: 32 * blocks, of: "q")
            let scale = try AlignedBuffer<Float>(count: blocks, of: "s"), c = try AlignedBuffer<Int32>(count: 4 * blocks, of: "c")
            let scratch = try AlignedBuffer<UInt8>(count: Kernels.scratchBytes, of: "scratch")
            let out = try AlignedBuffer<Float>(count: tokens * rows, of: "out")
            for i in 0..<tokens * columns { x.pointer[i] = Float(i % 17) - 8 }
            // the pages are there before anything is timed
            for i in stride(from: 0, to: tokens * rows, by: 1024) { out.pointer[i] = 1 }
            let a = Activations(f32: x.pointer, q: q.pointer, scale: scale.pointer, corrections: c.pointer, tokens: tokens)
            if !type.isFloat {
                for t in 0..<tokens { kernels.quantize(a, columns: columns, token: t, first: 0, count: columns) }
            }
            // about 2 ms of the fast kernels: 16 MiB of weights for one token, 200 MOP otherwise; one panel after the other
            let work = tokens == 1 ? (16 << 20) / rowBytes : 100_000_000 / (columns * tokens)
            let panels = max(1, min(matrix.panels, (isa == .reference ? work / 20 : work) / 16))
            var at = 0
            func next() -> Range<Int> {
                if at + panels > matrix.panels { at = 0 }
                defer { at += panels }
                return at..<at + panels
            }
            let bytes = Double(panels * 16 * rowBytes)
            let time = best(isa == .reference ? 3 : 30) {
                kernels.multiply(matrix, panels: next(), a, tokens: tokens, out: out.pointer, outStride: rows, scratch: scratch.pointer)
            }
            if tokens == 1 {
                let bare = best(30) { sink &+= read(matrix.panel(next().lowerBound), Int(bytes)) }
                line += "  1: \(text(bytes / time * 1e-9)) GB/s, \(text(bare / time)) of a bare read"
            } else {
                line += "  \(tokens): \(Int(2 * Double(panels * 16 * columns * tokens) / time * 1e-9)) GOP/s"
            }
        }
        print(line)
        fflush(nil)
    }
}
if sink == 1 { print() }
