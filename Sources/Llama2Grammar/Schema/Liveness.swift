internal import Llama2Core

/// Cuts away what no finite text satisfies, so that whatever a program offers can be completed.
enum Liveness {
    static func cut(_ program: inout Program) throws(Llama2Error) {
        // 1. the least set of forms that have a value: what is needed must have one first
        var isLive = [Bool](repeating: false, count: program.values.count), changed = true, order = Array(program.values.indices)
        while changed {
            changed = false
            order.reverse()  // forms come behind those that first ask for them, but may ask for earlier ones too
            for index in order where !isLive[index] && program.values[index].leaves.contains(where: { live($0, program, isLive) }) {
                isLive[index] = true
                changed = true
            }
        }
        // 2. leaves, members, classes and items without one go
        let whole = program
        for index in program.values.indices { program.values[index].leaves = whole.values[index].leaves.filter { live($0, whole, isLive) } }
        for index in program.objects.indices {
            var form = program.objects[index]
            if let watch = form.watch { form.watch = usable(watch, form, program, isLive) }
            let keptMembers = form.members.indices.filter { isPossible(form, $0, isLive) }
            let keptFree = form.free.indices.filter { isPossible(form, form.members.count + $0, isLive) }
            program.objects[index].watch?.options = (keptMembers + keptFree.map { form.members.count + $0 }).map { form.watch?.options[$0] ?? [] }
            guard keptMembers.count < form.members.count || keptFree.count < form.free.count else { continue }
            var numbers = [Int32](repeating: -1, count: form.members.count + form.free.count)
            for (new, old) in keptMembers.enumerated() { numbers[old] = Int32(truncatingIfNeeded: new) }
            for (new, old) in keptFree.enumerated() { numbers[form.members.count + old] = Int32(truncatingIfNeeded: keptMembers.count + new) }
            program.objects[index].members = keptMembers.map { form.members[$0] }
            program.objects[index].free = keptFree.map { form.free[$0] }
            retag(&program, form.keys, numbers)
        }
        for index in program.arrays.indices {
            for place in program.arrays[index].items.indices { program.arrays[index].items[place].removeAll { !isLive[Int($0.value)] } }
        }
    }

    /// Whether the member or class of that tag has a value.
    private static func isPossible(_ form: Program.ObjectForm, _ tag: Int, _ isLive: [Bool]) -> Bool {
        if let watch = form.watch { return !watch.options[tag].isEmpty }
        return isLive[Int(tag < form.members.count ? form.members[tag].value : form.free[tag - form.members.count])]
    }

    /// The options that have values. Free names serve only what names without end serve: a key does not come twice.
    private static func usable(_ watch: Program.Watch, _ form: Program.ObjectForm, _ program: Program, _ isLive: [Bool]) -> Program.Watch {
        var out = watch
        for tag in out.options.indices { out.options[tag].removeAll { !isLive[Int($0.value)] } }
        let keys = program.automata[Int(program.strings[Int(form.keys)].dfa)], first = form.members.count
        func isEndless(_ holds: (Program.Watch.Option) -> Bool) -> Bool {
            keys.keeping { Int($0) >= first && out.options[Int($0)].contains(where: holds) }.textCount >= DFA.plenty
        }
        let demands = 0..<watch.demands.nonzeroBitCount
        for _ in demands {  // what one takes away may have been all of another's
            for bit in demands where !isEndless({ $0.demands >> UInt8(bit) & 1 != 0 }) {
                for tag in first..<out.options.count { out.options[tag].removeAll { $0.demands >> UInt8(bit) & 1 != 0 } }
            }
        }
        if !isEndless({ _ in true }) { for tag in first..<out.options.count { out.options[tag] = [] } }
        return out
    }

    private static func live(_ leaf: Program.Leaf, _ program: Program, _ isLive: [Bool]) -> Bool {
        switch leaf {
        case .automaton(let a): return !program.automata[Int(a)].isEmpty
        case .string(let a): return !program.automata[Int(program.strings[Int(a)].dfa)].isEmpty
        case .object(let a):
            var form = program.objects[Int(a)]
            if let watch = form.watch {
                let usable = usable(watch, form, program, isLive)
                form.watch = usable
                if !usable.options[form.members.count...].contains(where: { !$0.isEmpty }) { form.free = [] }
                return ObjectState(form, ObjectState.first(form, false), false).canFinish(usable)
            }
            guard form.members.allSatisfy({ !$0.isRequired || isLive[Int($0.value)] }) else { return false }
            let required = form.members.count { $0.isRequired }, members = form.members.count { isLive[Int($0.value)] }
            guard form.most < 0 || required <= Int(form.most) else { return false }
            return Int(form.least) <= members || form.free.contains { isLive[Int($0)] }
        case .array(let a):
            var form = program.arrays[Int(a)]
            if form.differing != nil { return true }  // made only if there are enough values
            for place in form.items.indices { form.items[place].removeAll { !isLive[Int($0.value)] } }
            let state = ArrayState(form, ArrayState.first(form))
            return state.mayClose || !state.choices.isEmpty
        }
    }

    /// Gives the keys of an object new tags, -1 for those that are gone.
    private static func retag(_ program: inout Program, _ keys: Int32, _ numbers: [Int32]) {
        var string = program.strings[Int(keys)]
        let old = program.automata[Int(string.dfa)]
        // the states stay: which tags can be reached from each is what decides
        program.automata[Int(string.dfa)] = DFA(
            start: old.start, offsets: old.offsets, edges: old.edges, tags: old.tags.map { $0 >= 0 ? numbers[Int($0)] : -1 })
        var sets: [Int32: Int32] = [:]
        for (state, set) in string.reachable.enumerated() {
            if sets[set] == nil {
                var bits = [UInt64](repeating: 0, count: program.tagSets[Int(set)].count)
                for (tag, new) in numbers.enumerated() where new >= 0 && program.tagSets[Int(set)][tag / 64] >> UInt64(tag % 64) & 1 != 0 {
                    bits[Int(new) / 64] |= 1 << UInt64(new % 64)
                }
                sets[set] = Int32(truncatingIfNeeded: program.tagSets.count)
                program.tagSets.append(bits)
            }
            string.reachable[state] = sets[set] ?? 0
        }
        program.strings[Int(keys)] = string
    }
}
