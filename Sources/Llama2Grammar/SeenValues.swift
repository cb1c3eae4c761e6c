internal import Llama2Core

/// Of the values that came before in an array whose items must differ, those that begin as the text that is being written.
struct Alike: BitwiseCopyable, Equatable {
    var set: Int32 = -1  // none: no value begins so
    var low: Int32 = 0, high: Int32 = 0  // places in the set, which is in the order of its bytes
    var depth: Int32 = 0  // bytes that they share with the text

    static let none = Alike()
    /// What came before is not known: while a token is looked at that ends one item and begins the next. Nothing may follow the
    /// beginning then; other tokens write the same text.
    static let unknown = Alike(set: -2)

    var isNone: Bool { self.set == -1 }
    var isUnknown: Bool { self.set == -2 }
}

extension Alike {
    /// Four numbers of a state, from `place` on.
    init(_ list: UnsafeBufferPointer<Int32>, at place: Int) {
        self.init(set: list[place], low: list[place + 1], high: list[place + 2], depth: list[place + 3])
    }
}

/// The values that came in arrays whose items must differ: scalars, as bytes behind a letter that tells strings from the rest.
///
///     values    (letter, bytes), each once
///     sets      numbers of values in the order of their bytes, each once; set 0 is empty
final class SeenValues {
    static let string: Int32 = 0x73, plain: Int32 = 0x70  // s, p: numbers and words, as they are written

    private var values: TupleTable
    private var sets: TupleTable
    private var work: GrowingBuffer<Int32>
    /// Numbers in all sets: they grow with the square of the items.
    private(set) var size = 0

    init() throws(Llama2Error) {
        values = try TupleTable(64)
        sets = try TupleTable(64)
        work = try GrowingBuffer(capacity: 64, of: "items of a grammar")
        _ = try sets.number(UnsafeBufferPointer(start: nil, count: 0))
    }

    func removeAll() throws(Llama2Error) {
        values.removeAll()
        sets.removeAll()
        size = 0
        _ = try sets.number(UnsafeBufferPointer(start: nil, count: 0))
    }

    /// The set with one value more.
    func adding(_ value: [UInt8], _ letter: Int32, to set: Int32) throws(Llama2Error) -> Int32 {
        work.removeAll()
        try work.append(letter)
        for byte in value { try work.append(Int32(byte)) }
        let number = try values.number(work.elements)
        work.removeAll()
        var isIn = false
        for other in sets[set] {
            if other == number { return set }
            if !isIn, values[number].lexicographicallyPrecedes(values[other]) {
                try work.append(number)
                isIn = true
            }
            try work.append(other)
        }
        if !isIn { try work.append(number) }
        let known = sets.count, result = try sets.number(work.elements)
        if sets.count > known { size += work.count }
        return result
    }

    /// The same set in another store.
    func copy(_ set: Int32, to other: SeenValues) throws(Llama2Error) -> Int32 {
        other.work.removeAll()
        for value in sets[set] { try other.work.append(try other.values.number(values[value])) }
        let known = other.sets.count, result = try other.sets.number(other.work.elements)
        if other.sets.count > known { other.size += other.work.count }
        return result
    }

    /// Those of one kind, when nothing is written yet.
    func all(_ letter: Int32, of set: Int32) -> Alike {
        narrowed(Alike(set: set, low: 0, high: Int32(truncatingIfNeeded: sets[set].count), depth: 0), letter)
    }

    /// Those that go on with `byte`.
    func following(_ alike: Alike, _ byte: UInt8) -> Alike { narrowed(alike, Int32(byte)) }

    private func narrowed(_ alike: Alike, _ byte: Int32) -> Alike {
        guard alike.set >= 0 else { return alike }
        let low = firstPlace(alike, byte), high = firstPlace(alike, byte + 1)
        return low < high ? Alike(set: alike.set, low: low, high: high, depth: alike.depth + 1) : .none
    }

    /// The first place whose value goes on with `byte` or a higher one; one that ends here comes before all.
    private func firstPlace(_ alike: Alike, _ byte: Int32) -> Int32 {
        let set = sets[alike.set]
        var low = alike.low, high = alike.high
        while low < high {
            let middle = low + (high - low) / 2, value = values[set[Int(middle)]]
            if Int(alike.depth) < value.count && value[Int(alike.depth)] >= byte { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Whether what is written is one of them as a whole.
    func isWhole(_ alike: Alike) -> Bool {
        alike.set >= 0 && alike.low < alike.high && values[sets[alike.set][Int(alike.low)]].count == Int(alike.depth)
    }

    /// The characters with which they go on, ascending.
    func nextScalars(_ alike: Alike) -> [UInt32] {
        var out: [UInt32] = []
        for place in alike.low..<alike.high {
            let value = values[sets[alike.set][Int(place)]]
            guard let scalar = UTF8Ranges.scalar(value.dropFirst(Int(alike.depth)).lazy.map { UInt8(truncatingIfNeeded: $0) }) else { continue }
            if out.last != scalar { out.append(scalar) }
        }
        return out
    }
}

/// A scalar at the end of a JSON text: a whole string, or a number or word as far as it is written.
enum LastScalar {
    /// Its bytes, unescaped if it is a string, and whether it is one.
    static func read(_ text: UnsafeBufferPointer<UInt8>) -> (bytes: [UInt8], isString: Bool) {
        guard text.last == 0x22 else {
            var start = text.count
            while start > 0, isPlain(text[start - 1]) { start -= 1 }
            return (withoutZeros(Array(text[start...])), false)
        }
        // a quote inside of a string stands behind an odd number of backslashes
        var start = text.count - 2
        while start >= 0 {
            if text[start] == 0x22 {
                var slashes = 0
                while start - 1 - slashes >= 0, text[start - 1 - slashes] == 0x5C { slashes += 1 }
                if slashes % 2 == 0 { break }
            }
            start -= 1
        }
        return (unescaped(text, start + 1, text.count - 1), true)
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".")
    }

    /// A number without zeros that say nothing behind its point.
    private static func withoutZeros(_ text: [UInt8]) -> [UInt8] {
        guard text.contains(UInt8(ascii: ".")) else { return text }
        var out = text
        while out.last == UInt8(ascii: "0") { out.removeLast() }
        if out.last == UInt8(ascii: ".") { out.removeLast() }
        return out
    }

    private static func unescaped(_ text: UnsafeBufferPointer<UInt8>, _ from: Int, _ to: Int) -> [UInt8] {
        var out: [UInt8] = [], i = from
        func unit(_ at: Int) -> UInt32 {
            guard at + 4 <= to else { return 0 }
            return text[at..<at + 4].reduce(0) { $0 << 4 | UInt32($1 < 0x40 ? $1 - 0x30 : ($1 | 0x20) - 0x57) }
        }
        while i < to {
            guard text[i] == 0x5C, i + 1 < to else {
                out.append(text[i])
                i += 1
                continue
            }
            if let scalar = StringStepper.escapes.first(where: { $0.0 == text[i + 1] })?.1 {
                out += UTF8Ranges.bytes(scalar)
                i += 2
            } else {
                var scalar = unit(i + 2)
                i += 6
                if (0xD800...0xDBFF).contains(scalar) {  // the grammar lets nothing but a pair come
                    scalar = 0x10000 + (scalar - 0xD800) << 10 + (unit(i + 2) & 0x3FF)
                    i += 6
                }
                out += UTF8Ranges.bytes(scalar)
            }
        }
        return out
    }
}

/// A number or word that is being written and must not be one that came before.
struct DifferingState {
    var state: Int32  // of the automaton
    var alike: Alike
    private var flags: Int32 = 0
    private static let fraction: Int32 = 1, equal: Int32 = 2  // behind a point; but for zeros behind it, it is one that came

    init(state: Int32, alike: Alike) {
        self.state = state
        self.alike = alike
    }

    init(_ list: UnsafeBufferPointer<Int32>) {
        self.init(state: list[0], alike: Alike(list, at: 1))
        flags = list[5]
    }

    var numbers: [Int32] { [state, alike.set, alike.low, alike.high, alike.depth, flags] }

    private func isEqual(_ seen: SeenValues) -> Bool { flags & DifferingState.equal != 0 || seen.isWhole(alike) }

    /// Whether no value that came begins so, or is the same but for zeros.
    func isNew(_ seen: SeenValues) -> Bool { alike.isNone && flags & DifferingState.equal == 0 }

    func mayEnd(_ dfa: DFA, _ seen: SeenValues) -> Bool { dfa.accepts(state) && !isEqual(seen) }

    func following(_ byte: UInt8, _ to: Int32, _ seen: SeenValues) -> DifferingState {
        var next = DifferingState(state: to, alike: seen.following(alike, byte))
        let isPoint = byte == UInt8(ascii: "."), isFraction = isPoint || flags & DifferingState.fraction != 0
        if isFraction, isPoint || byte == UInt8(ascii: "0"), isEqual(seen) { next.flags = DifferingState.equal }
        // how it got where nothing is alike any more is of no matter
        if isFraction, !next.alike.isNone || next.flags != 0 { next.flags |= DifferingState.fraction }
        return next
    }

    /// nil when nothing new can come of it.
    func next(_ byte: UInt8, _ dfa: DFA, _ seen: SeenValues) -> DifferingState? {
        let to = dfa.next(state, byte)
        guard to >= 0 else { return nil }
        let next = following(byte, to, seen)
        return next.isLive(dfa, seen) ? next : nil
    }

    /// Whether it can still become one that did not come before.
    func isLive(_ dfa: DFA, _ seen: SeenValues) -> Bool {
        var pending = [self], visited: Set<[Int32]> = []
        while let at = pending.popLast() {
            if at.alike.isNone && at.flags & DifferingState.equal == 0 || at.mayEnd(dfa, seen) { return true }
            guard visited.insert(at.numbers).inserted else { continue }
            for edge in dfa.edges(of: at.state) {
                for byte in edge.low...edge.high { pending.append(at.following(byte, edge.to, seen)) }
            }
        }
        return false
    }
}
