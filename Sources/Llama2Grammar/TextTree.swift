internal import Llama2Core

/// A list of texts, such as the names of an object's members, as a tree of their bytes.
///
///     node i    byte[i], tag[i] (-1: no text ends here), first child, next sibling, each -1 for none; siblings ascending by their byte;
///               a node stands before those below it
struct TextTree {
    private struct Node {
        var byte: UInt8
        var tag: Int32 = -1, child: Int32 = -1, sibling: Int32 = -1
    }
    private var nodes = [Node(byte: 0)]

    /// A text for `over` that the language does not have.
    static let excluded: Int32 = -2

    /// The tag of the first of several equal texts is that of all.
    mutating func add(_ text: [UInt8], tag: Int32, _ budget: GrammarBudget) throws(Llama2Error) {
        var at = 0
        for byte in text {
            var before: Int32 = -1, next = nodes[at].child
            while next >= 0, nodes[Int(next)].byte < byte { (before, next) = (next, nodes[Int(next)].sibling) }
            if next < 0 || nodes[Int(next)].byte != byte {
                try budget.take()
                let new = Int32(truncatingIfNeeded: nodes.count)
                nodes.append(Node(byte: byte, sibling: next))
                if before < 0 { nodes[at].child = new } else { nodes[Int(before)].sibling = new }
                next = new
            }
            at = Int(next)
        }
        if nodes[at].tag == -1 { nodes[at].tag = tag }
    }

    /// The texts, and where `base` takes them those of it that are none of them, their tags after `shift`.
    func over(_ base: DFA, shift: Int32, _ budget: GrammarBudget) throws(Llama2Error) -> DFA {
        // a node belongs to one text, which leads to one state of `base`; off the tree there is only `base`, its states behind the nodes
        var builder = DFABuilder(), state = [Int32](repeating: DFA.dead, count: nodes.count)
        let behind = Int32(truncatingIfNeeded: nodes.count)
        if !base.isEmpty { state[0] = base.start }
        try budget.take(base.count)
        for node in nodes { _ = builder.add(tag: node.tag) }
        for tag in base.tags { _ = builder.add(tag: tag < 0 ? -1 : tag + shift) }
        for index in nodes.indices {
            let from = Int32(truncatingIfNeeded: index)
            if nodes[index].tag < 0 {
                let isFree = nodes[index].tag != TextTree.excluded && base.accepts(state[index])
                builder.setTag(from, isFree ? base.tags[Int(state[index])] + shift : -1)
            }
            var child = nodes[index].child, low = 0  // bytes below `low` are done
            func connect(_ end: Int, _ to: Int32) {
                if low <= end { builder.connect(from, UInt8(low), UInt8(end), to) }
                low = end + 1
            }
            for edge in state[index] >= 0 ? base.edges(of: state[index]) : [] {
                while child >= 0, case let node = nodes[Int(child)], node.byte <= edge.high {
                    if node.byte >= edge.low {
                        state[Int(child)] = edge.to
                        low = max(low, Int(edge.low))
                        connect(Int(node.byte) - 1, behind + edge.to)
                    }
                    low = Int(node.byte)
                    connect(low, child)
                    child = node.sibling
                }
                low = max(low, Int(edge.low))
                connect(Int(edge.high), behind + edge.to)
            }
            while child >= 0 {
                low = Int(nodes[Int(child)].byte)
                connect(low, child)
                child = nodes[Int(child)].sibling
            }
        }
        for from in 0..<Int32(truncatingIfNeeded: base.count) {
            for edge in base.edges(of: from) { builder.connect(behind + from, edge.low, edge.high, behind + edge.to) }
        }
        return builder.finished(start: 0)
    }

    /// The texts alone.
    func finished() -> DFA {
        guard nodes.count > 1 || nodes[0].tag >= 0 else { return .none }
        var offsets: [Int32] = [0], edges: [DFA.Edge] = [], tags: [Int32] = []
        offsets.reserveCapacity(nodes.count + 1)
        edges.reserveCapacity(nodes.count)
        tags.reserveCapacity(nodes.count)
        for node in nodes {
            var child = node.child
            while child >= 0 {
                edges.append(DFA.Edge(low: nodes[Int(child)].byte, high: nodes[Int(child)].byte, to: child))
                child = nodes[Int(child)].sibling
            }
            offsets.append(Int32(truncatingIfNeeded: edges.count))
            tags.append(node.tag)
        }
        return DFA(start: 0, offsets: offsets, edges: edges, tags: tags)
    }
}
