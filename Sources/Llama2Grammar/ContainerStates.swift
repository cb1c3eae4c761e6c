/// An object that is being written: how many members it has and which keys may come.
///
///     numbers    members so far (counted up to what matters), the first member that may still come, bits of those that came
///     watched    members so far, the first member, demands served, the set of free keys that came, whether one is missing in it, bits
struct ObjectState {
    let form: Program.ObjectForm
    private let numbers: [Int32]
    private let anyOrder: Bool

    init(_ form: Program.ObjectForm, _ numbers: [Int32], _ anyOrder: Bool) {
        self.form = form
        self.numbers = numbers
        self.anyOrder = anyOrder
    }

    static func first(_ form: Program.ObjectForm, _ anyOrder: Bool) -> [Int32] {
        [Int32](repeating: 0, count: (form.watch != nil ? 5 : 2) + (anyOrder ? (form.members.count + 31) / 32 : 0))
    }

    /// Where the bits begin.
    private var bits: Int { form.watch != nil ? 5 : 2 }
    var served: UInt8 { form.watch != nil ? UInt8(truncatingIfNeeded: numbers[2]) : 0 }
    /// Free keys that came.
    var seen: Int32 { numbers[3] }
    var isPending: Bool { form.watch != nil && numbers[4] != 0 }
    func resolved(_ set: Int32) -> [Int32] {
        var next = numbers
        next[3] = set
        next[4] = 0
        return next
    }

    var count: Int32 { numbers[0] }
    private var first: Int32 { numbers[1] }

    func isOpen(_ member: Int) -> Bool {
        anyOrder ? numbers[bits + member / 32] >> Int32(member % 32) & 1 == 0 : member >= Int(first)
    }

    private var required: Int32 {
        Int32(truncatingIfNeeded: form.members.indices.reduce(0) { $0 + (isOpen($1) && form.members[$1].isRequired ? 1 : 0) })
    }

    var mayClose: Bool { required == 0 && count >= form.least && served == form.watch?.demands ?? 0 }

    /// Whether what is required, demanded and counted can still come, of a watched object.
    func canFinish(_ watch: Program.Watch) -> Bool {
        // the least number of members by the demands that they serve together
        var fewest = [Int32](repeating: .max, count: Int(watch.demands) + 1), left: Int32 = 0
        fewest[Int(served)] = 0
        func add(_ options: [Program.Watch.Option], isRequired: Bool) {
            let before = fewest
            if isRequired { fewest = [Int32](repeating: .max, count: before.count) }
            for (mask, members) in before.enumerated() where members < .max {
                for option in options { fewest[mask | Int(option.demands)] = min(fewest[mask | Int(option.demands)], members + 1) }
            }
        }
        for m in form.members.indices where isOpen(m) {
            left += 1
            add(watch.options[m], isRequired: form.members[m].isRequired)
        }
        for _ in 0..<watch.demands.nonzeroBitCount {
            for free in form.members.count..<watch.options.count { add(watch.options[free], isRequired: false) }
        }
        let needed = fewest[Int(watch.demands)]
        guard needed < .max, form.most < 0 || needed <= form.most - count else { return false }
        return !form.free.isEmpty || count + left >= form.least
    }

    /// What may come behind a key: forms of its value, each with the object's state when it is complete.
    func choices(_ tag: Int32) -> [(value: Int32, next: [Int32])] {
        guard let watch = form.watch else { return [after(tag)] }
        let next = after(tag).next, options = watch.options[Int(tag)]
        let always = options.reduce(UInt8.max) { $0 & $1.demands }
        return options.compactMap { option in
            // to serve again is to serve nothing, which is an option, too, unless the name alone serves
            guard option.demands & served & ~always == 0 else { return nil }
            var next = next
            next[2] |= Int32(option.demands)
            if Int(tag) >= form.members.count { next[4] = 1 }
            return ObjectState(form, next, anyOrder).canFinish(watch) ? (option.value, next) : nil
        }
    }

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
                if form.members[m].isRequired ? room >= 0 : room > 0, !form.free.isEmpty || count + 1 + left >= form.least { allow(m) }
                if form.members[m].isRequired { break }
            }
        }
        // others come when nothing that is required is still to come
        if !form.free.isEmpty, room > 0, anyOrder || required == 0 {
            for tag in members..<total { allow(tag) }
        }
        if form.watch != nil {
            isAny = false
            for tag in 0..<total where words[tag / 32] >> Int32(tag % 32) & 1 != 0 {
                if choices(Int32(truncatingIfNeeded: tag)).isEmpty { words[tag / 32] &= ~(1 << Int32(tag % 32)) } else { isAny = true }
            }
        }
        return isAny ? words : nil
    }

    /// What comes behind a key: the form of its value, and the object's state when it is complete.
    func after(_ tag: Int32) -> (value: Int32, next: [Int32]) {
        var next = numbers
        let limit = max(form.least, form.most, 1)
        if Int(tag) < form.members.count, anyOrder { next[bits + Int(tag) / 32] |= 1 << (tag % 32) }
        next[0] = min(count + 1, limit)
        if Int(tag) < form.members.count {
            if !anyOrder { next[1] = tag + 1 }
            return (form.members[Int(tag)].value, next)
        }
        if !anyOrder { next[1] = Int32(truncatingIfNeeded: form.members.count) }
        return (form.free[Int(tag) - form.members.count], next)
    }
}

/// An array that is being written.
///
///     numbers    items so far (counted up to what matters), those that are counted by limit, bits of the values that came
///     or         items so far, the set of values that came, whether a further one came that is not in it yet
struct ArrayState {
    let form: Program.ArrayForm
    private let numbers: [Int32]

    init(_ form: Program.ArrayForm, _ numbers: [Int32]) {
        self.form = form
        self.numbers = numbers
    }

    static func first(_ form: Program.ArrayForm) -> [Int32] {
        [Int32](repeating: 0, count: form.differing != nil ? 3 : 1 + form.limits.count + Int(form.distinct + 31) / 32)
    }

    var index: Int32 { numbers[0] }

    // MARK: Items that must differ and are remembered

    /// The values that came, and whether one is missing in them.
    var seen: Int32 { numbers[1] }
    var isPending: Bool { form.differing != nil && numbers[2] != 0 }
    /// The state with one item more, which is not among `seen` yet, and when it is.
    var pending: [Int32] { [index + 1, seen, 1] }
    func resolved(_ set: Int32) -> [Int32] { [index, set, 0] }

    // MARK: Items

    private func lacks(_ numbers: [Int32]) -> Bool {
        for (i, limit) in form.limits.enumerated() where numbers[1 + i] < limit.least { return true }
        return false
    }

    /// Items that are missing, and those that must be counted by a limit and are not there yet.
    var missing: Int32 { max(0, form.least - index) }
    var lacking: Int32 {
        var sum: Int32 = 0
        for (i, limit) in form.limits.enumerated() { sum = Int32(clamping: Int(sum) + Int(max(0, limit.least - numbers[1 + i]))) }
        return sum
    }

    var mayClose: Bool { index >= form.least && (form.differing != nil || !lacks(numbers)) }

    /// Whether a further item may come.
    var mayGoOn: Bool {
        guard let differing = form.differing else { return !choices.isEmpty }
        return (form.most < 0 || index < form.most) && index < differing.count
    }

    private func list(at index: Int32) -> [Program.ArrayForm.Choice] {
        form.items.isEmpty ? [] : form.items[min(Int(index), form.items.count - 1)]
    }

    private func isFree(_ choice: Program.ArrayForm.Choice) -> Bool {
        choice.number < 0 || numbers[1 + form.limits.count + Int(choice.number) / 32] >> (choice.number % 32) & 1 == 0
    }

    /// `numbers` with an item more, nil when it would be one too many of a kind. Counts go up to what matters.
    private func adding(_ choice: Program.ArrayForm.Choice, _ numbers: [Int32]) -> [Int32]? {
        var next = numbers
        for (i, limit) in form.limits.enumerated() where choice.counted >> UInt8(i) & 1 != 0 {
            guard limit.most < 0 || next[1 + i] < limit.most else { return nil }
            next[1 + i] = min(next[1 + i] + 1, max(limit.least, limit.most))
        }
        return next
    }

    /// What may come next, each with the state behind it. Only what can still become a whole array.
    var choices: [(Program.ArrayForm.Choice, [Int32])] {
        guard form.most < 0 || index < form.most else { return [] }
        let limit = max(form.least, form.most, Int32(truncatingIfNeeded: form.items.count))
        var out: [(Program.ArrayForm.Choice, [Int32])] = []
        for choice in list(at: index) where isFree(choice) {
            guard var next = adding(choice, numbers) else { continue }
            next[0] = index < limit ? index + 1 : index
            if choice.number >= 0 { next[1 + form.limits.count + Int(choice.number) / 32] |= 1 << (choice.number % 32) }
            if ArrayState(form, next).canFinish { out.append((choice, next)) }
        }
        return out
    }

    /// Whether enough items, and enough of those that are counted, can still come.
    var canFinish: Bool {
        let missing = form.least - index
        if missing <= 0, !lacks(numbers) { return true }
        guard form.limits.count <= 1 else { return canCountAll }
        var missingCounted = form.limits.first.map { $0.least - numbers[1] } ?? 0
        if form.distinct > 0 {
            // values are given out once; the list is the same at every index
            let left = list(at: index).filter { isFree($0) }
            let room = form.most < 0 ? Int32.max : form.most - index
            let all = Set(left.map { $0.number }).count, good = Set(left.filter { $0.counted != 0 }.map { $0.number }).count
            return Int(missing) <= all && Int(missingCounted) <= good && missingCounted <= room
        }
        var at = index, lacking = missing, room = form.most < 0 ? Int32.max : form.most - index
        var mayCount = form.limits.first.map { $0.most < 0 ? Int32.max : $0.most - numbers[1] } ?? Int32.max
        // one by one up to where every index has the same list
        while lacking > 0 || missingCounted > 0 {
            guard room > 0 else { return false }
            let list = list(at: at)
            guard !list.isEmpty else { return false }
            let good = list.contains { $0.counted != 0 }, bad = list.contains { $0.counted == 0 }
            if Int(at) >= form.items.count - 1 {
                if missingCounted > 0 && (!good || missingCounted > room || missingCounted > mayCount) { return false }
                return lacking <= 0 || lacking <= room && (bad || lacking <= mayCount)
            }
            if good && (missingCounted > 0 || !bad) {
                missingCounted -= 1
                mayCount -= 1
                guard mayCount >= 0 else { return false }
            }
            lacking -= 1
            room -= 1
            at += 1
        }
        return true
    }

    /// The same for several limits: all counts that can be reached, an item more a round.
    private var canCountAll: Bool {
        let rounds = form.limits.reduce(Int32(form.items.count) - min(index, Int32(form.items.count))) { $0 + $1.least }
        var counts: Set<[Int32]> = [numbers], at = index
        for _ in 0...rounds {
            if at >= form.least, counts.contains(where: { !lacks($0) }) { return true }
            guard form.most < 0 || at < form.most else { return false }
            let list = list(at: at)
            counts = Set(counts.flatMap { numbers in list.compactMap { adding($0, numbers) } })
            at += 1
            guard !counts.isEmpty else { return false }
        }
        // what is missing now are items of any kind, as many as are wanted
        return counts.contains { numbers in !lacks(numbers) && list(at: at).contains { adding($0, numbers) == numbers } }
            && (form.most < 0 || form.least <= form.most)
    }
}
