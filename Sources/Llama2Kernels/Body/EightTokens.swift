/// Eight tokens by the lane blocks of a panel, where there are registers for them: TokenTile.swift, in other words.

/// The integer sums of eight tokens over a block, or half of one.
private struct EightSums {
    var low: FourSums, high: FourSums

    /// index: that of the start of a whole block, or of its first half; 1: of the second half. starts: `shiftedStarts`.
    @inline(__always) init(_ form: LaneForm, _ x: TokenTile, _ index: Int, _ starts: UnsafePointer<Int32>) {
        switch form {
        case .affine, .affineHalves: self.init(zero: ())
        case .symmetric4: self.init(x.c, 0)
        case .signed8: self.init(starts, 0)
        case .halves6: self.init(x.c, 2 &+ index)
        case .halves8: self.init(starts, 2 &+ index)
        }
    }

    @inline(__always) init(_ starts: UnsafePointer<Int32>, _ index: Int) {
        low = FourSums(starts, index)
        high = FourSums(starts + 16, index)
    }

    @inline(__always) init(zero: ()) {
        low = FourSums(zero: ())
        high = FourSums(zero: ())
    }

    @inline(__always) mutating func addGroup(_ form: LaneForm, _ block: UnsafeRawPointer, _ g: Int, _ x: TokenTile) {
        low.addGroup(form, block, g, x, 0, 0)
        high.addGroup(form, block, g, x, 4, 0)
    }

    @inline(__always) mutating func add(_ other: EightSums) {
        low.add(other.low)
        high.add(other.high)
    }
}

/// The running sums of eight tokens.
private struct EightAccumulators {
    var low: FourAccumulators, high: FourAccumulators

    @inline(__always) mutating func add(_ form: LaneForm, _ block: UnsafeRawPointer, _ i: EightSums, _ j: EightSums, _ x: TokenTile) {
        low.add(form, block, i.low, j.low, x, 0, 0)
        high.add(form, block, i.high, j.high, x, 4, 0)
    }
}

/// Sixteen sums at a time, of two blocks or of two halves of one: eight would wait for each other where a product takes five cycles
/// and two start in each (Intel; 1.12 times as fast there with 512 tokens of Q4_0). Groups are written out: the compiler would leave them a loop.
@inline(__always) private func multiplyEightTokens(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ tile: TokenTile, _ acc: UnsafeMutablePointer<Float>
) {
    var a = EightAccumulators(low: FourAccumulators(load: acc), high: FourAccumulators(load: acc + 64))
    let place = placeOfSums(lanes), starts = UnsafeMutableRawPointer(place).assumingMemoryBound(to: Int32.self)
    let by: Int32 = form == .signed8 ? 4 : 2  // as `signedStart` and `signedHalfStart` in Lanes.swift
    /// The tile of a block: one pointer each, and constants.
    @inline(__always) func tokens(_ b: Int) -> TokenTile {
        let o = 8 &* b
        return TokenTile(
            q: tile.q + 32 &* o, s: tile.s + o, c: tile.c + 4 &* o, tokenStride: 1, blockStride: 8, ahead: tile.ahead, share: tile.share)
    }
    var b = 0
    // 1. two blocks
    while !form.hasHalves && b &+ 1 < blocks {
        let block = lanes + b &* laneBlockBytes, second = block + laneBlockBytes, x = tokens(b), y = tokens(b &+ 1)
        x.fetch(b)
        y.fetch(b &+ 1)
        if form.isSigned {
            shiftedStarts(x.c, by, starts)
            shiftedStarts(y.c, by, starts + 32)
        }
        var i = EightSums(form, x, 0, starts), j = EightSums(form, y, 0, starts + 32)
        @inline(__always) func add(_ g: Int) {
            i.addGroup(form, block, g, x)
            j.addGroup(form, second, g, y)
        }
        add(0)
        add(1)
        add(2)
        add(3)
        add(4)
        add(5)
        add(6)
        add(7)
        a.add(form, block, i, i, x)
        a.add(form, second, j, j, y)
        b &+= 2
    }
    // 2. two halves
    while b < blocks {
        let block = lanes + b &* laneBlockBytes, x = tokens(b)
        x.fetch(b)
        if form.isSigned { shiftedStarts(x.c, by, starts) }
        var i = EightSums(form, x, 0, starts), j = form.hasHalves ? EightSums(form, x, 1, starts) : EightSums(zero: ())
        @inline(__always) func add(_ g: Int) {
            i.addGroup(form, block, g, x)
            j.addGroup(form, block, g &+ 4, x)
        }
        add(0)
        add(1)
        add(2)
        add(3)
        if !form.hasHalves { i.add(j) }
        // offsets by way of memory: a conversion and two multiplications for four tokens instead of one
        a.add(form == .affineHalves ? .halves8 : form, block, i, j, x)
        if form == .affineHalves {
            scaledSums(x.c, x.s, place)
            a.low.addOffsets(block, place)
            a.high.addOffsets(block, place + 16)
        }
        b &+= 1
    }
    a.low.store(acc)
    a.high.store(acc + 64)
}

// A function a form, as there.

@inline(__always) func eightTokens(
    _ form: LaneForm, _ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>
) {
    switch form {
    case .symmetric4: eightSymmetric4(lanes, blocks, x, acc)
    case .signed8: eightSigned8(lanes, blocks, x, acc)
    case .affine: eightAffine(lanes, blocks, x, acc)
    case .halves6: eightHalves6(lanes, blocks, x, acc)
    case .halves8: eightHalves8(lanes, blocks, x, acc)
    case .affineHalves: eightAffineHalves(lanes, blocks, x, acc)
    }
}

@inline(never) private func eightSymmetric4(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyEightTokens(.symmetric4, lanes, blocks, x, acc)
}
@inline(never) private func eightSigned8(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyEightTokens(.signed8, lanes, blocks, x, acc)
}
@inline(never) private func eightAffine(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyEightTokens(.affine, lanes, blocks, x, acc)
}
@inline(never) private func eightHalves6(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyEightTokens(.halves6, lanes, blocks, x, acc)
}
@inline(never) private func eightHalves8(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyEightTokens(.halves8, lanes, blocks, x, acc)
}
@inline(never) private func eightAffineHalves(_ lanes: UnsafeRawPointer, _ blocks: Int, _ x: TokenTile, _ acc: UnsafeMutablePointer<Float>) {
    multiplyEightTokens(.affineHalves, lanes, blocks, x, acc)
}
