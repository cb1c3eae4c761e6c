internal import Llama2Core
internal import Synchronization

/// Automata that most schemas have in common: formats, punctuation, numbers without bounds. Made for one vocabulary by whoever needs them
/// first and shared by all schemas after that. Nobody waits: who comes second while the first is at it makes its own.
final class SharedAutomata: @unchecked Sendable {
    enum Place {
        case format(Int)  // below `StringFormat.count`
        case symbol(JSONSymbol, isCompact: Bool)
        case number(isInteger: Bool)

        fileprivate var index: Int {
            switch self {
            case .format(let number): number
            case .symbol(let symbol, let isCompact): StringFormat.count + 2 * symbol.rawValue + (isCompact ? 1 : 0)
            case .number(let isInteger): StringFormat.count + 2 * JSONSymbol.allCases.count + (isInteger ? 1 : 0)
            }
        }
    }

    private let slots: UnsafeMutablePointer<Atomic<UInt>>  // unmanaged references, 0: not made yet
    private let count = StringFormat.count + 2 * JSONSymbol.allCases.count + 2

    init() {
        slots = .allocate(capacity: count)
        for i in 0..<count { (slots + i).initialize(to: Atomic<UInt>(0)) }
    }

    deinit {
        for i in 0..<count {
            if let made = UnsafeRawPointer(bitPattern: slots[i].load(ordering: .acquiring)) { Unmanaged<DFA>.fromOpaque(made).release() }
        }
        slots.deinitialize(count: count)
        slots.deallocate()
    }

    /// `make` has a budget of its own: what a schema may still take does not depend on what others made.
    func automaton(_ place: Place, _ make: (GrammarBudget) throws(Llama2Error) -> DFA) throws(Llama2Error) -> DFA {
        let slot = slots + place.index
        if let known = UnsafeRawPointer(bitPattern: slot.pointee.load(ordering: .acquiring)) {
            return Unmanaged<DFA>.fromOpaque(known).takeUnretainedValue()
        }
        let dfa = try make(GrammarBudget("a part of JSON")), made = Unmanaged.passRetained(dfa), address = UInt(bitPattern: made.toOpaque())
        // what stays must not lie in memory that this call alone has
        if MemoryReserve.wasUsed || !slot.pointee.compareExchange(expected: 0, desired: address, ordering: .acquiringAndReleasing).exchanged {
            made.release()
        }
        return dfa
    }
}

/// Punctuation of JSON with the white space that may stand around it.
enum JSONSymbol: Int, CaseIterable {
    case openObject, closeObject, closeEmptyObject, openArray, closeArray, closeEmptyArray, comma, colon, space

    /// In RE2's syntax.
    func expression(isCompact: Bool) -> String {
        let space = isCompact ? "" : "[ \\t\\n\\r]*"
        return switch self {
        case .openObject: "\\{\(space)"
        case .closeObject: "\(space)\\}"
        case .closeEmptyObject: "\\}"
        case .openArray: "\\[\(space)"
        case .closeArray: "\(space)\\]"
        case .closeEmptyArray: "\\]"
        case .comma: "\(space),\(space)"
        case .colon: "\(space):\(space)"
        case .space: space
        }
    }
}
