internal import Llama2Core

// `macro` and `call`.
extension Compiler {
    mutating func beginMacro(_ line: Int) throws(Llama2Error) {
        let text = try expectName()
        let number = try describeMacro(try constant(text))
        try emit(.macro(Int32(truncatingIfNeeded: number)), line: line)
        let variable = try name(text)
        noteSet(variable)
        try emit(.store(variable), line: line)
        var block = OpenBlock(kind: .macro, line: line)
        block.skip = try emit(.jump(0), line: line)
        block.number = number
        try push(block)
        macros[number].scope = try enterScope()
        macros[number].entry = code.count
        try signature(number)
    }

    private mutating func describeMacro(_ name: Int32) throws(Llama2Error) -> Int {
        guard macros.count < Compiler.mostConstants else { throw failure("more than \(Compiler.mostConstants) macros") }
        macros.append(MacroDescription(name: name))
        return macros.count - 1
    }

    /// `(a, b=default)`: the defaults' code stands at the macro's entry.
    private mutating func signature(_ number: Int) throws(Llama2Error) {
        try expect("(")
        var hasDefault = false, isFirst = true
        while !current.isSymbol(")") {
            if !isFirst { try expect(",") }
            isFirst = false
            let argument = try name(try expectName())
            guard macros[number].arguments.count < 256 else { throw failure("more than 256 arguments") }
            guard !macros[number].arguments.contains(argument) else { throw failure("two arguments of one name") }
            noteRead(argument)
            macros[number].arguments.append(argument)
            if try skipSymbol("=") {
                hasDefault = true
                let given = try emit(.ifGiven(argument, 0))
                try expression()
                try emit(.store(argument))
                land(given)
            } else if hasDefault {
                throw failure("non-default argument follows default argument")
            }
        }
        try expect(")")
        try refuseUnknown()
    }

    mutating func endMacro() throws(Llama2Error) {
        let block = try popBlock(.macro, "endmacro")
        try emit(.returns)
        leaveScope()
        if let skip = block.skip { land(skip) }
    }

    mutating func beginCall(_ line: Int) throws(Llama2Error) {
        // The body's arguments stand first: their code is moved to the entry.
        let number = try describeMacro(try constant(units("caller")))
        macros[number].name = -1
        macros[number].scope = try enterScope()
        let start = code.count
        if current.isSymbol("(") { try signature(number) }
        let (defaults, defaultLines) = try cut(start)
        leaveScope()
        lastLanding = -1
        try expression()
        try refuseUnknown()
        // where a jump ends behind it, the call is only a part: `a if b else f()`, `a or f()`
        guard case .call(let shape)? = code.last, !shapes[Int(shape)].caller, lastLanding < code.count else { throw failure("expected call", line: line) }
        code.removeLast()
        lines.removeLast()
        var withCaller = shapes[Int(shape)]
        withCaller.caller = true
        try emit(.macro(Int32(truncatingIfNeeded: number)), line: line)
        try emit(.call(try self.shape(withCaller)), line: line)
        try emit(.emit, line: line)
        var block = OpenBlock(kind: .call, line: line)
        block.skip = try emit(.jump(0), line: line)
        block.number = number
        try push(block)
        scope = Int(macros[number].scope)
        macros[number].entry = code.count
        try paste(defaults, defaultLines)
    }

    mutating func endCall() throws(Llama2Error) {
        let block = try popBlock(.call, "endcall")
        try emit(.returns)
        leaveScope()
        if let skip = block.skip { land(skip) }
    }
}
