/// A token that may be chosen.
struct Candidate: BitwiseCopyable {
    var logit: Float
    var token: Int32

    /// The order of choice: the higher logit, of equal ones the lower id. Total, so that the result does
    /// not depend on how the heap came about.
    @inline(__always) static func isBetter(_ a: Candidate, _ b: Candidate) -> Bool {
        a.logit > b.logit || (a.logit == b.logit && a.token < b.token)
    }
}

/// A binary heap in borrowed memory, the best candidate on top. Removed candidates stay behind it, so
/// that what was removed first lies last.
struct CandidateHeap {
    private let items: UnsafeMutablePointer<Candidate>
    private(set) var count = 0

    init(_ items: UnsafeMutablePointer<Candidate>) { self.items = items }

    var largest: Candidate? { count > 0 ? items[0] : nil }

    func sum(_ value: (Candidate) -> Double) -> Double {
        var total = 0.0
        for i in 0..<count { total += value(items[i]) }
        return total
    }

    /// All n logits but those of -infinity.
    mutating func takeAll(_ logits: UnsafePointer<Float>, _ n: Int) {
        for i in 0..<n where logits[i] > -.infinity {
            items[count] = Candidate(logit: logits[i], token: Int32(truncatingIfNeeded: i))
            count &+= 1
        }
        order(Candidate.isBetter)
    }

    /// The k best of n logits: a heap with the worst of the k on top, then turned round.
    mutating func keepBest(_ k: Int, of logits: UnsafePointer<Float>, _ n: Int) {
        let isWorse = { (a: Candidate, b: Candidate) in Candidate.isBetter(b, a) }
        var i = 0
        while i < n && count < k {
            if logits[i] > -.infinity {
                items[count] = Candidate(logit: logits[i], token: Int32(truncatingIfNeeded: i))
                count &+= 1
            }
            i &+= 1
        }
        order(isWorse)
        while i < n {
            // ids grow, so an equal logit is never better
            if logits[i] > items[0].logit {
                items[0] = Candidate(logit: logits[i], token: Int32(truncatingIfNeeded: i))
                sink(0, isWorse)
            }
            i &+= 1
        }
        order(Candidate.isBetter)
    }

    mutating func removeLargest() {
        count &-= 1
        let top = items[0]
        items[0] = items[count]
        items[count] = top
        sink(0, Candidate.isBetter)
    }

    @inline(__always) private func order(_ above: (Candidate, Candidate) -> Bool) {
        var i = count / 2
        while i > 0 {
            i &-= 1
            sink(i, above)
        }
    }

    @inline(__always) private func sink(_ start: Int, _ above: (Candidate, Candidate) -> Bool) {
        var parent = start
        while true {
            var child = 2 &* parent &+ 1
            guard child < count else { return }
            if child &+ 1 < count, above(items[child &+ 1], items[child]) { child &+= 1 }
            guard above(items[child], items[parent]) else { return }
            let other = items[parent]
            items[parent] = items[child]
            items[child] = other
            parent = child
        }
    }
}
