internal import Llama2Core

/// What one rendering may take, so that no template can hold up its host: steps of work, and bytes of values that are
/// alive at a time. Values are made here, and give back what they took when they go.
///
/// A step is an instruction, or sixteen bytes (or elements) that one looks at or makes.
final class Heap {
    private let mostSteps: Int
    private let mostBytes: Int
    private(set) var steps = 0
    private(set) var bytes = 0
    /// Of lists in lists. A host's stack may be small, and what holds values holds them recursively.
    static let deepest = 64

    init(mostSteps: Int, mostBytes: Int) {
        self.mostSteps = mostSteps
        self.mostBytes = mostBytes
    }

    @inline(__always)
    func step() throws(Llama2Error) {
        steps += 1
        if steps > mostSteps { throw tooLong() }
    }

    /// `count` bytes or elements are looked at.
    func work(_ count: Int) throws(Llama2Error) {
        steps += max(count, 0) / 16 + 1
        if steps > mostSteps { throw tooLong() }
    }

    func take(_ count: Int) throws(Llama2Error) {
        guard count <= mostBytes - bytes else { throw tooLarge() }
        bytes += count
        try work(count)
    }

    func give(_ count: Int) { bytes -= count }

    /// A text that is being made has `count` units: it must fit before it is whole.
    func checkRoom(_ count: Int) throws(Llama2Error) {
        guard count <= (mostBytes - bytes) / 2 else { throw tooLarge() }
    }

    @inline(never)
    private func tooLong() -> Llama2Error { Failure.because("it takes more than \(mostSteps) steps, the limit for these messages") }
    @inline(never)
    private func tooLarge() -> Llama2Error { Failure.because("it takes more than \(mostBytes) bytes, the limit for these messages") }

    // MARK: Values

    func text(_ units: [Unit], markup: Bool = false) throws(Llama2Error) -> Text {
        try take(Text.cost(units.count))
        return Text(units, markup: markup, self)
    }

    func value(_ units: [Unit], markup: Bool = false) throws(Llama2Error) -> Value { .text(try text(units, markup: markup)) }

    func value(_ literal: StaticString) throws(Llama2Error) -> Value { try value(units(literal)) }

    func list(_ items: [Value], tuple: Bool = false) throws(Llama2Error) -> List {
        var depth = 0
        for item in items { depth = max(depth, item.depth) }
        guard depth < Heap.deepest else { throw Failure.because("values nested deeper than \(Heap.deepest)") }
        try take(List.cost(items.count))
        return List(items, depth: depth + 1, self)
    }

    func list(_ items: [Value]) throws(Llama2Error) -> Value { .list(try list(items, tuple: false)) }
    func tuple(_ items: [Value]) throws(Llama2Error) -> Value { .tuple(try list(items, tuple: true)) }
    func iterator(_ items: [Value]) throws(Llama2Error) -> Value { .iterator(Iteration(try list(items, tuple: false))) }

    /// Of equal keys the first stays, with the last value.
    func dict(_ pairs: [(Value, Value)]) throws(Llama2Error) -> Value {
        var depth = 0
        for (key, value) in pairs {
            depth = max(depth, key.depth, value.depth)
            try key.checkHashable()
            if case .text(let text) = key { try work(text.units.count) }
        }
        guard depth < Heap.deepest else { throw Failure.because("values nested deeper than \(Heap.deepest)") }
        try take(Dict.cost(pairs.count))
        return .dict(Dict(pairs, depth: depth + 1, self))
    }
}

/// Errors of templates, without the line, which the one who runs it adds.
enum Failure {
    @inline(never)
    static func because(_ what: String) -> Llama2Error { Llama2Error(.unknownTemplate, what) }

    /// What this evaluator does not have, though the language does.
    @inline(never)
    static func unsupported(_ what: String) -> Llama2Error { Llama2Error(.unknownTemplate, "\(what) is not supported") }

    /// Bytes for a sentence, cut.
    static func shown(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes.prefix(100)), as: UTF8.self) }
}
