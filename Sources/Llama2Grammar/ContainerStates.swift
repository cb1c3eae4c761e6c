/// An object that is being written: how many members it has and which keys may come.
///
///     numbers    members so far (counted up to what matters), the first member that may still come, bits of those that came
struct ObjectState {
    let form: Program.ObjectForm
    private let numbers: [Int32]
    private let anyOrder: Bool

    init(_ form: Program.ObjectForm, _ numbers: [Int32], _ anyOrder: Bool) {
        self.form = form
        self.numbers = numbers
        self.anyOrder = anyOrder
    }

    var count: Int32 { numbers[0] }
    private var first: Int32 { numbers[1] }

    private func isOpen(_ member: Int) -> Bool {
        anyOrder ? numbers[2 + member / 32] >> Int32(member % 32) & 1 == 0 : member >= Int(first)
    }

    private var required: Int32 {
        Int32(truncatingIfNeeded: form.members.indices.reduce(0) { $0 + (isOpen($1) && form.members[$1].isRequired ? 1 : 0) })
    }

    var mayClose: Bool { required == 0 && count >= form.least }

    /// The tags that a next key may have, in words of 32 bits; nil when no further member may come.
    var allowedKeys: [Int32]? {
        let members = form.members.count, total = members + form.free.count, required = required
        var words = [Int32](repeating: 0, count: (total + 31) / 32), isAny = false
        func allow(_ tag: Int) {
            words[tag / 32] |= 1 << Int32(tag % 32)
            isAny = true
        }
        // with a limit, room must stay for what is required
        let room = form.most < 0 ? Int32.max : form.most - count - required
        var open: Int32 = 0  // members that could still come behind the one in question
        if anyOrder { for m in 0..<members where isOpen(m) { open += 1 } }
        if anyOrder {
            for m in 0..<members where isOpen(m) && (form.members[m].isRequired ? room >= 0 : room > 0) { allow(m) }
        } else {
            for m in Int(first)..<max(members, Int(first)) {
                let left = Int32(truncatingIfNeeded: members - m - 1)
                // leaving out members must not make the least number unreachable
                if (form.members[m].isRequired ? room >= 0 : room > 0), !form.free.isEmpty || count + 1 + left >= form.least { allow(m) }
                if form.members[m].isRequired { break }
            }
        }
        // others come when nothing that is required is still to come
        if !form.free.isEmpty, room > 0, anyOrder || required == 0 {
            for tag in members..<total { allow(tag) }
        }
        return isAny ? words : nil
    }

    /// What comes behind a key: the form of its value, and the object's state when it is complete.
    func after(_ tag: Int32) -> (value: Int32, next: [Int32]) {
        var next = numbers
        let limit = max(form.least, form.most, 1)
        next[0] = min(count + 1, limit)
        if Int(tag) < form.members.count {
            if anyOrder { next[2 + Int(tag) / 32] |= 1 << (tag % 32) } else { next[1] = tag + 1 }
            return (form.members[Int(tag)].value, next)
        }
        if !anyOrder { next[1] = Int32(truncatingIfNeeded: form.members.count) }
        return (form.free[Int(tag) - form.members.count], next)
    }
}

/// An array that is being written.
///
///     numbers    items so far (counted up to what matters), those that are counted, bits of the values that came
///     or         items so far, 0, the set of values that came, whether a further one came that is not in it yet
struct ArrayState {
    private let form: Program.ArrayForm
    let numbers: [Int32]

    init(_ form: Program.ArrayForm, _ numbers: [Int32]) {
        self.form = form
        self.numbers = numbers
    }

    var index: Int32 { numbers[0] }
    private var counted: Int32 { numbers[1] }

    var mayClose: Bool { index >= form.least && counted >= form.leastCounted }

    static func first(_ form: Program.ArrayForm) -> [Int32] {
        form.differing != nil ? [0, 0, 0, 0] : [0, 0] + [Int32](repeating: 0, count: Int(form.distinct + 31) / 32)
    }

    /// Of items that must differ: the values that came, and whether one is missing in them.
    var seen: Int32 { numbers[2] }
    var isPending: Bool { form.differing != nil && numbers[3] != 0 }
    /// The state when that one is in them.
    func resolved(_ set: Int32) -> [Int32] { [index, 0, set, 0] }

    /// Whether a further item may come.
    var mayGoOn: Bool {
        guard let differing = form.differing else { return !choices.isEmpty }
        return (form.most < 0 || index < form.most) && index < differing.count
    }

    private func list(at index: Int32) -> [Program.ArrayForm.Choice] {
        form.items.isEmpty ? [] : form.items[min(Int(index), form.items.count - 1)]
    }

    private func isFree(_ choice: Program.ArrayForm.Choice) -> Bool {
        choice.number < 0 || numbers[2 + Int(choice.number) / 32] >> (choice.number % 32) & 1 == 0
    }

    /// What may come next, each with the state behind it. Only what can still become a whole array.
    var choices: [(Program.ArrayForm.Choice, [Int32])] {
        guard form.most < 0 || index < form.most else { return [] }
        let limit = max(form.least, form.most, Int32(truncatingIfNeeded: form.items.count))
        var out: [(Program.ArrayForm.Choice, [Int32])] = []
        for choice in list(at: index) where isFree(choice) {
            var next = numbers
            next[0] = index < limit ? index + 1 : index
            if choice.isCounted {
                guard form.mostCounted < 0 || counted < form.mostCounted else { continue }
                next[1] = min(counted + 1, max(form.leastCounted, form.mostCounted))
            }
            if choice.number >= 0 { next[2 + Int(choice.number) / 32] |= 1 << (choice.number % 32) }
            if ArrayState(form, next).canFinish { out.append((choice, next)) }
        }
        return out
    }

    /// Whether enough items, and enough of those that are counted, can still come.
    private var canFinish: Bool {
        var missing = form.least - index, missingCounted = form.leastCounted - counted
        if missing <= 0, missingCounted <= 0 { return true }
        if form.distinct > 0 {
            // values are given out once; the list is the same at every index
            let left = list(at: index).filter { isFree($0) }
            let room = form.most < 0 ? Int32.max : form.most - index
            let all = Set(left.map { $0.number }).count, good = Set(left.filter { $0.isCounted }.map { $0.number }).count
            return Int(missing) <= all && Int(missingCounted) <= good && missingCounted <= room
        }
        var at = index, room = form.most < 0 ? Int32.max : form.most - index
        var mayCount = form.mostCounted < 0 ? Int32.max : form.mostCounted - counted
        // one by one up to where every index has the same list
        while missing > 0 || missingCounted > 0 {
            guard room > 0 else { return false }
            let list = list(at: at)
            guard !list.isEmpty else { return false }
            let good = list.contains { $0.isCounted }, bad = list.contains { !$0.isCounted }
            if Int(at) >= form.items.count - 1 {
                if missingCounted > 0 && (!good || missingCounted > room || missingCounted > mayCount) { return false }
                return missing <= 0 || missing <= room && (bad || missing <= mayCount)
            }
            if good && (missingCounted > 0 || !bad) {
                missingCounted -= 1
                mayCount -= 1
                guard mayCount >= 0 else { return false }
            }
            missing -= 1
            room -= 1
            at += 1
        }
        return true
    }
}
