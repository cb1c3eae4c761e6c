internal import Glibc
internal import LinuxSystem
internal import Llama2Core
internal import Llama2Engine
internal import Synchronization

/// What a handle can stand for.
enum HandleKind: UInt, Sendable {
    case model = 1, context, sampler, decoder, grammar, grammarState, adapter, scheduler

    var name: String {
        switch self {
        case .model: "llama2_model"
        case .context: "llama2_context"
        case .sampler: "llama2_sampler"
        case .decoder: "llama2_decoder"
        case .grammar: "llama2_grammar"
        case .grammarState: "llama2_grammar_state"
        case .adapter: "llama2_adapter"
        case .scheduler: "llama2_scheduler"
        }
    }
}

/// Handles are ids, never addresses. So a handle that was freed, or one of another kind, or any number at all is
/// recognised without touching memory.
///
///     handle       generation (40 bits) | slot (20) | kind (4)
///     slot's word  generation (40 bits) | pins (20) | kind (4): 0 when unused, `closed` on the way there
///
/// There is no lock: a fork while another thread is in here leaves the child nothing to wait for. Who looks a handle
/// up pins the slot for the moment in which it retains the object; the last one out of a closed slot empties it.
private struct HandleTable {
    /// Aligned as C's malloc does, so that the word can be changed in one step.
    struct Slot: ~Copyable {
        let word: Atomic<UInt64>
        var object: UnsafeMutableRawPointer?
    }

    private static let pin: UInt64 = 1 << 4, pins: UInt64 = 0xfffff << 4, kinds: UInt64 = 0xf, closed: UInt64 = 0xf
    private static let slotsOfPiece = 1024, pieces = Int(L2S_HANDLE_PIECES)
    /// Where the search for an unused slot begins: below it there is none, as a rule.
    private static let hint = Atomic<Int>(0)

    /// Addresses of the pieces, (1024), 0 for those that were never needed; they stay until the process ends.
    private static func piece(_ index: Int) -> UnsafeMutablePointer<Atomic<UInt>> {
        UnsafeMutableRawPointer(l2s_handle_pieces() + index).assumingMemoryBound(to: Atomic<UInt>.self)
    }

    /// nil when the piece is not there.
    private static func slot(_ index: Int) -> UnsafeMutablePointer<Slot>? {
        let address = piece(index / slotsOfPiece).pointee.load(ordering: .acquiring)
        return UnsafeMutablePointer<Slot>(bitPattern: address).map { $0 + index % slotsOfPiece }
    }

    /// The slot, whose piece is made if need be.
    private static func makeSlot(_ index: Int) throws(Llama2Error) -> UnsafeMutablePointer<Slot> {
        if let slot = slot(index) { return slot }
        // zeros; the system's own, since it stays: never from the reserve
        guard let memory = l2s_checked_allocation(64, slotsOfPiece * MemoryLayout<Slot>.stride) else {
            throw Llama2Error(.noMemory, "the system refused memory for handles")
        }
        let (exchanged, _) = piece(index / slotsOfPiece).pointee.compareExchange(
            expected: 0, desired: UInt(bitPattern: memory), ordering: .acquiringAndReleasing)
        if !exchanged { Glibc.free(memory) }
        return slot(index) ?? memory.assumingMemoryBound(to: Slot.self)
    }

    static func insert(_ object: AnyObject, _ kind: HandleKind) throws(Llama2Error) -> UInt {
        let count = pieces * slotsOfPiece, start = hint.load(ordering: .relaxed)
        for offset in 0..<count {
            let index = (start + offset) % count, slot = try makeSlot(index)
            let word = slot.pointee.word.load(ordering: .relaxed), generation = (word >> 24) + 1
            // 40 bits: a slot that is reused a million times a second lasts twelve days; then it retires
            guard word & ~(pins | kinds) == word, generation < 1 << 40,
                slot.pointee.word.compareExchange(expected: word, desired: word | closed, ordering: .acquiring).exchanged
            else { continue }
            slot.pointee.object = Unmanaged.passRetained(object).toOpaque()
            let id = generation << 24 | UInt64(kind.rawValue)
            slot.pointee.word.store(id, ordering: .releasing)
            _ = hint.compareExchange(expected: start, desired: (index + 1) % count, ordering: .relaxed)
            return UInt(id | UInt64(index) << 4)
        }
        throw Llama2Error(.noMemory, "\(count) handles are in use; there cannot be more")
    }

    /// The slot that `handle` names and its word but for the pins, whether or not the handle is good.
    private static func find(_ handle: UInt) -> (slot: UnsafeMutablePointer<Slot>, word: UInt64)? {
        slot(index(handle)).map { ($0, UInt64(handle) & ~pins) }
    }

    private static func index(_ handle: UInt) -> Int { Int(handle >> 4 & 0xfffff) }

    /// The object of a living handle, retained.
    static func object(_ handle: UInt, _ kind: HandleKind) -> AnyObject? {
        guard let (slot, wanted) = find(handle), wanted & kinds == UInt64(kind.rawValue) else { return nil }
        var word = slot.pointee.word.load(ordering: .relaxed)
        while true {
            guard word & ~pins == wanted else { return nil }
            let (exchanged, now) = slot.pointee.word.compareExchange(
                expected: word, desired: word &+ pin, ordering: .acquiring)
            if exchanged { break }
            word = now
        }
        defer { unpin(slot, index(handle)) }
        return slot.pointee.object.map { Unmanaged<AnyObject>.fromOpaque($0).takeUnretainedValue() }
    }

    /// A call of its own: it may release, so that the compiler leaves the retain where it is, before it.
    @inline(never) private static func unpin(_ slot: UnsafeMutablePointer<Slot>, _ index: Int) {
        let left = slot.pointee.word.subtract(pin, ordering: .acquiringAndReleasing).newValue
        if left & (pins | kinds) == closed { empty(slot, index, left) }
    }

    /// Ends a handle. The object lives on while somebody is inside.
    static func remove(_ handle: UInt, _ kind: HandleKind) {
        guard let (slot, wanted) = find(handle), wanted & kinds == UInt64(kind.rawValue) else { return }
        var word = slot.pointee.word.load(ordering: .relaxed)
        while true {
            guard word & ~pins == wanted else { return }
            let (exchanged, now) = slot.pointee.word.compareExchange(
                expected: word, desired: word | closed, ordering: .acquiringAndReleasing)
            if exchanged { break }
            word = now
        }
        if word & pins == 0 { empty(slot, index(handle), word) }
    }

    /// Of a closed slot without pins.
    private static func empty(_ slot: UnsafeMutablePointer<Slot>, _ index: Int, _ word: UInt64) {
        let object = slot.pointee.object
        slot.pointee.object = nil
        slot.pointee.word.store(word & ~(pins | kinds), ordering: .releasing)
        hint.min(index, ordering: .relaxed)
        if let object { Unmanaged<AnyObject>.fromOpaque(object).release() }
    }
}

/// The objects behind the handles; one place resolves them.
enum Handles {
    static func make(_ object: AnyObject, _ kind: HandleKind) throws(Llama2Error) -> OpaquePointer? {
        let id = try HandleTable.insert(object, kind)
        // what stays must not lie in the reserve: the next call may need it
        guard !MemoryReserve.wasUsed else {
            HandleTable.remove(id, kind)
            throw Llama2Error(.noMemory, "the system refused memory while this \(kind.name) was made")
        }
        return OpaquePointer(bitPattern: id)
    }

    static func free(_ handle: OpaquePointer?, _ kind: HandleKind) {
        guard let handle else { return }
        HandleTable.remove(UInt(bitPattern: handle), kind)
    }

    private static func resolve(_ handle: OpaquePointer?, _ kind: HandleKind) throws(Llama2Error) -> AnyObject {
        guard let handle else { throw Llama2Error(.nullArgument, "the \(kind.name) is NULL") }
        guard let object = HandleTable.object(UInt(bitPattern: handle), kind) else {
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
    static func grammar(_ handle: OpaquePointer?) throws(Llama2Error) -> Grammar {
        unsafeDowncast(try resolve(handle, .grammar), to: Grammar.self)
    }
    static func adapter(_ handle: OpaquePointer?) throws(Llama2Error) -> Adapter {
        unsafeDowncast(try resolve(handle, .adapter), to: Adapter.self)
    }
    static func grammarState(_ handle: OpaquePointer?) throws(Llama2Error) -> GrammarState {
        unsafeDowncast(try resolve(handle, .grammarState), to: GrammarState.self)
    }
    static func scheduler(_ handle: OpaquePointer?) throws(Llama2Error) -> Scheduler {
        unsafeDowncast(try resolve(handle, .scheduler), to: Scheduler.self)
    }
}
