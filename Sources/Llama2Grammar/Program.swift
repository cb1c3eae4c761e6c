/// A grammar made ready to run: what a stack of frames can stand on. Immutable, shared by threads.
///
/// A state of the text read so far is a set of stacks. On top of each lies a leaf, an automaton that takes bytes; below it
/// frames that say how it goes on when the leaf is complete. GBNF becomes instructions (a network of rules that call each
/// other, Woods 1970); a JSON Schema becomes forms of values, objects and arrays.
struct Program: Sendable {
    /// What a frame is: a number in front of two operands and the frame below.
    enum Frame {
        static let end: Int32 = 0  // the text may end here
        static let automaton: Int32 = 1  // (dfa, state): a leaf
        static let string: Int32 = 2  // (string form, state of `StringState`): a leaf
        static let token: Int32 = 3  // (set of tokens): a leaf that takes one token whole
        static let code: Int32 = 4  // (instruction, counter)
        static let value: Int32 = 5  // (value form)
        static let objectKey: Int32 = 6  // (object form, state): a key may begin
        static let objectKeyed: Int32 = 7  // the same, the key is complete: told by its tag
        static let objectNext: Int32 = 8  // a member is complete
        static let arrayItem: Int32 = 9  // (array form, state): an item may begin
        static let arrayNext: Int32 = 10  // an item is complete
        static let differing: Int32 = 11  // (dfa, state of `DifferingState`): a leaf, a number or word that must not have come before
    }

    struct Instruction: Sendable {
        enum Kind: Sendable { case leaf, call, choice, loop, tokens, finish }
        var kind: Kind
        /// leaf: the automaton; call: where the rule begins; choice: the first in `branches`; loop: the body; tokens: the set.
        var target: Int32 = 0
        /// choice: how many; loop: the least rounds.
        var least: Int32 = 0
        /// loop: the most rounds, -1 for no limit.
        var most: Int32 = -1
        /// What follows; -1: the rule ends.
        var next: Int32 = -1
    }

    /// Texts of a JSON string, between its quotes: characters of an automaton, or any, counted.
    struct StringForm: Sendable {
        var dfa: Int32
        /// Any characters: `dfa` is that of any text, and the length is counted.
        var isAny = false
        var least: Int32 = 0, most: Int32 = -1
        /// For keys: which tags can still be reached from each state of the automaton, sets in `tagSets`; else empty.
        var reachable: [Int32] = []
    }

    enum Leaf: Sendable { case automaton(Int32), string(Int32), object(Int32), array(Int32) }

    struct ValueForm: Sendable { var leaves: [Leaf] = [] }

    struct ObjectForm: Sendable {
        struct Member: Sendable { var value: Int32, isRequired: Bool }
        var members: [Member] = []  // in their order; tag i of the keys
        var free: [Int32] = []  // value forms of the classes of other keys; tags from members.count on
        var keys: Int32 = 0  // a string form
        var least: Int32 = 0, most: Int32 = -1
        /// What some member must be besides (`not` over members), and that free keys differ: kept track of where it matters.
        var watch: Watch?
    }

    struct Watch: Sendable {
        struct Option: Sendable { var demands: UInt8, value: Int32 }
        /// Bits of all demands; each must be served by some member.
        var demands: UInt8
        /// By tag: what a value may be, and which demands it serves. Nothing served comes first.
        var options: [[Option]]
    }

    struct ArrayForm: Sendable {
        struct Choice: Sendable { var value: Int32, counted: UInt8, number: Int32 }
        struct Limit: Sendable { var least: Int32 = 0, most: Int32 = -1 }
        /// What may stand at each index; the last one at all that follow.
        var items: [[Choice]] = []
        var least: Int32 = 0, most: Int32 = -1
        /// How many items must and may be of those that are counted (`contains`), each a bit of a choice's `counted`.
        var limits: [Limit] = []
        /// Every choice is one value (`number` in 0 ..< distinct), and none may come twice; 0: no such rule.
        var distinct: Int32 = 0
        /// Or: items are scalars that are remembered as they come.
        var differing: Differing?
    }

    /// Scalars none of which may come twice: strings, and numbers and words without spellings that mean the same (but for zeros
    /// behind a point).
    struct Differing: Sendable {
        var string: Int32?  // a string form
        var plain: Int32?  // an automaton
        /// How many values there are, at most `Int32.max`.
        var count: Int32
        /// Whether there are strings without end.
        var hasEndlessStrings: Bool
    }

    /// Punctuation of JSON with the white space that is allowed around it; numbers of automata.
    struct Punctuation: Sendable {
        var openObject: Int32 = 0, closeObject: Int32 = 0, openArray: Int32 = 0, closeArray: Int32 = 0
        var closeEmptyObject: Int32 = 0, closeEmptyArray: Int32 = 0, comma: Int32 = 0, colon: Int32 = 0, space: Int32 = -1
    }

    var automata: [DFA] = []
    var code: [Instruction] = []
    var branches: [Int32] = []
    var tokenSets: [[Int32]] = []  // ascending ids; a set that begins with -1: all others
    var strings: [StringForm] = []
    var tagSets: [[UInt64]] = []  // bits
    var values: [ValueForm] = []
    var objects: [ObjectForm] = []
    var arrays: [ArrayForm] = []
    var punctuation = Punctuation()
    /// Members in any order; otherwise in that of the schema, those that are not named in it last.
    var anyOrder = false
    /// Frames that the text begins with, the lowest first: (kind, a).
    var start: [(Int32, Int32)] = []
    /// Whether some array remembers its items.
    var remembers: Bool { arrays.contains { $0.differing != nil } || objects.contains { $0.watch != nil } }
    /// Number of the automaton of any text, -1 if there is none.
    var anyText: Int32 = -1
}
