internal import Llama2Core

/// The values of a call.
struct Arguments {
    var positional: [Value] = []
    var named: [(name: Text, value: Value)] = []

    /// The values of parameters of these names, in their order, as Python binds them.
    func bind(_ function: Text, _ names: [StaticString], required: Int = 0) throws(Llama2Error) -> [Value?] {
        guard positional.count <= names.count else { throw tooMany(function, names.count) }
        var out: [Value?] = Array(repeating: nil, count: names.count)
        for (i, value) in positional.enumerated() { out[i] = value }
        for (name, value) in named {
            guard let place = names.firstIndex(where: { name.equals($0) }), out[place] == nil else {
                throw Failure.because("\(function.shown)() got an unexpected or repeated argument '\(name.shown)'")
            }
            out[place] = value
        }
        for i in 0..<min(required, out.count) where out[i] == nil {
            throw Failure.because("\(function.shown)() is missing the argument '\(names[i])'")
        }
        return out
    }

    @inline(never)
    private func tooMany(_ function: Text, _ most: Int) -> Llama2Error {
        Failure.because("\(function.shown)() takes at most \(most) arguments (\(positional.count) given)")
    }

    func refuseNamed(_ function: Text) throws(Llama2Error) {
        if !named.isEmpty { throw Failure.because("\(function.shown)() takes no keyword arguments") }
    }
}

extension Machine {
    /// Pops a call's values.
    func arguments(_ shape: CallShape) throws(Llama2Error) -> Arguments {
        var arguments = Arguments()
        let caller = shape.caller ? try pop() : nil
        let more = shape.doubleStar ? try pop() : nil
        let rest = shape.star ? try pop() : nil
        let values = try popMany(shape.named.count)
        arguments.positional = try popMany(shape.positional)
        if let rest { arguments.positional += try elements(rest) }
        for (constant, value) in zip(shape.named, values) {
            if case .text(let name) = program.constants[Int(constant)] { arguments.named.append((name, value)) }
        }
        if let more {
            guard case .dict(let dict) = more else { throw Failure.because("argument after ** must be a mapping, not \(more.typeName)") }
            for (key, value) in zip(dict.keys, dict.values) {
                guard case .text(let name) = key else { throw Failure.because("keywords must be strings") }
                try heap.work(arguments.named.count * 16)
                guard !arguments.named.contains(where: { $0.name.equals(name) }) else {
                    throw Failure.because("got multiple values for keyword argument '\(name.shown)'")
                }
                arguments.named.append((name, value))
            }
        }
        if let caller { arguments.named.append((Text(units("caller")), caller)) }
        return arguments
    }

    func call(_ shape: CallShape) throws(Llama2Error) {
        let arguments = try arguments(shape)
        let callee = try pop()
        switch callee {
        case .macro(let number): try callMacro(number, arguments)
        case .loop(let loop):
            guard program.loops[loop.description].isRecursive else {
                throw Failure.because("The loop must have the 'recursive' marker to be called recursively.")
            }
            let value = try arguments.bind(Text(units("loop")), ["iterable"], required: 1)[0] ?? .none
            try callLoop(loop.description, value, depth: loop.depth + 1, parent: loop.outer)
        case .method(let method): push(try callMethod(method, arguments))
        case .function(let function): push(try call(function, arguments))
        case .cycler(let number):
            throw Failure.because("'Cycler' object is not callable (number \(number))")
        case .joiner(let number):
            _ = try arguments.bind(Text(units("joiner")), [])
            push(joiners[number].isUsed ? .text(joiners[number].separator) : try heap.value(""))
            joiners[number].isUsed = true
        case .undefined(let missing): throw missing.failure
        default: throw Failure.because("'\(callee.typeName)' object is not callable")
        }
    }

    func enterFrame() throws(Llama2Error) {
        guard frames.count < Machine.deepest else { throw Failure.because("calls nested deeper than \(Machine.deepest)") }
        frames.append(Frame(back: at, scope: scope, scopeCount: scopes.count))
    }

    func returns() throws(Llama2Error) {
        guard let frame = frames.popLast() else { throw Failure.because("no call to return from") }
        push(try endCapture())
        at = frame.back
        scope = frame.scope
        dropScopes(to: frame.scopeCount)
    }

    /// Binds arguments as jinja2's Macro does.
    private func callMacro(_ number: Int, _ arguments: Arguments) throws(Llama2Error) {
        let macro = program.macros[macros[number].description]
        let name = macro.name < 0 ? "caller" : Failure.shown(textConstant(macro.name).units.lazy.map(\.byte))
        var named = arguments.named
        func takeNamed(_ name: Text) -> Value? {
            named.firstIndex { $0.name.equals(name) }.map { named.remove(at: $0).value }
        }
        try heap.work(16 * (named.count * macro.arguments.count + arguments.positional.count))
        try enterFrame()
        try pushScope(macro.scope, parent: macros[number].scope)
        var hasCaller = false
        for (i, argument) in macro.arguments.enumerated() {
            if i < arguments.positional.count {
                try bind(argument, arguments.positional[i])
            } else {
                let name = program.names[Int(argument)]
                if name.equals("caller") { hasCaller = true }
                try bind(argument, takeNamed(name))
            }
        }
        if macro.usesCaller, !hasCaller {
            try bindSpecial("caller", takeNamed(Text(units("caller"))) ?? .undefined(Missing("No caller defined")))
        }
        if macro.usesKeywords {
            var pairs: [(Value, Value)] = []
            for (name, value) in named { pairs.append((.text(name), value)) }
            try bindSpecial("kwargs", try heap.dict(pairs))
        } else if let first = named.first {
            throw Failure.because("macro '\(name)' takes no keyword argument '\(first.name.shown)'")
        }
        if macro.usesPositional {
            try bindSpecial("varargs", try heap.tuple(Array(arguments.positional.dropFirst(macro.arguments.count))))
        } else if arguments.positional.count > macro.arguments.count {
            throw Failure.because("macro '\(name)' takes not more than \(macro.arguments.count) argument(s)")
        }
        beginCapture()
        at = macro.entry
    }

    private func bind(_ name: Int32, _ value: Value?) throws(Llama2Error) {
        try heap.work(16)
        scopes[scope].variables.append((name, value))
    }

    private func bindSpecial(_ literal: StaticString, _ value: Value) throws(Llama2Error) {
        guard let name = program.names.firstIndex(where: { $0.equals(literal) }) else { return }
        try bind(Int32(truncatingIfNeeded: name), value)
    }

    func textConstant(_ number: Int32) -> Text {
        if case .text(let text) = program.constants[Int(number)] { return text }
        return Text([])
    }

    /// The functions that every template sees.
    private func call(_ function: Function, _ arguments: Arguments) throws(Llama2Error) -> Value {
        let name = Text(units(function.name))
        switch function {
        case .range:
            try arguments.refuseNamed(name)
            return try range(arguments.positional)
        case .dict:
            guard arguments.positional.count <= 1 else { throw Failure.because("dict expected at most 1 argument, got \(arguments.positional.count)") }
            return try heap.dict(try pairs(arguments))
        case .namespace:
            guard arguments.positional.count <= 1 else { throw Failure.because("dict expected at most 1 argument, got \(arguments.positional.count)") }
            guard namespaces.count < 1 << 16 else { throw Failure.because("more than 65536 namespaces") }
            try heap.take(64)
            namespaces.append([])
            let number = namespaces.count - 1
            for (key, value) in try pairs(arguments) {
                guard case .text(let key) = key else { throw Failure.because("a namespace's attributes are texts") }
                try setNamespace(number, key, value)
            }
            return .namespace(number)
        case .cycler:
            try arguments.refuseNamed(name)
            guard !arguments.positional.isEmpty else { throw Failure.because("at least one item has to be provided") }
            guard cyclers.count < 1 << 16 else { throw Failure.because("more than 65536 cyclers") }
            cyclers.append((try heap.list(arguments.positional, tuple: true), 0))
            return .cycler(cyclers.count - 1)
        case .joiner:
            let separator = try arguments.bind(name, ["sep"])[0]
            guard joiners.count < 1 << 16 else { throw Failure.because("more than 65536 joiners") }
            joiners.append((try separator.map { value throws(Llama2Error) in try text(value) } ?? Text(units(", ")), false))
            return .joiner(joiners.count - 1)
        case .raiseException:
            let message = try arguments.bind(name, ["message"], required: 1)[0] ?? .none
            throw Llama2Error(.invalidArgument, "the chat template refuses this conversation: \(Failure.shown(try string(message).map(\.byte)))")
        case .strftimeNow:
            guard case .text(let format)? = try arguments.bind(name, ["format"], required: 1)[0] else {
                throw Failure.because("strftime() argument 1 must be str")
            }
            return try heap.value(try clock.text(format.units))
        case .lipsum, .template: throw Failure.unsupported("\(name.shown)()")
        }
    }

    /// As `dict(...)` takes them.
    private func pairs(_ arguments: Arguments) throws(Llama2Error) -> [(Value, Value)] {
        var pairs: [(Value, Value)] = []
        if let first = arguments.positional.first {
            if case .undefined(let missing) = first { throw missing.failure }
            if case .dict(let dict) = first {
                pairs = Array(zip(dict.keys, dict.values))
            } else {
                for pair in try elements(first) {
                    let parts = try elements(pair)
                    guard parts.count == 2 else { throw Failure.because("dictionary update sequence element has length \(parts.count); 2 is required") }
                    pairs.append((parts[0], parts[1]))
                }
            }
        }
        for (name, value) in arguments.named { pairs.append((.text(name), value)) }
        return pairs
    }

    private func range(_ values: [Value]) throws(Llama2Error) -> Value {
        guard (1...3).contains(values.count) else { throw Failure.because("range expected 1 to 3 arguments, got \(values.count)") }
        var numbers: [Int] = []
        for value in values {
            if case .undefined(let missing) = value { throw missing.failure }
            guard let number = value.integer else { throw Failure.because("'\(value.typeName)' object cannot be interpreted as an integer") }
            numbers.append(number)
        }
        let start = numbers.count > 1 ? numbers[0] : 0, stop = numbers.count > 1 ? numbers[1] : numbers[0], step = numbers.count > 2 ? numbers[2] : 1
        guard step != 0 else { throw Failure.because("range() arg 3 must not be zero") }
        let (distance, overflow) = step > 0 ? stop.subtractingReportingOverflow(start) : start.subtractingReportingOverflow(stop)
        guard !overflow else { throw Failure.because("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).") }
        let count = distance <= 0 ? 0 : Int((UInt(distance) - 1) / step.magnitude) + 1
        guard count <= 100_000 else { throw Failure.because("Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).") }
        return .range(Span(start: start, stop: stop, step: step, count: count))
    }
}
