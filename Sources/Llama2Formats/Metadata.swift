public import Llama2Core

/// GGUF's metadata: keys with typed values. Arrays stay in the mapped file and are read on demand.
public struct Metadata: Sendable {
    /// Files have some dozens. Each takes some hundred bytes of memory, more than it may take in a file.
    static let mostKeys = 1 << 16

    /// In file order.
    public private(set) var keys: [ByteText] = []
    private var values: [ByteText: Value] = [:]

    init() {}

    /// False when the key is there already.
    mutating func insert(_ key: ByteText, _ value: Value) -> Bool {
        guard values[key] == nil else { return false }
        values[key] = value
        keys.append(key)
        return true
    }

    mutating func insert(_ key: MetadataKey, _ value: Value) -> Bool { insert(key.name, value) }

    /// Replaces the value of `key`, or adds it.
    public mutating func set(_ key: MetadataKey, _ value: UInt32) { put(key.name, .unsigned(UInt64(value))) }

    private mutating func put(_ key: ByteText, _ value: Value) {
        if values.updateValue(value, forKey: key) == nil { keys.append(key) }
    }

    public mutating func remove(_ key: MetadataKey) {
        if values.removeValue(forKey: key.name) != nil { keys.removeAll { $0 == key.name } }
    }

    /// Key and value as GGUF has them; integers and floats as 32 bits where they fit, which is what readers expect.
    func encode(_ key: ByteText, to out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
        guard let value = values[key] else { return }
        func type(_ t: ElementType) throws(Llama2Error) { try out.append(number: t.rawValue) }
        try out.append(text: key)
        switch value {
        case .unsigned(let n):
            if let small = UInt32(exactly: n) {
                try type(.uint32)
                try out.append(number: small)
            } else {
                try type(.uint64)
                try out.append(number: n)
            }
        case .signed(let n):
            if let small = Int32(exactly: n) {
                try type(.int32)
                try out.append(number: small)
            } else {
                try type(.int64)
                try out.append(number: n)
            }
        case .float(let x):
            try type(.float32)
            try out.append(number: Float(x).bitPattern)
        case .bool(let b):
            try type(.bool)
            try out.append(b ? 1 : 0)
        case .string(let bytes):
            try type(.string)
            try out.append(text: bytes)
        case .strings(let list):
            try type(.array)
            try type(.string)
            try out.append(number: UInt64(list.count))
            for text in list.walk() { try out.append(text: text) }
        case .array(let element, let count, let bytes):
            try type(.array)
            try type(element)
            try out.append(number: UInt64(count))
            try out.append(bytes)
        }
    }

    /// Bytes of the values, about: strings and arrays are counted.
    public var byteCount: Int {
        values.values.reduce(64 &* keys.count) { sum, value in
            switch value {
            case .unsigned, .signed, .float, .bool: sum
            case .string(let bytes): sum &+ bytes.count
            case .strings(let list): sum &+ list.byteCount
            case .array(_, _, let bytes): sum &+ bytes.count
            }
        }
    }

    /// Bytes of one value's text, at least; 0 when there is none.
    public func byteCount(_ key: ByteText) -> Int {
        switch values[key] {
        case .string(let bytes): bytes.count
        case .strings(let list): (0..<min(list.count, 6)).reduce(0) { $0 &+ list[$1].count }
        case nil, .unsigned, .signed, .float, .bool, .array: 0
        }
    }

    private subscript(_ key: MetadataKey) -> Value? { values[key.name] }

    private func mismatch(_ key: MetadataKey, _ expected: String) -> Llama2Error {
        Llama2Error(.corrupt, "metadata \(key) is \(text(key.name) ?? "absent"), expected \(expected)")
    }

    /// nil when absent. Bytes that are not UTF-8 are repaired.
    public func string(_ key: MetadataKey) throws(Llama2Error) -> String? {
        guard let value = self[key] else { return nil }
        guard case .string(let bytes) = value else { throw mismatch(key, "a string") }
        // repaired, which makes three bytes of one
        try MemoryReserve.cover(4 * .text(bytes.count), for: "metadata \(key)")
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The same as it is, for comparing.
    public func byteText(_ key: MetadataKey) throws(Llama2Error) -> ByteText? {
        guard let value = self[key] else { return nil }
        guard case .string(let bytes) = value else { throw mismatch(key, "a string") }
        return try ByteText(covered: bytes, "metadata \(key)")
    }

    /// The number, or each of an array; not a number is NaN.
    public func everyNumber(_ key: MetadataKey) throws(Llama2Error) -> [Double] {
        try everyValue(key) { (value) throws(Llama2Error) in
            switch value {
            case .unsigned(let n): Double(n)
            case .signed(let n): Double(n)
            case .float(let x): x
            case .bool, .string, .strings, .array: throw mismatch(key, "a number")
            }
        }
    }

    public func everyBool(_ key: MetadataKey) throws(Llama2Error) -> [Bool] {
        try everyValue(key) { (value) throws(Llama2Error) in
            guard case .bool(let flag) = value else { throw mismatch(key, "true or false") }
            return flag
        }
    }

    private func everyValue<T>(_ key: MetadataKey, _ convert: (Value) throws(Llama2Error) -> T) throws(Llama2Error) -> [T] {
        guard let value = self[key] else { return [] }
        guard case .array = value else { return [try convert(value)] }
        return try numbers(key, convert) ?? []
    }

    /// The bytes of a string as they are in the file, which keeps them; nil when absent.
    public func bytes(_ key: MetadataKey) throws(Llama2Error) -> UnsafeRawBufferPointer? {
        guard let value = self[key] else { return nil }
        guard case .string(let bytes) = value else { throw mismatch(key, "a string") }
        return bytes
    }

    /// An integer of any width inside `range`.
    public func integer(_ key: MetadataKey, in range: ClosedRange<Int>) throws(Llama2Error) -> Int? {
        let number: Int?
        switch self[key] {
        case nil: return nil
        case .unsigned(let n): number = Int(exactly: n)
        case .signed(let n): number = Int(exactly: n)
        case .float, .bool, .string, .strings, .array: throw mismatch(key, "an integer")
        }
        guard let number, range.contains(number) else {
            throw Llama2Error(
                .corrupt,
                "metadata \(key) is \(text(key.name) ?? ""), expected \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// The same where a file may say it for each of `count` layers: an array of so many, all equal.
    public func integer(_ key: MetadataKey, in range: ClosedRange<Int>, layers count: Int) throws(Llama2Error) -> Int? {
        guard case .array = self[key] else { return try integer(key, in: range) }
        let list = try integers(key) ?? []
        guard list.count == count, let first = list.first else {
            throw Llama2Error(.corrupt, "metadata \(key) has \(list.count) values, expected one for each of \(count) layers")
        }
        guard list.allSatisfy({ $0 == first }) else {
            throw Llama2Error(.unsupported, "metadata \(key) differs from layer to layer: \(text(key.name) ?? ""); one for all is supported")
        }
        guard range.contains(first) else {
            throw Llama2Error(.corrupt, "metadata \(key) is \(first), expected \(range.lowerBound) to \(range.upperBound)")
        }
        return first
    }

    /// A finite number.
    public func float(_ key: MetadataKey) throws(Llama2Error) -> Double? {
        switch self[key] {
        case nil: return nil
        case .float(let x) where x.isFinite: return x
        case .unsigned(let n): return Double(n)
        case .signed(let n): return Double(n)
        case .float, .bool, .string, .strings, .array: throw mismatch(key, "a finite number")
        }
    }

    public func bool(_ key: MetadataKey) throws(Llama2Error) -> Bool? {
        guard let value = self[key] else { return nil }
        guard case .bool(let b) = value else { throw mismatch(key, "true or false") }
        return b
    }

    public func byteStrings(_ key: MetadataKey) throws(Llama2Error) -> ByteStrings? {
        guard let value = self[key] else { return nil }
        guard case .strings(let list) = value else { throw mismatch(key, "an array of strings") }
        return list
    }

    public func integers(_ key: MetadataKey) throws(Llama2Error) -> [Int]? {
        try numbers(key) { (value) throws(Llama2Error) in
            switch value {
            case .unsigned(let n):
                guard let small = Int(exactly: n) else { throw mismatch(key, "integers of 63 bits") }
                return small
            case .signed(let n): return Int(n)
            case .float, .bool, .string, .strings, .array: throw mismatch(key, "an array of integers")
            }
        }
    }

    public func floats(_ key: MetadataKey) throws(Llama2Error) -> [Float]? {
        try numbers(key) { (value) throws(Llama2Error) in
            switch value {
            case .float(let x): return Float(x)
            case .unsigned(let n): return Float(n)
            case .signed(let n): return Float(n)
            case .bool, .string, .strings, .array: throw mismatch(key, "an array of numbers")
            }
        }
    }

    private func numbers<T>(_ key: MetadataKey, _ convert: (Value) throws(Llama2Error) -> T) throws(Llama2Error) -> [T]? {
        guard let value = self[key] else { return nil }
        guard case .array(let type, let count, let bytes) = value, let size = type.size, let base = bytes.baseAddress
        else {
            if case .array(_, 0, _) = value { return [] }
            throw mismatch(key, "an array of numbers")
        }
        // and once more as what becomes of them
        try MemoryReserve.cover(2 * .array(count, of: T.self), for: "metadata \(key)")
        var out: [T] = []
        out.reserveCapacity(count)
        for index in 0..<count { out.append(try convert(type.load(base + index &* size))) }
        return out
    }

    /// Any value for a person to read; arrays by their length and first elements.
    public func text(_ key: ByteText) -> String? { values[key].map { Metadata.text($0) } }

    private static func text(_ value: Value) -> String {
        switch value {
        case .unsigned(let n): return String(n)
        case .signed(let n): return String(n)
        case .float(let x): return String(Float(x))
        case .bool(let b): return b ? "true" : "false"
        case .string(let bytes): return String(decoding: bytes, as: UTF8.self)
        case .strings(let list):
            let first = (0..<min(list.count, 6)).map { String(decoding: list[$0], as: UTF8.self) }
            return "[\(list.count) values: \(first.joined(separator: ", "))\(list.count > 6 ? ", ..." : "")]"
        case .array(let type, let count, let bytes):
            guard let size = type.size, let base = bytes.baseAddress else { return "[0 values]" }
            let first = (0..<min(count, 6)).map { text(type.load(base + $0 &* size)) }
            return "[\(count) values: \(first.joined(separator: ", "))\(count > 6 ? ", ..." : "")]"
        }
    }
}
