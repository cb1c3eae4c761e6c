internal import Llama2Core

// Filters that put a list in order or in groups.
extension Machine {
    /// The order of `keys`, equal ones as they were: a merge sort.
    func order(_ keys: [Value], reverse: Bool) throws(Llama2Error) -> [Int] {
        var order = Array(keys.indices), other = order
        var width = 1
        while width < order.count {
            var start = 0
            while start < order.count {
                let middle = min(start + width, order.count), end = min(start + 2 * width, order.count)
                var left = start, right = middle, at = start
                while left < middle || right < end {
                    let takesRight: Bool
                    if left == middle {
                        takesRight = true
                    } else if right == end {
                        takesRight = false
                    } else {
                        takesRight = reverse ? try isLess(keys[order[left]], keys[order[right]]) : try isLess(keys[order[right]], keys[order[left]])
                    }
                    other[at] = takesRight ? order[right] : order[left]
                    if takesRight { right += 1 } else { left += 1 }
                    at += 1
                }
                start = end
            }
            swap(&order, &other)
            width *= 2
        }
        return order
    }

    func sorted(_ items: [Value], reverse: Value?, caseSensitive: Value?, attribute: Value?) throws(Llama2Error) -> [Value] {
        let folds = try !isTrue(caseSensitive)
        var columns: [[Value]] = []
        if case .text(let text)? = attribute {
            var start = 0
            for end in text.units.indices.filter({ text.units[$0].byte == 0x2c }) + [text.units.count] {
                columns.append(try self.keys(items, try heap.value(Array(text.units[start..<end])), folds: folds))
                start = end + 1
            }
        } else {
            columns = [try self.keys(items, attribute, folds: folds)]
        }
        // lists, also of one: values that are equal are not asked which is less
        var keys: [Value] = []
        for i in items.indices { keys.append(try heap.list(columns.map { $0[i] })) }
        return try order(keys, reverse: try isTrue(reverse)).map { items[$0] }
    }

    func dictSorted(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        guard case .dict(let dict) = value else {
            if case .undefined(let missing) = value { throw missing.failure }
            throw Failure.because("'\(value.typeName)' object has no attribute 'items'")
        }
        let by = try values[1].map { value throws(Llama2Error) in try text(value) } ?? Text(units("key"))
        guard by.equals("key") || by.equals("value") else { throw Failure.because("You can only sort by either \"key\" or \"value\"") }
        let keys = try keys(by.equals("key") ? dict.keys : dict.values, nil, folds: try !isTrue(values[0]))
        let pairs = try elements(.view(View(dict, .items)))
        return try heap.list(try order(keys, reverse: try isTrue(values[2])).map { pairs[$0] })
    }

    func grouped(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        let items = try elements(value), attribute = values[0] ?? .none
        let folds = try !isTrue(values[2])
        let keys = try keys(items, attribute, folds: folds, usual: values[1])
        let shown = try picked(items, attribute, usual: values[1])
        var groups: [(key: Int, items: [Value])] = []
        for i in try order(keys, reverse: false) {
            if let last = groups.last, try equal(keys[last.key], keys[i]) {
                groups[groups.count - 1].items.append(items[i])
            } else {
                groups.append((i, [items[i]]))
            }
        }
        var out: [Value] = []
        for group in groups { out.append(try heap.tuple([shown[group.key], try heap.list(group.items)])) }
        return try heap.list(out)
    }

    func unique(_ value: Value, _ values: [Value?]) throws(Llama2Error) -> Value {
        let items = try elements(value), keys = try keys(items, values[1], folds: try !isTrue(values[0]))
        var seen: [(Value, Value)] = [], out: [Value] = []
        for (item, key) in zip(items, keys) {
            try key.checkHashable()
            seen.append((key, item))
        }
        // the dict keeps the first key of equal ones; its place tells which item came with it
        guard case .dict(let dict) = try heap.dict(seen.enumerated().reversed().map { ($1.0, Value.int($0)) }) else { return .none }
        var isFirst = Set<Int>()
        for place in dict.values { if case .int(let place) = place { isFirst.insert(place) } }
        for (i, item) in items.enumerated() where isFirst.contains(i) { out.append(item) }
        return try heap.iterator(out)
    }
}
