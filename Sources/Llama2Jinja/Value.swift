internal import Llama2Core

/// What a template computes with: Python's values as far as chat templates know them. None can be changed but
/// namespaces, which live in the machine, so that no value can hold itself.
enum Value {
    case undefined(Missing)
    case none
    case bool(Bool)
    case int(Int)
    case float(Double)
    case text(Text)
    case list(List)
    case tuple(List)
    case dict(Dict)
    case range(Span)
    /// What `keys()`, `values()` and `items()` give.
    case view(View)
    /// A generator: what filters like `map` give. Its elements come once.
    case iterator(Iteration)
    case loop(Loop)
    /// Numbers of the machine's tables.
    case namespace(Int), macro(Int), cycler(Int), joiner(Int)
    case method(Method)
    case function(Function)

    var depth: Int {
        switch self {
        case .list(let list), .tuple(let list): list.depth
        case .dict(let dict): dict.depth
        case .view(let view): view.dict.depth + 1
        case .iterator(let iteration): iteration.list.depth
        case .loop(let loop): loop.items.depth
        case .method(let method): method.receiver.depth + 1
        default: 0
        }
    }

    /// Python's name of the type.
    var typeName: StaticString {
        switch self {
        case .undefined: "Undefined"
        case .none: "NoneType"
        case .bool: "bool"
        case .int: "int"
        case .float: "float"
        case .text: "str"
        case .list: "list"
        case .tuple: "tuple"
        case .dict: "dict"
        case .range: "range"
        case .view(let view): view.kind.typeName
        case .iterator: "generator"
        case .loop: "LoopContext"
        case .namespace: "Namespace"
        case .macro: "Macro"
        case .cycler: "Cycler"
        case .joiner: "Joiner"
        case .method: "builtin_function_or_method"
        case .function: "function"
        }
    }

    /// Numbers, bools among them.
    var number: Number? {
        switch self {
        case .bool(let value): .int(value ? 1 : 0)
        case .int(let value): .int(value)
        case .float(let value): .float(value)
        default: nil
        }
    }

    var integer: Int? {
        if case .int(let value)? = number { return value }
        return nil
    }

    func checkHashable() throws(Llama2Error) {
        switch self {
        case .list, .dict, .view: throw Failure.because("unhashable type: '\(typeName)'")
        case .tuple(let list): for item in list.items { try item.checkHashable() }
        default: return
        }
    }
}

enum Number { case int(Int), float(Double) }

/// Why a value is undefined: for the error when it is used.
final class Missing {
    let reason: String
    init(_ reason: String) { self.reason = reason }

    /// Of a variable, or of an attribute of a value.
    static func named(_ name: String) -> Value { .undefined(Missing("'\(name)' is undefined")) }
    static func of(_ value: Value, _ name: Text) -> Value { .undefined(Missing("'\(value.typeName) object' has no attribute '\(name.shown)'")) }
    var failure: Llama2Error { Failure.because(reason) }
}

final class List {
    let items: [Value]
    let depth: Int
    private let heap: Heap

    static func cost(_ count: Int) -> Int { 80 + 16 * count }

    init(_ items: [Value], depth: Int, _ heap: Heap) {
        self.items = items
        self.depth = depth
        self.heap = heap
    }

    deinit { heap.give(List.cost(items.count)) }
}

/// Keys in the order in which they came.
final class Dict {
    private(set) var keys: [Value] = []
    private(set) var values: [Value] = []
    let depth: Int
    /// Of a part of a content.
    var use: PartsUse?
    private var index: [Key: Int] = [:]
    private let size: Int
    private let heap: Heap

    static func cost(_ count: Int) -> Int { 160 + 96 * count }

    init(_ pairs: [(Value, Value)], depth: Int, _ heap: Heap) {
        self.depth = depth
        self.heap = heap
        size = pairs.count
        for (key, value) in pairs {
            if let known = index[Key(value: key)] {
                values[known] = value
            } else {
                index[Key(value: key)] = keys.count
                keys.append(key)
                values.append(value)
            }
        }
    }

    deinit { heap.give(Dict.cost(size)) }

    var count: Int { keys.count }
    func value(_ key: Value) -> Value? {
        if let use, case .text(let name) = key, name.equals("text") { use.isRead = true }
        return index[Key(value: key)].map { values[$0] }
    }
}

/// Equality and hash of what can be a key; 1, 1.0 and True are one.
private struct Key: Hashable {
    let value: Value

    static func == (a: Key, b: Key) -> Bool { a.value.isSameKey(b.value) }

    func hash(into hasher: inout Hasher) { value.hash(into: &hasher) }
}

extension Value {
    fileprivate func isSameKey(_ other: Value) -> Bool {
        switch (self, other) {
        case (.text(let a), .text(let b)): return a.equals(b)
        case (.none, .none), (.undefined, .undefined): return true
        case (.tuple(let a), .tuple(let b)):
            return a.items.count == b.items.count && zip(a.items, b.items).allSatisfy { $0.isSameKey($1) }
        default:
            guard let a = number, let b = other.number else { return false }
            return Number.compare(a, b) == .equal
        }
    }

    fileprivate func hash(into hasher: inout Hasher) {
        switch self {
        case .text(let text):
            hasher.combine(0 as UInt8)
            for unit in text.units { hasher.combine(unit.byte) }
        case .tuple(let list):
            hasher.combine(1 as UInt8)
            for item in list.items { item.hash(into: &hasher) }
        default:
            switch number {
            case .int(let value)?: hasher.combine(value)
            case .float(let value)?: if let whole = Int(exactly: value) { hasher.combine(whole) } else { hasher.combine(value) }
            case nil: hasher.combine(2 as UInt8)
            }
        }
    }
}

/// `range(start, start + count * step, step)`.
final class Span {
    let start: Int, step: Int, count: Int
    let stop: Int
    init(start: Int, stop: Int, step: Int, count: Int) {
        self.start = start
        self.stop = stop
        self.step = step
        self.count = count
    }
    /// index in 0 ..< count, which was checked to lie in 64 bits.
    func value(_ index: Int) -> Value { .int(start &+ index &* step) }
}

final class View {
    enum Kind {
        case keys, values, items
        var typeName: StaticString {
            switch self {
            case .keys: "dict_keys"
            case .values: "dict_values"
            case .items: "dict_items"
            }
        }
    }
    let dict: Dict
    let kind: Kind
    init(_ dict: Dict, _ kind: Kind) {
        self.dict = dict
        self.kind = kind
    }
}

final class Iteration {
    let list: List
    private(set) var position = 0
    init(_ list: List) { self.list = list }

    func next() -> Value? {
        guard position < list.items.count else { return nil }
        position += 1
        return list.items[position - 1]
    }
    var rest: [Value] {
        defer { position = list.items.count }
        return Array(list.items[position...])
    }
}

final class Method {
    let receiver: Value
    let name: Text
    init(_ receiver: Value, _ name: Text) {
        self.receiver = receiver
        self.name = name
    }
}

/// The functions that every template sees.
enum Function: CaseIterable {
    case range, dict, namespace, cycler, joiner, lipsum, raiseException, strftimeNow
    /// `self`: the blocks of a template, which are not here.
    case template

    var name: StaticString {
        switch self {
        case .range: "range"
        case .dict: "dict"
        case .namespace: "namespace"
        case .cycler: "cycler"
        case .joiner: "joiner"
        case .lipsum: "lipsum"
        case .raiseException: "raise_exception"
        case .strftimeNow: "strftime_now"
        case .template: "self"
        }
    }
}
