/// The softmax of attention over one page of 64 positions: scores become weights. Attention.swift has the formula.

/// Scores of a page to weights e^(scale score - maximum), of which the first `count` are used; what was summed so far
/// moves to the new maximum. state: (maximum, total) of the row. Returns the factor for the row's output so far.
func weigh(
    _ scores: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float, _ state: UnsafeMutablePointer<Float>
) -> Float {
    let largest = largestScore(scores, count, scale, state[0])
    let correction = factor(from: state[0], to: largest)
    weigh(scores, count, scale, largest, correction, state)
    return correction
}

/// What sums with the maximum `previous` are multiplied by when it becomes `largest`.
@inline(__always) func factor(from previous: Float, to largest: Float) -> Float {
    largest == previous ? 1 : exponential(F32x16(splat: previous - largest)).first
}

/// `weigh` for the scores (4, 64) of four rows whose counts these are; factors: (16), of which the first four become the rows'.
func weighFour(
    _ scores: UnsafeMutablePointer<Float>, _ counts: (Int, Int, Int, Int), _ scale: Float, _ state: UnsafeMutablePointer<Float>,
    _ factors: UnsafeMutablePointer<Float>
) {
    // what one row waits for is done for all four: the maxima, one vector of differences, the exponentials
    let a = largestScore(scores, counts.0, scale, state[0]), b = largestScore(scores + 64, counts.1, scale, state[2])
    let c = largestScore(scores + 128, counts.2, scale, state[4]), d = largestScore(scores + 192, counts.3, scale, state[6])
    factors[0] = state[0] - a
    factors[1] = state[2] - b
    factors[2] = state[4] - c
    factors[3] = state[6] - d
    exponential(F32x16(load: factors)).store(factors)
    if a == state[0] { factors[0] = 1 }
    if b == state[2] { factors[1] = 1 }
    if c == state[4] { factors[2] = 1 }
    if d == state[6] { factors[3] = 1 }
    weigh(scores, counts.0, scale, a, factors[0], state)
    weigh(scores + 64, counts.1, scale, b, factors[1], state + 2)
    weigh(scores + 128, counts.2, scale, c, factors[2], state + 4)
    weigh(scores + 192, counts.3, scale, d, factors[3], state + 6)
}

/// The greatest of a page's scores, scaled.
@inline(__always) func greatest(_ scores: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float) -> Float {
    // positions beyond the last hold what an earlier sequence left there, anything
    var j = count
    while j < 64 {
        scores[j] = -Float.infinity
        j &+= 1
    }
    return Quad(scores, times: F32x16(splat: scale)).largest
}

/// The row's new maximum.
@inline(__always) func larger(_ most: Float, _ previous: Float) -> Float {
    // a NaN among the scores may hide here, or make -infinity the maximum: then the differences below are NaN, and the total
    most > previous ? most : previous
}

@inline(__always) private func largestScore(
    _ scores: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float, _ previous: Float
) -> Float { larger(greatest(scores, count, scale), previous) }

@inline(__always) private func weigh(
    _ scores: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float, _ largest: Float, _ correction: Float,
    _ state: UnsafeMutablePointer<Float>
) {
    let sum = turnToWeights(scores, count, scale, largest)
    state[0] = largest
    state[1] = state[1] * correction + sum
}

/// The weights of a page in place of its scores; returns their sum.
@inline(__always) func turnToWeights(_ scores: UnsafeMutablePointer<Float>, _ count: Int, _ scale: Float, _ largest: Float) -> Float {
    let s = Quad(scores, times: F32x16(splat: scale)), m = F32x16(splat: largest)
    var w0 = exponential(s.a - m), w1 = exponential(s.b - m), w2 = exponential(s.c - m), w3 = exponential(s.d - m)
    w0.store(scores)
    w1.store(scores + 16)
    w2.store(scores + 32)
    w3.store(scores + 48)
    if count < 64 {
        var j = count
        while j < 64 {
            scores[j] = 0
            j &+= 1
        }
        (w0, w1) = (F32x16(load: scores), F32x16(load: scores + 16))
        (w2, w3) = (F32x16(load: scores + 32), F32x16(load: scores + 48))
    }
    return ((w0 + w1) + (w2 + w3)).sum
}

extension F32x16 {
    /// Lane 0, through memory: used once a page.
    @inline(__always) fileprivate var first: Float {
        var lanes = SIMD16<Float>(repeating: 0)
        withUnsafeMutablePointer(to: &lanes) { store(UnsafeMutableRawPointer($0).assumingMemoryBound(to: Float.self)) }
        return lanes[0]
    }
}
