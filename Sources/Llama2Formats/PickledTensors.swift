internal import Llama2Core

/// A state dict as `torch.save` pickles it: only the instructions and the few names that it needs are known.
/// Nothing is ever executed; whatever else the pickle asks for is refused by name.
/// Source: Python's Lib/pickletools.py (instructions), torch/_utils.py (what a tensor is made of).
struct PickledTensors {
    struct Storage { let key: ByteText, type: StoredType, count: Int }
    struct Tensor { let storage: Storage, offset: Int, shape: [Int], strides: [Int] }

    /// Tuples and dictionaries are numbers of those that the machine holds: so that one inside itself is no cycle that
    /// is never freed, and a million inside each other are freed without recursion.
    private enum Value {
        case none, mark, bool(Bool), integer(Int), text(ByteText), global(ByteText), tuple(Int), dictionary(Int)
        case storage(Storage), tensor(Tensor)
    }

    private var tuples: [[Value]] = []
    private var dictionaries: [[(Value, Value)]] = []
    /// The largest model's has 110,000 bytes. Each may become a hundred bytes of memory.
    private static let longest = 1 << 19

    private var stack: [Value] = []
    private var memo: [Int: Value] = [:]
    private var reader: ByteReader
    /// A state dict takes about thirty for each tensor; this bounds the memory of a pickle that lies.
    private static let mostInstructions = 1 << 18

    /// Tensors by name, in the order of the pickle.
    static func read(_ bytes: UnsafeRawBufferPointer, _ path: String) throws(Llama2Error) -> [(name: ByteText, tensor: Tensor)] {
        do throws(Llama2Error) {
            guard bytes.count <= longest else { throw Llama2Error(.unsupported, "data.pkl has \(bytes.count) bytes; the limit is \(longest)") }
            // an instruction of one byte makes a value, on the stack and in the memo or a tuple, and a tuple of its own at most
            let most = min(bytes.count, mostInstructions)
            try MemoryReserve.cover(
                2 * .list(most, of: Value.self) + .table(most, of: Int.self, Value.self) + .list(most, of: [Value].self)
                    + 2 * .texts(most, bytes: bytes.count), for: "the names and shapes")
            var machine = PickledTensors(reader: ByteReader(bytes))
            guard case .dictionary(let result) = try machine.run() else { throw Llama2Error(.corrupt, "the pickle is no dictionary of tensors") }
            return try machine.tensors(of: try machine.unwrapped(result))
        } catch {
            throw Llama2Error(error.kind, "\(path): \(error.message)")
        }
    }

    /// Checkpoints of training: {"model": the state dict, "step": 3}. The dictionary of tensors in one that holds none of its own;
    /// what lies beside it must be plain values, which say nothing about weights.
    private func unwrapped(_ outer: Int) throws(Llama2Error) -> Int {
        var inner: Int?
        for (key, value) in dictionaries[outer] {
            guard case .text(let name) = key else { continue }
            if case .dictionary(let number) = value, name == "model" || name == "state_dict" || name == "module" {
                guard inner == nil else { throw Llama2Error(.corrupt, "the pickle holds two state dicts") }
                inner = number
            }
        }
        guard let inner else { return outer }
        for (key, value) in dictionaries[outer] {
            switch value {
            case .none, .bool, .integer, .text: continue
            case .dictionary(let number) where number == inner: continue
            case .mark, .global, .tuple, .dictionary, .storage, .tensor:
                guard case .text(let name) = key else { throw Llama2Error(.corrupt, "the pickle holds something beside the state dict without a name") }
                throw Llama2Error(
                    .unsupported, "the pickle holds \"\(ByteText(name.bytes.prefix(100)))\" beside the state dict, which this version does not know")
            }
        }
        return inner
    }

    private func tensors(of dictionary: Int) throws(Llama2Error) -> [(name: ByteText, tensor: Tensor)] {
        var tensors: [(name: ByteText, tensor: Tensor)] = []
        for (key, value) in dictionaries[dictionary] {
            guard case .text(let name) = key, case .tensor(let tensor) = value else {
                throw Llama2Error(.corrupt, "the dictionary holds something that is no tensor under a name")
            }
            tensors.append((name, tensor))
        }
        return tensors
    }

    private init(reader: ByteReader) { self.reader = reader }

    private func failure(_ what: String) -> Llama2Error { Llama2Error(.corrupt, "pickle: \(what) at byte \(reader.offset)") }

    private mutating func pop() throws(Llama2Error) -> Value {
        guard let value = stack.popLast() else { throw failure("the stack is empty") }
        return value
    }

    private mutating func popToMark() throws(Llama2Error) -> [Value] {
        guard let at = stack.lastIndex(where: { if case .mark = $0 { true } else { false } }) else { throw failure("there is no mark") }
        let values = Array(stack[(at + 1)...])
        stack.removeLast(stack.count - at)
        return values
    }

    private mutating func run() throws(Llama2Error) -> Value {
        for _ in 0..<PickledTensors.mostInstructions {
            let instruction = try reader.number(UInt8.self, "pickle instruction")
            switch instruction {
            case 0x80: _ = try reader.take(1, "pickle protocol")
            case 0x95: _ = try reader.take(8, "pickle frame")
            case UInt8(ascii: "."): return try pop()
            case UInt8(ascii: "("): stack.append(.mark)
            case UInt8(ascii: "0"): _ = try pop()
            case UInt8(ascii: "N"): stack.append(.none)
            case 0x88: stack.append(.bool(true))
            case 0x89: stack.append(.bool(false))
            case UInt8(ascii: "K"): stack.append(.integer(Int(try reader.number(UInt8.self, "pickled integer"))))
            case UInt8(ascii: "M"): stack.append(.integer(Int(try reader.number(UInt16.self, "pickled integer"))))
            case UInt8(ascii: "J"): stack.append(.integer(Int(try reader.number(Int32.self, "pickled integer"))))
            case 0x8a: stack.append(.integer(try longInteger()))
            case UInt8(ascii: "G"):
                _ = try reader.take(8, "pickled float")
                stack.append(.none)  // of training: no weight is stored so
            case UInt8(ascii: "X"): stack.append(.text(try text(Int(try reader.number(UInt32.self, "pickled text")))))
            case 0x8c: stack.append(.text(try text(Int(try reader.number(UInt8.self, "pickled text")))))
            case UInt8(ascii: "c"): stack.append(try global(try line(), try line()))
            case 0x93:
                guard case .text(let name) = try pop(), case .text(let module) = try pop() else { throw failure("a global without names") }
                stack.append(try global(module, name))
            case UInt8(ascii: ")"): pushTuple([])
            case 0x85: pushTuple([try pop()])
            case 0x86:
                let b = try pop(), a = try pop()
                pushTuple([a, b])
            case 0x87:
                let c = try pop(), b = try pop(), a = try pop()
                pushTuple([a, b, c])
            case UInt8(ascii: "t"): pushTuple(try popToMark())
            case UInt8(ascii: "}"): stack.append(newDictionary())
            case UInt8(ascii: "s"):
                let value = try pop(), key = try pop()
                try set([key, value])
            case UInt8(ascii: "u"): try set(try popToMark())
            case UInt8(ascii: "q"): memo[Int(try reader.number(UInt8.self, "memo"))] = try top()
            case UInt8(ascii: "r"): memo[Int(try reader.number(UInt32.self, "memo"))] = try top()
            case 0x94: memo[memo.count] = try top()
            case UInt8(ascii: "h"): try recall(Int(try reader.number(UInt8.self, "memo")))
            case UInt8(ascii: "j"): try recall(Int(try reader.number(UInt32.self, "memo")))
            case UInt8(ascii: "Q"): stack.append(try storage(try pop()))
            case UInt8(ascii: "R"):
                let arguments = try pop(), function = try pop()
                stack.append(try reduce(function, arguments))
            case UInt8(ascii: "b"):
                // attributes of the dictionary (`_metadata`), which say nothing about tensors
                _ = try pop()
                guard case .dictionary = try top() else { throw failure("attributes of something that is no dictionary") }
            default:
                throw Llama2Error(
                    .unsupported, "pickle: instruction 0x\(String(instruction, radix: 16)) at byte \(reader.offset - 1), which a state dict does not need")
            }
        }
        throw failure("more than \(PickledTensors.mostInstructions) instructions")
    }

    private mutating func pushTuple(_ values: [Value]) {
        tuples.append(values)
        stack.append(.tuple(tuples.count - 1))
    }

    private mutating func newDictionary() -> Value {
        dictionaries.append([])
        return .dictionary(dictionaries.count - 1)
    }

    private func top() throws(Llama2Error) -> Value {
        guard let value = stack.last else { throw failure("the stack is empty") }
        return value
    }

    private mutating func recall(_ index: Int) throws(Llama2Error) {
        guard let value = memo[index] else { throw failure("memo \(index) was never written") }
        stack.append(value)
    }

    private mutating func text(_ length: Int) throws(Llama2Error) -> ByteText {
        guard length <= 65_536, case let bytes = try reader.take(length, "pickled text"), String(validating: bytes, as: UTF8.self) != nil else {
            throw failure("a text that is too long or not UTF-8")
        }
        return ByteText(bytes)
    }

    private mutating func line() throws(Llama2Error) -> ByteText {
        var bytes: [UInt8] = []
        while true {
            let byte = try reader.number(UInt8.self, "name of a global")
            if byte == 10 { return ByteText(bytes) }
            guard bytes.count < 256 else { throw failure("the name of a global is longer than 256 bytes") }
            bytes.append(byte)
        }
    }

    /// LONG1: up to 255 bytes, of which we take eight.
    private mutating func longInteger() throws(Llama2Error) -> Int {
        let length = Int(try reader.number(UInt8.self, "pickled integer"))
        let bytes = try reader.take(length, "pickled integer")
        guard length <= 8 else { throw failure("an integer of \(length) bytes") }
        var value: UInt64 = 0
        for (i, byte) in bytes.enumerated() { value |= UInt64(byte) << UInt64(8 * i) }
        let unused = UInt64(64 - 8 * length)
        return length == 0 ? 0 : Int(Int64(bitPattern: value << unused) >> Int64(unused))
    }

    private static let storages: [ByteText: StoredType] = [
        "torch.FloatStorage": .f32, "torch.HalfStorage": .f16, "torch.BFloat16Storage": .bf16, "torch.DoubleStorage": .f64,
        "torch.LongStorage": .other(name: "I64", bytes: 8), "torch.IntStorage": .other(name: "I32", bytes: 4),
        "torch.ShortStorage": .other(name: "I16", bytes: 2), "torch.CharStorage": .other(name: "I8", bytes: 1),
        "torch.ByteStorage": .other(name: "U8", bytes: 1), "torch.BoolStorage": .other(name: "BOOL", bytes: 1),
    ]
    private static let known: Set<ByteText> = [
        "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter",
    ]

    private func global(_ module: ByteText, _ name: ByteText) throws(Llama2Error) -> Value {
        let whole = module + "." + name
        guard PickledTensors.known.contains(whole) || PickledTensors.storages[whole] != nil else {
            throw Llama2Error(.unsupported, "pickle: it asks for \(ByteText(whole.bytes.prefix(200))), which a state dict does not need; refused")
        }
        return .global(whole)
    }

    private mutating func set(_ values: [Value]) throws(Llama2Error) {
        guard case .dictionary(let dictionary) = try top(), values.count % 2 == 0 else { throw failure("members for something that is no dictionary") }
        for i in stride(from: 0, to: values.count, by: 2) { dictionaries[dictionary].append((values[i], values[i + 1])) }
    }

    /// ("storage", type, key, device, count)
    private func storage(_ id: Value) throws(Llama2Error) -> Value {
        guard case .tuple(let index) = id, case let parts = tuples[index], parts.count == 5, case .text("storage") = parts[0],
            case .global(let name) = parts[1],
            let type = PickledTensors.storages[name], case .text(let key) = parts[2], case .integer(let count) = parts[4], count >= 0
        else { throw failure("a persistent id that is no storage") }
        return .storage(Storage(key: key, type: type, count: count))
    }

    private mutating func reduce(_ function: Value, _ arguments: Value) throws(Llama2Error) -> Value {
        guard case .global(let name) = function, case .tuple(let index) = arguments else { throw failure("a call of something that is no function") }
        let parts = tuples[index]
        switch (name, parts.count) {
        case ("collections.OrderedDict", 0): return newDictionary()
        case ("torch._utils._rebuild_parameter", 3):
            guard case .tensor = parts[0] else { break }
            return parts[0]
        case ("torch._utils._rebuild_tensor_v2", 6...7):
            guard case .storage(let storage) = parts[0], case .integer(let offset) = parts[1], case .tuple(let shapeIndex) = parts[2],
                case .tuple(let stridesIndex) = parts[3]
            else { break }
            // what torch.save says beside it: that its numbers are stored negated, or are conjugates
            if parts.count == 7 {
                switch parts[6] {
                case .none: break
                case .dictionary(let notes) where dictionaries[notes].isEmpty: break
                default: throw Llama2Error(.unsupported, "pickle: a tensor with notes of its own (neg, conj): its numbers are not those that are stored")
                }
            }
            let shape = tuples[shapeIndex], strides = tuples[stridesIndex]
            func integers(_ list: [Value]) -> [Int] { list.compactMap { if case .integer(let n) = $0, n >= 0 { n } else { nil } } }
            guard integers(shape).count == shape.count, integers(strides).count == shape.count, offset >= 0, shape.count <= 8 else { break }
            return .tensor(Tensor(storage: storage, offset: offset, shape: integers(shape), strides: integers(strides)))
        default: break
        }
        throw failure("a call of \(name) with arguments that it does not have")
    }
}
