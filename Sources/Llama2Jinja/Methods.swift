internal import Llama2Core

// Methods of Python's types.
extension Machine {
    func callMethod(_ method: Method, _ arguments: Arguments) throws(Llama2Error) -> Value {
        let name = method.name
        switch method.receiver {
        case .text(let text): return try callStringMethod(text, name, arguments)
        case .dict(let dict): return try callDictMethod(dict, name, arguments)
        case .list(let list), .tuple(let list):
            if name.equals("copy") {
                _ = try arguments.bind(name, [])
                return method.receiver
            }
            try arguments.refuseNamed(name)
            let values = try arguments.bind(name, name.equals("count") ? ["value"] : ["value", "start", "stop"], required: 1)
            let wanted = values[0] ?? .none
            if name.equals("count") {
                var count = 0
                for item in list.items where try equal(item, wanted) { count += 1 }
                return .int(count)
            }
            let range = try bounds(values[1], values[2], list.items.count)
            for i in range where try equal(list.items[i], wanted) { return .int(i) }
            throw Failure.because("the value is not in the \(method.receiver.typeName)")
        case .range(let span):
            try arguments.refuseNamed(name)
            let wanted = try arguments.bind(name, ["value"], required: 1)[0] ?? .none
            var place: Int?
            for (index, element) in try elements(.range(span)).enumerated() {
                if place == nil, try equal(element, wanted) { place = index }
            }
            if name.equals("count") { return .int(place == nil ? 0 : 1) }
            guard let place else { throw Failure.because("the value is not in the range") }
            return .int(place)
        case .loop(let loop): return try callLoopMethod(loop, name, arguments)
        case .cycler(let number):
            _ = try arguments.bind(name, [])
            let (items, position) = cyclers[number]
            if name.equals("reset") {
                cyclers[number].position = 0
                return .none
            }
            cyclers[number].position = (position + 1) % max(items.items.count, 1)
            return items.items[position]
        default: throw Failure.unsupported("the method '\(name.shown)' of a value of type '\(method.receiver.typeName)'")
        }
    }

    private func callDictMethod(_ dict: Dict, _ name: Text, _ arguments: Arguments) throws(Llama2Error) -> Value {
        try arguments.refuseNamed(name)
        if name.equals("get") {
            let values = try arguments.bind(name, ["key", "default"], required: 1)
            let key = values[0] ?? .none
            try key.checkHashable()
            if case .text(let text) = key { try heap.work(text.units.count) }
            return dict.value(key) ?? values[1] ?? .none
        }
        if name.equals("fromkeys") {
            let values = try arguments.bind(name, ["iterable", "value"], required: 1)
            var pairs: [(Value, Value)] = []
            for key in try elements(values[0] ?? .none) { pairs.append((key, values[1] ?? .none)) }
            return try heap.dict(pairs)
        }
        _ = try arguments.bind(name, [])
        if name.equals("items") { return .view(View(dict, .items)) }
        if name.equals("keys") { return .view(View(dict, .keys)) }
        if name.equals("values") { return .view(View(dict, .values)) }
        return .dict(dict)  // copy: nothing can be changed
    }

    /// Python's `[start:stop]` of that many.
    func bounds(_ start: Value?, _ stop: Value?, _ count: Int) throws(Llama2Error) -> Range<Int> {
        func bound(_ value: Value?, _ usual: Int) throws(Llama2Error) -> Int {
            guard let value else { return usual }
            if case .none = value { return usual }
            guard let index = value.integer else { throw Failure.because("slice indices must be integers or None or have an __index__ method") }
            return index < 0 ? max(index + count, 0) : min(index, count)
        }
        let first = try bound(start, 0), last = try bound(stop, count)
        return first..<max(first, last)
    }
}
