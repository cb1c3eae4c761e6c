import Llama2Core

/// Small deterministic generator for test data (splitmix64).
struct TestRandom {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func float() -> Float { Float(Int64(next() >> 40)) / Float(1 << 23) - 1 }
}

/// Which values the test data takes.
enum Fill: CaseIterable { case random, zero, extreme, strange }

/// A float of a kind, as bits. `.strange`: infinities, NaNs, subnormal ones, huge ones, one time in 128; else random.
func floatBits(_ fill: Fill, _ random: inout TestRandom, extreme: Float) -> UInt32 {
    switch fill {
    case .random: return random.float().bitPattern
    case .zero: return 0
    case .extreme: return ((random.next() & 1 == 0 ? extreme : -extreme) * (1 + random.float() / 16)).bitPattern
    case .strange:
        let which = random.next() % 512
        if which > 3 { return random.float().bitPattern }
        if which == 0 { return UInt32(truncatingIfNeeded: random.next()) | 0x7f80_0000 }  // mostly NaN
        if which == 1 { return 0x7f80_0000 | UInt32(truncatingIfNeeded: random.next()) & 0x8000_0000 }
        if which == 2 { return UInt32(truncatingIfNeeded: random.next()) & 0x807f_ffff }
        return UInt32(truncatingIfNeeded: random.next()) & 0xfeff_ffff
    }
}

/// Bytes of a (rows, columns) matrix; with `.random` the scales are small finite halves.
func randomBlocks(_ type: BlockType, rows: Int, columns: Int, fill: Fill, seed: UInt64) -> [UInt8] {
    var random = TestRandom(state: seed)
    let blocks = rows * columns / type.elements
    var bytes: [UInt8] = []
    func half() -> [UInt8] {
        let bits: UInt16 =
            switch fill {
            // of either sign, from 2^-14 to 1/16
            case .random: UInt16(truncatingIfNeeded: random.next() & 0x83ff | (1 + random.next() % 10) << 10)
            case .zero: 0
            case .extreme: 0x7bff
            // infinities, NaNs, subnormal ones, anything
            case .strange:
                random.next() % 64 == 0 ? UInt16(truncatingIfNeeded: random.next() & 0x83ff | 0x7c00) : UInt16(truncatingIfNeeded: random.next() & 0xbfff)
            }
        return [UInt8(bits & 255), UInt8(bits >> 8)]
    }
    func payload(_ n: Int) -> [UInt8] {
        (0..<n).map { _ in
            switch fill {
            case .random, .strange: UInt8(truncatingIfNeeded: random.next())
            case .zero: 0
            case .extreme: random.next() & 1 == 0 ? 0x80 : 0xff
            }
        }
    }
    for _ in 0..<blocks {
        switch type {
        case .f32:
            let bits = floatBits(fill, &random, extreme: 3e38)
            for i in 0..<4 { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(8 * i))) }
        case .f16: bytes += half()
        case .bf16: bytes += fill == .random ? [payload(1)[0], 0x3c] : fill == .zero ? [0, 0] : fill == .extreme ? [0x7f, 0x7f] : payload(2)
        case .q4_1, .q5_1, .q4_K, .q5_K: bytes += half() + half() + payload(type.bytes - 4)
        case .q2_K: bytes += payload(type.bytes - 4) + half() + half()
        case .q3_K, .q6_K, .tq1_0, .tq2_0: bytes += payload(type.bytes - 2) + half()
        case .iq1_m:
            // the half is spread over the top nibbles of the last eight bytes
            let d = half()
            let nibbles = [d[0] & 15, d[0] >> 4, d[1] & 15, d[1] >> 4]
            bytes += payload(type.bytes - 8)
            for n in nibbles { bytes += [payload(1)[0], payload(1)[0] & 15 | n << 4] }
        default:  // most formats begin with their half
            bytes += half() + payload(type.bytes - 2)
        }
    }
    return bytes
}
