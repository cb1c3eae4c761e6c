import Llama2Core

// Loops over a whole vocabulary, 16 logits at a time: what a step costs that keeps few of many.

private typealias Lanes = SIMD16<Float>

@inline(__always)
private func load(_ pointer: UnsafePointer<Float>, _ index: Int) -> Lanes {
    UnsafeRawPointer(pointer + index).loadUnaligned(as: Lanes.self)
}

/// Whether any lane of the mask is set. (A mask's lane is all ones or all zeros.)
@inline(__always)
private func isAnySet(_ mask: SIMDMask<SIMD16<Int32>>) -> Bool {
    let words = unsafeBitCast(mask, to: SIMD8<UInt64>.self)
    let four = words.lowHalf | words.highHalf, two = four.lowHalf | four.highHalf
    return two[0] | two[1] != 0
}

/// Copies `count` logits; false when one of them is NaN or +infinity.
func copyFinite(_ source: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>, _ count: Int) -> Bool {
    var good = SIMDMask<SIMD16<Int32>>(repeating: true), isGood = true
    var i = 0
    while i &+ 16 <= count {
        let lanes = load(source, i)
        UnsafeMutableRawPointer(target + i).storeBytes(of: lanes, as: Lanes.self)
        good = good .& (lanes .< Lanes(repeating: .infinity))  // false for NaN as well
        i &+= 16
    }
    while i < count {
        target[i] = source[i]
        if !(target[i] < .infinity) { isGood = false }
        i &+= 1
    }
    return isGood && !isAnySet(.!good)
}

/// The highest of `count` logits, none of which is NaN, and how many are not -infinity.
func highest(_ logits: UnsafePointer<Float>, _ count: Int) -> (Float, finite: Int) {
    var most = Lanes(repeating: -.infinity), finite = SIMD16<Int32>.zero
    var i = 0
    while i &+ 16 <= count {
        let lanes = load(logits, i)
        most.replace(with: lanes, where: lanes .> most)
        finite.replace(with: finite &+ 1, where: lanes .> Lanes(repeating: -.infinity))
        i &+= 16
    }
    var top = most.max(), number = Int(finite.wrappedSum())  // at most Int32.max logits
    while i < count {
        if logits[i] > -.infinity { number &+= 1 }
        if logits[i] > top { top = logits[i] }
        i &+= 1
    }
    return (top, number)
}

/// The lowest id of that logit, which one of them has.
func firstEqual(_ logit: Float, _ logits: UnsafePointer<Float>, _ count: Int) -> Int32 {
    var i = 0
    while i &+ 16 <= count, !isAnySet(load(logits, i) .== Lanes(repeating: logit)) { i &+= 16 }
    while i < count, logits[i] != logit { i &+= 1 }
    return Int32(truncatingIfNeeded: i)
}

/// Writes the `size` best of `logits` (count, at least `size` of them more than -infinity) to `best`, in order; returns `size`.
func sortBest(_ logits: UnsafePointer<Float>, _ count: Int, into best: UnsafeMutablePointer<Candidate>, _ size: Int) -> Int {
    guard size > 0 else { return 0 }
    // 1. A heap of the first `size` candidates, the worst at the root.
    var filled = 0, id = 0
    while filled < size, id < count {
        if logits[id] > -.infinity {
            best[filled] = Candidate(token: Int32(truncatingIfNeeded: id), logit: logits[id])
            filled &+= 1
        }
        id &+= 1
    }
    var root = size / 2
    while root > 0 {
        root &-= 1
        siftDown(best, root, size)
    }
    // 2. Each of the others that beats the worst replaces it. Ids rise, so none does on a tie.
    @inline(__always) func offer(_ id: Int) {
        guard logits[id] > best[0].logit else { return }
        best[0] = Candidate(token: Int32(truncatingIfNeeded: id), logit: logits[id])
        siftDown(best, 0, size)
    }
    while id &+ 16 <= count {
        if isAnySet(load(logits, id) .> Lanes(repeating: best[0].logit)) { for i in id..<(id &+ 16) { offer(i) } }
        id &+= 16
    }
    while id < count {
        offer(id)
        id &+= 1
    }
    // 3. Heapsort: the worst of the rest goes to the end of the rest.
    var end = size
    while end > 1 {
        end &-= 1
        (best[0], best[end]) = (best[end], best[0])
        siftDown(best, 0, end)
    }
    return size
}

/// Restores the heap order (no parent ranks before a child) below `root` in `heap[0..<size]`.
private func siftDown(_ heap: UnsafeMutablePointer<Candidate>, _ root: Int, _ size: Int) {
    let moving = heap[root]
    var hole = root
    while true {
        // Indices stay below 2 * Int32.max: no overflow.
        var child = hole &* 2 &+ 1
        guard child < size else { break }
        if child &+ 1 < size, ranksBefore(heap[child], heap[child &+ 1]) { child &+= 1 }
        guard ranksBefore(moving, heap[child]) else { break }
        heap[hole] = heap[child]
        hole = child
    }
    heap[hole] = moving
}

/// A total order, so that every sort has one result.
@inline(__always)
private func ranksBefore(_ a: Candidate, _ b: Candidate) -> Bool {
    a.logit > b.logit || (a.logit == b.logit && a.token < b.token)
}
