internal import Llama2Core
internal import Llama2Engine
internal import Llama2Tokenizer
internal import Synchronization

/// What a handle can stand for.
enum HandleKind: UInt, Sendable {
    case model = 1, context, sampler, decoder

    var name: String {
        switch self {
        case .model: "llama2_model"
        case .context: "llama2_context"
        case .sampler: "llama2_sampler"
        case .decoder: "llama2_decoder"
        }
    }
}

/// Handles are ids, never addresses: generation << 24 | slot << 4 | kind. So a handle that was freed,
/// or one of another kind, or any number at all is recognised without touching memory.
struct HandleTable: Sendable {
    /// What a handle stands for. Every class behind a handle guards itself against two threads.
    struct Object: @unchecked Sendable { var object: AnyObject? }

    private struct Slot {
        var object = Object()
        var kind = HandleKind.model
        var generation: UInt = 1
    }

    private var slots: [Slot] = []
    private var unused: [Int] = []
    private static let slotBits: UInt = 20

    mutating func insert(_ object: Object, _ kind: HandleKind) throws(Llama2Error) -> UInt {
        let index: Int
        if let last = unused.popLast() {
            index = last
        } else {
            guard slots.count < 1 << Int(HandleTable.slotBits) else {
                throw Llama2Error(.noMemory, "\(slots.count) handles are in use; there cannot be more")
            }
            index = slots.count
            slots.append(Slot())
        }
        slots[index].object = object
        slots[index].kind = kind
        return id(index, kind)
    }

    /// Never zero: kinds begin at 1.
    private func id(_ index: Int, _ kind: HandleKind) -> UInt {
        slots[index].generation << (4 + HandleTable.slotBits) | UInt(index) << 4 | kind.rawValue
    }

    private func index(of handle: UInt, _ kind: HandleKind) -> Int? {
        let index = Int(handle >> 4 & (1 << HandleTable.slotBits - 1))
        guard index < slots.count, slots[index].object.object != nil, slots[index].kind == kind, handle == id(index, kind)
        else { return nil }
        return index
    }

    func object(_ handle: UInt, _ kind: HandleKind) -> Object {
        index(of: handle, kind).map { slots[$0].object } ?? Object()
    }

    /// Gives the object back, so that it ends outside of the lock.
    mutating func remove(_ handle: UInt, _ kind: HandleKind) -> Object {
        guard let index = index(of: handle, kind) else { return Object() }
        let object = slots[index].object
        slots[index].object = Object()
        // 40 bits of generation: a slot reused a million times a second lasts twelve days; then it retires.
        slots[index].generation &+= 1
        if slots[index].generation < 1 << 40 { unused.append(index) }
        return object
    }
}

private let handles = Mutex(HandleTable())

/// The objects behind the handles; one place resolves them.
enum Handles {
    static func make(_ object: AnyObject, _ kind: HandleKind) throws(Llama2Error) -> OpaquePointer? {
        let object = HandleTable.Object(object: object)
        let id = try handles.withLock { (table) throws(Llama2Error) in try table.insert(object, kind) }
        // what stays must not lie in the reserve: the next call may need it
        guard !MemoryReserve.wasUsed else {
            _ = handles.withLock { $0.remove(id, kind) }
            throw Llama2Error(.noMemory, "the system refused memory while this \(kind.name) was made")
        }
        return OpaquePointer(bitPattern: id)
    }

    static func free(_ handle: OpaquePointer?, _ kind: HandleKind) {
        guard let handle else { return }
        let id = UInt(bitPattern: handle)
        _ = handles.withLock { $0.remove(id, kind) }
    }

    private static func resolve(_ handle: OpaquePointer?, _ kind: HandleKind) throws(Llama2Error) -> AnyObject {
        guard let handle else { throw Llama2Error(.nullArgument, "the \(kind.name) is NULL") }
        let id = UInt(bitPattern: handle)
        guard let object = handles.withLock({ $0.object(id, kind) }).object else {
            throw Llama2Error(.badHandle, "this is no \(kind.name), or one that was freed")
        }
        return object
    }

    static func model(_ handle: OpaquePointer?) throws(Llama2Error) -> Model {
        unsafeDowncast(try resolve(handle, .model), to: Model.self)
    }
    static func context(_ handle: OpaquePointer?) throws(Llama2Error) -> Context {
        unsafeDowncast(try resolve(handle, .context), to: Context.self)
    }
    static func sampler(_ handle: OpaquePointer?) throws(Llama2Error) -> SamplerBox {
        unsafeDowncast(try resolve(handle, .sampler), to: SamplerBox.self)
    }
    static func decoder(_ handle: OpaquePointer?) throws(Llama2Error) -> Decoder {
        unsafeDowncast(try resolve(handle, .decoder), to: Decoder.self)
    }
}
