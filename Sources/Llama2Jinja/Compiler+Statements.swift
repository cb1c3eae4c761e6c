internal import Llama2Core

// Text, outputs and tags.
extension Compiler {
    mutating func template() throws(Llama2Error) {
        while true {
            switch current.kind {
            case .end:
                guard let block = open.last else { return }
                throw failure("the \(block.kind) that begins in line \(block.line) does not end")
            case .data:
                if !current.text.isEmpty { try emit(.data(try constant(current.text))) }
                try advance()
            case .variableBegin:
                try advance()
                try statementExpression()
                try emit(.emit)
                try expectKind(.variableEnd, "}}")
            default:
                try advance()
                try tag()
                try expectKind(.blockEnd, "%}")
            }
        }
    }

    private mutating func push(_ block: OpenBlock) throws(Llama2Error) {
        guard open.count < Compiler.mostOpen else { throw failure("tags nested deeper than \(Compiler.mostOpen)") }
        open.append(block)
    }

    /// The innermost open block, which `name` ends or divides.
    private mutating func popBlock(_ kind: Kind, _ name: String) throws(Llama2Error) -> OpenBlock {
        guard let block = open.last, block.kind == kind else { throw failure("unexpected tag '\(name)'") }
        open.removeLast()
        return block
    }

    private mutating func tag() throws(Llama2Error) {
        guard current.kind == .name else { throw unexpected("a tag's name") }
        let line = current.line, text = Failure.shown(current.text.map(\.byte))
        let number = Compiler.tags.firstIndex { current.isName($0.name) }
        guard let number else { throw failure("unknown tag '\(text)'") }
        try advance()
        switch Compiler.tags[number].tag {
        case .beginIf: try beginCondition(line)
        case .elseIf: try nextCondition(line)
        case .otherwise: try otherwise()
        case .endIf: try endCondition()
        case .beginFor: try beginLoop(line)
        case .endFor: try endLoop()
        case .breaks, .continues: try leaveLoop(text, Compiler.tags[number].tag == .breaks)
        case .set: try set(line)
        case .endSet: try endSet()
        case .macro: try beginMacro(line)
        case .endMacro: try endMacro()
        case .call: try beginCall(line)
        case .endCall: try endCall()
        case .beginFilter: try beginFilter(line)
        case .endFilter: try endFilter()
        case .with: try beginWith(line)
        case .endWith:
            _ = try popBlock(.with, text)
            try emit(.popScope)
            leaveScope()
        case .generation:
            try push(OpenBlock(kind: .generation, line: line))
            try emit(.pushScope(try enterScope()))
        case .endGeneration:
            _ = try popBlock(.generation, text)
            try emit(.popScope)
            leaveScope()
        case .output: try output()
        case .unsupported: throw failure("the tag '\(text)' is not supported", line: line)
        }
    }

    private enum Tag {
        case beginIf, elseIf, otherwise, endIf, beginFor, endFor, breaks, continues, set, endSet, macro, endMacro, call, endCall
        case beginFilter, endFilter, with, endWith, generation, endGeneration, output, unsupported
    }

    private static let tags: [(name: StaticString, tag: Tag)] = [
        ("if", .beginIf), ("elif", .elseIf), ("else", .otherwise), ("endif", .endIf), ("for", .beginFor), ("endfor", .endFor),
        ("break", .breaks), ("continue", .continues), ("set", .set), ("endset", .endSet), ("macro", .macro), ("endmacro", .endMacro),
        ("call", .call), ("endcall", .endCall), ("filter", .beginFilter), ("endfilter", .endFilter), ("with", .with), ("endwith", .endWith),
        ("generation", .generation), ("endgeneration", .endGeneration), ("print", .output), ("block", .unsupported),
        ("extends", .unsupported), ("include", .unsupported), ("import", .unsupported), ("from", .unsupported), ("autoescape", .unsupported),
    ]

    private mutating func output() throws(Llama2Error) {
        var isFirst = true
        while current.kind != .blockEnd {
            if !isFirst { try expect(",") }
            isFirst = false
            try expression()
            try emit(.emit)
        }
        try refuseUnknown()
    }

    // MARK: if

    private mutating func beginCondition(_ line: Int) throws(Llama2Error) {
        scopes[scope].conditions += 1
        try statementExpression(conditions: false)
        var block = OpenBlock(kind: .condition, line: line)
        block.next = try emit(.jumpIfFalse(0), line: line)
        try push(block)
    }

    /// The branch before ends here, and the next one begins.
    private mutating func endBranch(_ block: inout OpenBlock) throws(Llama2Error) {
        guard let next = block.next else { throw failure("a branch after else") }
        block.ends.append(try emit(.jump(0)))
        land(next)
        block.next = nil
    }

    private mutating func nextCondition(_ line: Int) throws(Llama2Error) {
        var block = try popBlock(.condition, "elif")
        try endBranch(&block)
        try statementExpression(conditions: false)
        block.next = try emit(.jumpIfFalse(0), line: line)
        open.append(block)
    }

    private mutating func otherwise() throws(Llama2Error) {
        guard let block = open.last else { throw failure("unexpected tag 'else'") }
        switch block.kind {
        case .condition:
            var block = try popBlock(.condition, "else")
            try endBranch(&block)
            open.append(block)
        case .loop:
            guard !block.hadElse else { throw failure("a second else of a loop") }
            try endLoopBody(hasElse: true)
        default: throw failure("unexpected tag 'else'")
        }
    }

    private mutating func endCondition() throws(Llama2Error) {
        let block = try popBlock(.condition, "endif")
        scopes[scope].conditions -= 1
        if let next = block.next { land(next) }
        for end in block.ends { land(end) }
    }

    // MARK: for

    private mutating func beginLoop(_ line: Int) throws(Llama2Error) {
        // 1. what to go through
        let target = try target(namespaces: false)
        if mentionsLoop(target) { throw failure("cannot assign to the special variable loop", line: line) }
        guard try skip("in") else { throw unexpected("in") }
        try statementExpression(conditions: false, until: "recursive")
        var loop = LoopDescription()
        guard loops.count < Compiler.mostConstants else { throw failure("more than \(Compiler.mostConstants) loops") }
        let number = Int32(truncatingIfNeeded: loops.count)
        loops.append(loop)
        // 2. the condition's code
        if try skip("if") {
            let over = try emit(.jump(0), line: line)
            loop.filter = code.count
            loop.filterScope = try enterScope()
            try assign(target, parameter: true)
            try expression()
            try refuseUnknown()
            try emit(.loopTest(number), line: line)
            leaveScope()
            land(over)
        }
        loop.isRecursive = try skip("recursive")
        var block = OpenBlock(kind: .loop, line: line)
        if loop.isRecursive {
            try emit(.loopCall(number), line: line)
            try emit(.emit, line: line)
            block.skip = try emit(.jump(0), line: line)
            loop.entry = code.count
        }
        // 3. the body
        try emit(.loopBegin(number), line: line)
        loop.next = code.count
        block.next = try emit(.loopNext(0), line: line)
        block.scopeBefore = scope
        loop.bodyScope = try enterScope()
        loop.body = code.count
        let loopName = try name(units("loop"))
        noteRead(loopName)
        try emit(.loopBind(loopName), line: line)
        try assign(target, parameter: true)
        loops[Int(number)] = loop
        block.number = Int(number)
        try push(block)
    }

    private func mentionsLoop(_ target: Target) -> Bool {
        switch target {
        case .name(let name): names[Int(name)].equals("loop")
        case .attribute: false
        case .tuple(let parts): parts.contains { mentionsLoop($0) }
        }
    }

    private mutating func endLoopBody(hasElse: Bool) throws(Llama2Error) {
        guard var block = open.popLast() else { return }
        try emit(.popScope)
        leaveScope()
        let back = try emit(.jump(0))
        code[back] = .jump(Int32(truncatingIfNeeded: loops[block.number].next - back - 1))
        if let next = block.next { land(next) }
        for jump in block.breaks { land(jump) }
        block.breaks = []
        let end = try emit(.loopEnd(0))
        block.next = nil
        block.hadElse = hasElse
        if hasElse {
            block.ends = [end]
            _ = try enterScope()
            try emit(.pushScope(Int32(truncatingIfNeeded: scope)))
        }
        open.append(block)
    }

    private mutating func endLoop() throws(Llama2Error) {
        guard let block = open.last, block.kind == .loop else { throw failure("unexpected tag 'endfor'") }
        if block.hadElse {
            try emit(.popScope)
            leaveScope()
            for end in block.ends { land(end) }
        } else {
            try endLoopBody(hasElse: false)
        }
        open.removeLast()
        if let skip = block.skip {
            try emit(.returns)
            land(skip)
        }
    }

    private mutating func leaveLoop(_ name: String, _ isBreak: Bool) throws(Llama2Error) {
        var pops: [Instruction] = []
        var index = open.count - 1
        search: while true {
            guard index >= 0 else { throw failure("'\(name)' outside a loop") }
            switch open[index].kind {
            case .loop where !open[index].hadElse: break search
            case .loop, .with: pops.append(.popScope)
            case .condition: break
            case .filter, .set, .macro, .call, .generation: throw failure("'\(name)' outside a loop")
            }
            index -= 1
        }
        for pop in pops { try emit(pop) }
        try emit(.popScope)
        let jump = try emit(.jump(0))
        if isBreak {
            open[index].breaks.append(jump)
        } else {
            code[jump] = .jump(Int32(truncatingIfNeeded: loops[open[index].number].next - jump - 1))
        }
    }

    // MARK: set

    private mutating func set(_ line: Int) throws(Llama2Error) {
        let target = try target(namespaces: true)
        if try skipSymbol("=") {
            try statementExpression()
            try assign(target)
            return
        }
        if case .tuple = target { throw unexpected("=") }
        var block = OpenBlock(kind: .set, line: line)
        block.target = target
        let outer = scope
        try emit(.pushScope(try enterScope()), line: line)
        let start = code.count
        while try skipSymbol("|") { try filter() }
        (block.filter, block.filterLines) = try cut(start)
        try refuseUnknown()
        block.scopeBefore = outer
        try emit(.beginCapture, line: line)
        try push(block)
    }

    private mutating func endSet() throws(Llama2Error) {
        let block = try popBlock(.set, "endset")
        try emit(.endCapture)
        try paste(block.filter, block.filterLines)
        try emit(.popScope)
        leaveScope()
        if let target = block.target { try assign(target) }
    }

    // MARK: macro, call

    private mutating func beginMacro(_ line: Int) throws(Llama2Error) {
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

    private mutating func endMacro() throws(Llama2Error) {
        let block = try popBlock(.macro, "endmacro")
        try emit(.returns)
        leaveScope()
        if let skip = block.skip { land(skip) }
    }

    private mutating func beginCall(_ line: Int) throws(Llama2Error) {
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

    private mutating func endCall() throws(Llama2Error) {
        let block = try popBlock(.call, "endcall")
        try emit(.returns)
        leaveScope()
        if let skip = block.skip { land(skip) }
    }

    // MARK: filter, with

    private mutating func beginFilter(_ line: Int) throws(Llama2Error) {
        try emit(.pushScope(try enterScope()), line: line)
        let start = code.count
        try filter()
        while try skipSymbol("|") { try filter() }
        var block = OpenBlock(kind: .filter, line: line)
        (block.filter, block.filterLines) = try cut(start)
        try refuseUnknown()
        try emit(.beginCapture, line: line)
        try push(block)
    }

    private mutating func endFilter() throws(Llama2Error) {
        let block = try popBlock(.filter, "endfilter")
        try emit(.endCapture)
        try paste(block.filter, block.filterLines)
        try emit(.emit)
        try emit(.popScope)
        leaveScope()
    }

    private mutating func beginWith(_ line: Int) throws(Llama2Error) {
        var targets: [Target] = []
        while current.kind != .blockEnd {
            if !targets.isEmpty { try expect(",") }
            guard targets.count < 256 else { throw failure("more than 256 variables") }
            targets.append(try oneWithTarget())
            try expect("=")
            try expression()
        }
        try refuseUnknown()
        try emit(.pushScope(try enterScope()), line: line)
        for target in targets.reversed() { try assign(target, parameter: true) }
        try push(OpenBlock(kind: .with, line: line))
    }

    private mutating func oneWithTarget() throws(Llama2Error) -> Target { try target(namespaces: false) }
}
