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

    mutating func push(_ block: OpenBlock) throws(Llama2Error) {
        guard open.count < Compiler.mostOpen else { throw failure("tags nested deeper than \(Compiler.mostOpen)") }
        open.append(block)
    }

    /// The innermost open block, which `name` ends or divides.
    mutating func popBlock(_ kind: Kind, _ name: String) throws(Llama2Error) -> OpenBlock {
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
        try emit(.emitText)
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
