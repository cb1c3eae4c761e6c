/// Which rules have a property that follows from their parts' (Dowling and Gallier, 1984): found from the leaves up, in time
/// linear in the grammar, however its rules name each other.
///
///     sequence    has it when all of its parts have
///     choice      when one has, or all
///     loop        when its body has; where `optional` says so, also when no round is needed
///     rule        when its definition has
struct RuleProperty {
    /// The rules that have it, each behind those that it follows from.
    private(set) var order: [Int] = []
    private(set) var holds: [Bool]

    // nodes of all trees, numbered as they are met
    private var above: [Int32] = []  // the node above; -1 - rule at the top of a tree
    private var missing: [Int32] = []  // parts that do not have it yet and are needed
    private var uses: [[Int32]]  // (rules) the nodes that name each
    private var ready: [Int32] = []
    private let everyBranch: Bool, optional: Bool
    private let leaf: (GBNF.Node) -> Bool

    init(_ rules: [GBNF.Node?], everyBranch: Bool = false, optional: Bool = true, leaf: @escaping (GBNF.Node) -> Bool) {
        holds = [Bool](repeating: false, count: rules.count)
        uses = [[Int32]](repeating: [], count: rules.count)
        (self.everyBranch, self.optional, self.leaf) = (everyBranch, optional, leaf)
        for (index, rule) in rules.enumerated() { add(rule ?? .sequence([]), -1 - Int32(truncatingIfNeeded: index)) }
        while let node = ready.popLast() { propagate(node) }
    }

    private mutating func add(_ node: GBNF.Node, _ parent: Int32) {
        let number = Int32(truncatingIfNeeded: above.count)
        above.append(parent)
        missing.append(1)
        switch node {
        case .set, .tokens: if leaf(node) { ready.append(number) }
        case .rule(let rule): uses[rule].append(number)
        case .sequence(let parts):
            missing[Int(number)] = Int32(truncatingIfNeeded: parts.count)
            if parts.isEmpty { ready.append(number) }
            for part in parts { add(part, number) }
        case .choice(let branches):
            if everyBranch { missing[Int(number)] = Int32(truncatingIfNeeded: branches.count) }
            for branch in branches { add(branch, number) }
        case .loop(let body, let least, _):
            if optional, least == 0 {
                ready.append(number)
                missing[Int(number)] = 0
            }
            add(body, number)
        }
    }

    /// A node has it: one less is missing above.
    private mutating func propagate(_ node: Int32) {
        let parent = above[Int(node)]
        if parent >= 0 {
            missing[Int(parent)] &-= 1  // below zero: it has it already
            if missing[Int(parent)] == 0 { ready.append(parent) }
            return
        }
        let rule = Int(-1 - parent)
        holds[rule] = true
        order.append(rule)
        ready += uses[rule]
    }
}
