import Llama2Core
import Llama2Formats
import Testing

@testable import Llama2Kernels

extension Kernels {
    /// With scratch of its own.
    func dequantize(_ type: BlockType, _ row: UnsafeRawPointer, _ count: Int, _ out: UnsafeMutablePointer<Float>) {
        withUnsafeTemporaryAllocation(byteCount: Kernels.dequantizeScratchBytes, alignment: 64) {
            dequantize(type, row, count, out, scratch: $0.baseAddress!)
        }
    }
}

let kernelTypes = BlockType.allCases

/// out (tokens, rows) by one kernel table, the panels split in two as two threads would.
func product(_ isa: Kernels.ISA, _ type: BlockType, _ data: [UInt8], rows: Int, columns: Int, tokens: Int, x: [Float])
    throws -> [Float]
{
    let kernels = try Kernels.table(isa)
    let blocks = max(Activations.blocks(tokens, columns: columns), 1)
    let q = try AlignedBuffer<Int8>(count: 32 * blocks, of: "q")
    let scale = try AlignedBuffer<Float>(count: blocks, of: "scale")
    let corrections = try AlignedBuffer<Int32>(count: 4 * blocks, of: "corrections")
    let scratch = try AlignedBuffer<UInt8>(count: Kernels.scratchBytes, of: "scratch")
    var out = [Float](repeating: -1, count: tokens * rows)
    x.withUnsafeBufferPointer { x in
        let a = Activations(
            f32: x.baseAddress!, q: q.pointer, scale: scale.pointer, corrections: corrections.pointer, tokens: tokens)
        if !type.isFloat {
            for t in 0..<tokens { kernels.quantize(a, columns: columns, token: t, first: 0, count: columns) }
        }
        data.withUnsafeBytes { data in
            let matrix = Matrix(data: data.baseAddress!, type: type, rows: rows, columns: columns)
            out.withUnsafeMutableBufferPointer { out in
                let middle = matrix.panels / 2
                for panels in [0..<middle, middle..<matrix.panels] {
                    kernels.multiply(
                        matrix, panels: panels, a, tokens: tokens, out: out.baseAddress!, outStride: rows,
                        scratch: scratch.pointer)
                }
            }
        }
    }
    return out
}

@Test(arguments: kernelTypes, Fill.allCases)
func everyKernelEqualsTheReferenceBitForBit(type: BlockType, fill: Fill) throws {
    for (rows, columns, tokens) in [
        (1, 256, 1), (16, 256, 3), (37, 512, 9), (40, 256, 2), (32, 512, 4), (33, 256, 5), (16, 256, 7), (37, 512, 8), (33, 256, 16), (32, 512, 17),
        (48, 768, 165), (16, 256, 300),
    ] {
        let columns = type.isFloat ? columns + 5 : columns
        let data = randomBlocks(type, rows: rows, columns: columns, fill: fill, seed: 7)
        var random = TestRandom(state: 3)
        let x = (0..<tokens * columns).map { _ in random.float() * (fill == .extreme ? 1e30 : 3) }
        let expected = try product(.reference, type, data, rows: rows, columns: columns, tokens: tokens, x: x)
        for isa in Kernels.available.dropFirst() {
            let got = try product(isa, type, data, rows: rows, columns: columns, tokens: tokens, x: x)
            // a NaN is a NaN: which one is not part of the contract
            let same = zip(got, expected).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) }
            #expect(same, "\(type.name) \(isa.name) \(rows)x\(columns), \(tokens) tokens")
        }
        // tokens one by one: the same as all together
        var single: [Float] = []
        for t in 0..<min(tokens, 9) {
            single += try product(
                Kernels.available.last!, type, data, rows: rows, columns: columns, tokens: 1,
                x: Array(x[t * columns..<(t + 1) * columns]))
        }
        #expect(zip(single, expected).allSatisfy { $0.bitPattern == $1.bitPattern || ($0.isNaN && $1.isNaN) })
    }
}

/// Products, norms, attention, stores and superblocks; Tests/trust/arm64.sh makes the same comparison for arm64.
@Test func everythingThatKernelsComputeHasTheBitsOfTheReferenceAndOfOtherArchitectures() throws {
    var comparison = try KernelComparison(Kernels.available)
    comparison.all()
    #expect(comparison.cases > 1000 * (Kernels.available.count - 1))
    #expect(comparison.differing == [])
    #expect(comparison.total.value == digestOfAllKernels)
}

@Test(arguments: kernelTypes)
func productsAgreeWithDequantizedWeightsInDouble(type: BlockType) throws {
    let rows = 21, columns = 768, tokens = 2
    let data = randomBlocks(type, rows: rows, columns: columns, fill: .random, seed: 11)
    var random = TestRandom(state: 5)
    let x = (0..<tokens * columns).map { _ in random.float() }
    let got = try product(.reference, type, data, rows: rows, columns: columns, tokens: tokens, x: x)
    var row = [Float](repeating: 0, count: columns)
    for r in 0..<rows {
        data.withUnsafeBytes {
            Kernels.reference.dequantize(type, $0.baseAddress! + r * type.rowBytes(columns)!, columns, &row)
        }
        for t in 0..<tokens {
            var sum = 0.0, magnitude = 0.0
            for k in 0..<columns {
                let term = Double(row[k]) * Double(x[t * columns + k])
                sum += term
                magnitude += term * term
            }
            // int8 activations: an error of at most half a step each, so about 1 % of the root of the squares
            let bound = type.isFloat ? 1e-5 * magnitude.squareRoot() + 1e-6 : 0.03 * magnitude.squareRoot() + 1e-3
            #expect(abs(Double(got[t * rows + r]) - sum) <= bound, "\(type.name) row \(r) token \(t)")
        }
    }
}

/// `Tests/fixtures/block-types.gguf`, by the `gguf` package's numpy: for each type random blocks, and their values.
@Test func dequantizedWeightsEqualThoseOfGgufsNumpy() throws {
    let tests = #filePath.dropLast("Llama2SwiftTests/KernelTests.swift".count)
    let file = try ModelFile.open(path: FilePath(tests + "fixtures/block-types.gguf"))
    var seen = 0
    for type in kernelTypes where type != .f32 {
        let blocks = try #require(file.tensor(type.name)), values = try #require(file.tensor("\(type.name).values"))
        try #require(blocks.type == type && values.type == .f32)
        let count = blocks.shape[0]
        var out = [Float](repeating: .nan, count: count)
        Kernels.reference.dequantize(type, blocks.data.baseAddress!, count, &out)
        for i in 0..<count {
            let expected = values.data.loadUnaligned(fromByteOffset: 4 * i, as: Float.self)
            if out[i].bitPattern != expected.bitPattern {
                Issue.record("\(type.name) \(i): \(out[i]), expected \(expected)")
                break
            }
        }
        seen += 1
    }
    #expect(seen == kernelTypes.count - 1)
}

@Test(arguments: [BlockType.f16, .bf16, .q4_0, .q4_1, .q5_0, .q5_1, .q8_0])
func quantizedBytesEqualThoseOfGgufsNumpy(type: BlockType) throws {
    let tests = #filePath.dropLast("Llama2SwiftTests/KernelTests.swift".count)
    let file = try ModelFile.open(path: FilePath(tests + "fixtures/block-types.gguf"))
    let floats = try #require(file.tensor("floats")), expected = try #require(file.tensor("\(type.name).quantized"))
    let x = floats.data.bindMemory(to: Float.self)
    for isa in Kernels.available {
        let kernels = try Kernels.table(isa)
        var out = [UInt8](repeating: 0xaa, count: expected.data.count), scratch = [Float](repeating: 0, count: 2048)
        out.withUnsafeMutableBytes { out in
            scratch.withUnsafeMutableBytes { scratch in
                kernels.quantize(type, x.baseAddress!, count: x.count, out.baseAddress!, scratch: scratch.baseAddress!)
            }
        }
        let same = out.elementsEqual(expected.data)
        #expect(same, "\(type.name) \(isa.name)")
    }
}

/// Reconstruction errors of the K types on normally distributed weights, relative to their squares; the bounds are
/// llama.cpp's on such weights, as Tests/compare/test_peers.py measures them (llama-cpp-python 0.3.36).
@Test(arguments: [(BlockType.q2_K, 0.0880), (.q3_K, 0.0228), (.q4_K, 0.00509), (.q5_K, 0.00130), (.q6_K, 0.000314)])
func superblocksLoseLittleAndTheSameOnEveryKernel(type: BlockType, bound: Double) throws {
    var random = TestRandom(state: 17)
    // the sum of twelve uniform numbers is near enough to a normal one
    let x = (0..<64 * 256).map { _ in (0..<12).reduce(Float(0)) { s, _ in s + random.float() } * 0.02 }
    var first: [UInt8]?
    for isa in Kernels.available {
        let kernels = try Kernels.table(isa)
        var out = [UInt8](repeating: 0, count: 64 * type.bytes), scratch = [Float](repeating: 0, count: 2048)
        var back = [Float](repeating: 0, count: x.count)
        out.withUnsafeMutableBytes { out in
            scratch.withUnsafeMutableBytes { scratch in
                x.withUnsafeBufferPointer {
                    kernels.quantize(type, $0.baseAddress!, count: x.count, out.baseAddress!, scratch: scratch.baseAddress!)
                }
            }
            kernels.dequantize(type, out.baseAddress!, x.count, &back)
        }
        if first == nil { first = out }
        #expect(out == first, "\(type.name) \(isa.name)")
        let error = zip(x, back).reduce(0.0) { $0 + Double($1.0 - $1.1) * Double($1.0 - $1.1) }
        let size = x.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(error / size < bound, "\(type.name): \(error / size)")
    }
}

/// Zeros, one value, a single outlier, and values so large or small that scales leave the range of a half.
@Test(arguments: [BlockType.q2_K, .q3_K, .q4_K, .q5_K, .q6_K])
func superblocksOfStrangeValues(type: BlockType) throws {
    for value in [Float(0), 1, -1, 1e-30, 1e-44, 3e4, 1e30, -3e38] {
        for only in [false, true] {
            var x = [Float](repeating: only ? 0 : value, count: 256)
            x[77] = value
            var first: [UInt8]?
            for isa in Kernels.available {
                var out = [UInt8](repeating: 0, count: type.bytes), scratch = [Float](repeating: 0, count: 2048)
                var back = [Float](repeating: .nan, count: 256)
                let kernels = try Kernels.table(isa)
                out.withUnsafeMutableBytes { out in
                    scratch.withUnsafeMutableBytes { scratch in
                        kernels.quantize(type, x, count: 256, out.baseAddress!, scratch: scratch.baseAddress!)
                    }
                    kernels.dequantize(type, out.baseAddress!, 256, &back)
                }
                if first == nil { first = out }
                #expect(out == first, "\(type.name) \(isa.name) \(value)")
                let finite = back.allSatisfy { $0.isFinite }
                #expect(finite, "\(type.name) \(value)")
                if abs(value) <= 3e4 && abs(value) >= 1 { #expect(abs(back[77] - value) <= 0.1 * abs(value), "\(type.name) \(value): \(back[77])") }
            }
        }
    }
}

@Test func halfConversionIsExactAndRoundsToEven() {
    for bits in UInt16.min...UInt16.max {
        let value = halfToFloat(bits)
        if !value.isNaN { #expect(floatToHalf(value) == bits) }
    }
    #expect(floatToHalf(65519.996) == 0x7bff)
    #expect(floatToHalf(65520) == 0x7c00)
    #expect(floatToHalf(1 + 1 / 2048) == 0x3c00)
    #expect(floatToHalf(1 + 3 / 2048) == 0x3c02)
    #expect(floatToHalf(Float(bitPattern: 0x3300_0000)) == 0)  // 2^-25: a tie, to even
}

@Test func cosineAndSineAreRightToTheLastPlaceOfAFloat() {
    // exact values at multiples of pi/6, and the identity everywhere
    #expect(Float(Kernels.cosineAndSine(0).0) == 1)
    #expect(abs(Kernels.cosineAndSine(1.0471975511965976).0 - 0.5) < 1e-15)
    #expect(abs(Kernels.cosineAndSine(0.5235987755982989).1 - 0.5) < 1e-15)
    #expect(abs(Kernels.cosineAndSine(131071.0).0 - -0.8179834993879491) < 1e-11)
    #expect(abs(Kernels.cosineAndSine(131071.0).1 - -0.5752416837547893) < 1e-11)
    #expect(abs(Kernels.cosineAndSine(8191.5).0 - -0.20145606349327386) < 1e-11)
    #expect(abs(Kernels.cosineAndSine(8191.5).1 - -0.9794975520550289) < 1e-11)
    var random = TestRandom(state: 1)
    for _ in 0..<1000 {
        let (c, s) = Kernels.cosineAndSine(Double(random.next() >> 44))
        #expect(abs(c * c + s * s - 1) < 1e-14)
    }
}
