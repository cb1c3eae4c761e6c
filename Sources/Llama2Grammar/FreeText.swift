internal import Llama2Core

/// What tokens do inside of a JSON string that may say anything: found once for a vocabulary. Most strings are such, and most keys are from
/// the first letter on that is in none of the known ones. Immutable.
final class FreeText: Sendable {
    /// Any characters that the vocabulary can write.
    let automaton: DFA
    /// Bits of the tokens that end inside of the string, and of those that end with it.
    let row, endRow: AlignedBuffer<UInt32>  // (words)
    /// Nodes of the tree of tokens that are not plain behind which the string is complete, ascending.
    let ends: AlignedBuffer<Int32>
    /// 1: behind that node it is as at the beginning, between two characters.
    let isSelf: AlignedBuffer<UInt8>  // (nodes)

    init(writable: CodePointSet, plain: [UInt32], _ tree: VocabularyTree, sameBytes: borrowing AlignedBuffer<Int32>) throws(Llama2Error) {
        let budget = GrammarBudget("the vocabulary")
        automaton = try writable == .all ? DFA.anyText : RegexCompiler(budget).anchored(.loop(.set(writable), least: 0, most: nil))
        row = try VocabularyTree.copy(plain)
        endRow = try AlignedBuffer(count: plain.count, of: "the tokens of a grammar's vocabulary")
        isSelf = try AlignedBuffer(count: tree.count, of: "the tokens of a grammar's vocabulary")
        var ends: [Int32] = []
        if automaton.isEmpty {  // a vocabulary that writes no character
            self.ends = try VocabularyTree.copy(ends)
            return
        }
        var program = Program()
        program.automata = [automaton]
        program.anyText = 0
        program.strings = [Program.StringForm(dfa: 0, isAny: true)]
        program.values = [Program.ValueForm(leaves: [.string(0)])]
        program.start = [(Program.Frame.value, 0)]
        let steps = try Automaton(program)
        let inside = StringState(dfa: automaton.start, count: 0, phase: StringState.Phase.body, partial: 0, allowed: -1)
        let start = try steps.numberedLocal(Program.Frame.string, 0, try steps.number(inside))
        var path = [Int32](repeating: start, count: tree.deepest + 1), node = 0
        while node < tree.count {
            let depth = Int(tree.depth[node]), to = try steps.localStep(path[depth - 1], tree.byte[node])
            let isEnd = to <= Automaton.completes
            var token = to >= 0 || isEnd ? tree.first[node] : -1
            while token >= 0 {
                let bits = isEnd ? endRow.pointer : row.pointer
                bits[Int(token) / 32] |= 1 << UInt32(token & 31)
                token = sameBytes[Int(token)]
            }
            if isEnd { ends.append(Int32(truncatingIfNeeded: node)) }
            guard to >= 0 else {
                node = Int(tree.after[node])
                continue
            }
            path[depth] = to
            isSelf[node] = to == start ? 1 : 0
            node += 1
        }
        self.ends = try VocabularyTree.copy(ends)
    }

    /// Whether `token` ends inside.
    func has(_ token: Int32) -> Bool { row.pointer[Int(token) / 32] >> UInt32(token & 31) & 1 != 0 }
}
