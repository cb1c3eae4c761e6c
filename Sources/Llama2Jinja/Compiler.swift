internal import Llama2Core

/// Reads a template once and writes the program as it goes. Tags are kept on a list of open blocks, not on the stack;
/// only expressions recurse, to a bound.
struct Compiler {
    var scanner: Scanner
    var current: Token
    var code: [Instruction] = []
    /// The last place in `code` that a jump was made to go to.
    var lastLanding = -1
    var lines: [Int32] = []
    var constants: [Value] = []
    var names: [Text] = []
    var shapes: [CallShape] = []
    var macros: [MacroDescription] = []
    var loops: [LoopDescription] = []
    var scopes: [ScopeTrace] = [ScopeTrace(parent: nil)]
    var scope = 0
    var open: [OpenBlock] = []
    /// Filters and tests that do not exist, by the code that asks for them: an error at once, unless they are under a condition.
    var unknown: [(at: Int, error: Llama2Error)] = []
    var depth = 0
    private var namesByText: [[Unit]: Int32] = [:]
    private var constantsByText: [[Unit]: Int32] = [:]
    private var shapesKnown: [CallShape: Int32] = [:]
    private var moved = 0

    /// Of expressions in one another. A host's stack may be small, so what recurses here keeps its frames so: all that can is
    /// done by functions that are not inlined.
    static let deepest = 24
    static let mostInstructions = 1 << 20
    static let mostConstants = 1 << 16
    static let mostOpen = 256

    /// What a compiler notes of a scope, as jinja2's own symbol analysis does.
    struct ScopeTrace {
        let parent: Int?
        /// Names that were read or set here, not in scopes inside.
        var used: Set<Int32> = []
        /// Those that were set before they were read, under no condition.
        var setFirst: [Int32] = []
        var conditions = 0

        init(parent: Int?) { self.parent = parent }
    }

    enum Kind { case condition, loop, macro, call, filter, set, with, generation }

    struct OpenBlock {
        let kind: Kind
        let line: Int
        /// Jumps to be set: to the next branch, to the end.
        var next: Int?
        var ends: [Int] = []
        var number = 0  // of the loop or macro
        var hadElse = false
        var target: Target?
        /// A filter's code, to be put after the body.
        var filter: [Instruction] = []
        var filterLines: [Int32] = []
        var skip: Int?
        var scopeBefore = 0
        /// Of a loop's `break` and `continue`.
        var breaks: [Int] = []
    }

    indirect enum Target {
        case name(Int32)
        case attribute(name: Int32, attribute: Int32)
        case tuple([Target])
    }

    static func compile(_ source: UnsafeRawBufferPointer) throws(Llama2Error) -> Program {
        var compiler = Compiler(scanner: Scanner(source), current: Token(kind: .end, line: 1))
        try compiler.advance()
        try compiler.template()
        return Program(
            code: compiler.code, lines: compiler.lines, constants: compiler.constants, names: compiler.names, shapes: compiler.shapes,
            macros: compiler.macros, loops: compiler.loops, scopes: compiler.scopeDescriptions(), size: source.count)
    }

    private init(scanner: Scanner, current: Token) {
        self.scanner = scanner
        self.current = current
    }

    // MARK: Words

    @inline(never)
    mutating func advance() throws(Llama2Error) { current = try scanner.next() }

    @inline(never)
    func failure(_ what: String, line: Int? = nil) -> Llama2Error { Failure.because("line \(line ?? current.line): \(what)") }

    @inline(never)
    func enter() throws(Llama2Error) {
        guard depth <= Compiler.deepest else { throw failure("expressions nested deeper than \(Compiler.deepest)") }
    }

    @inline(never)
    func unexpected(_ wanted: String) -> Llama2Error { failure("expected \(wanted), not \(current.shown)") }

    @inline(never)
    mutating func skip(_ name: StaticString) throws(Llama2Error) -> Bool {
        guard current.isName(name) else { return false }
        try advance()
        return true
    }

    @inline(never)
    mutating func expect(_ symbol: StaticString) throws(Llama2Error) {
        guard current.isSymbol(symbol) else { throw unexpected("\(symbol)") }
        try advance()
    }

    @inline(never)
    mutating func skipSymbol(_ symbol: StaticString) throws(Llama2Error) -> Bool {
        guard current.isSymbol(symbol) else { return false }
        try advance()
        return true
    }

    @inline(never)
    mutating func expectName() throws(Llama2Error) -> [Unit] {
        guard current.kind == .name else { throw unexpected("a name") }
        let text = current.text
        try advance()
        return text
    }

    @inline(never)
    mutating func expectKind(_ kind: Token.Kind, _ name: String) throws(Llama2Error) {
        guard current.kind == kind else { throw unexpected(name) }
        try advance()
    }

    // MARK: Code

    @discardableResult @inline(never)
    mutating func emit(_ instruction: Instruction, line: Int? = nil) throws(Llama2Error) -> Int {
        guard code.count < Compiler.mostInstructions else { throw failure("more than \(Compiler.mostInstructions) instructions") }
        code.append(instruction)
        lines.append(Int32(truncatingIfNeeded: line ?? current.line))
        return code.count - 1
    }

    /// From the instruction after `place` to the end of the code.
    func distance(_ place: Int) -> Int32 { Int32(truncatingIfNeeded: code.count - place - 1) }

    /// Lets the jump at `place` go to the end of the code.
    @inline(never)
    mutating func land(_ place: Int) {
        let to = distance(place)
        lastLanding = code.count
        switch code[place] {
        case .jump: code[place] = .jump(to)
        case .jumpIfFalse: code[place] = .jumpIfFalse(to)
        case .orJump: code[place] = .orJump(to)
        case .andJump: code[place] = .andJump(to)
        case .compareNext(let comparison, _): code[place] = .compareNext(comparison, to)
        case .loopNext: code[place] = .loopNext(to)
        case .loopEnd: code[place] = .loopEnd(to)
        case .ifGiven(let name, _): code[place] = .ifGiven(name, to)
        default: break
        }
    }

    /// Takes the code from `start` on away.
    @inline(never)
    mutating func cut(_ start: Int) throws(Llama2Error) -> ([Instruction], [Int32]) {
        moved += code.count - start
        guard moved <= 16 * Compiler.mostInstructions else { throw failure("too many conditions in one another") }
        let piece = (Array(code[start...]), Array(lines[start...]))
        code.removeSubrange(start...)
        lines.removeSubrange(start...)
        return piece
    }

    @inline(never)
    mutating func paste(_ instructions: [Instruction], _ where_: [Int32]) throws(Llama2Error) {
        guard code.count + instructions.count <= Compiler.mostInstructions else { throw failure("more than \(Compiler.mostInstructions) instructions") }
        code += instructions
        lines += where_
    }

    @inline(never)
    mutating func name(_ text: [Unit]) throws(Llama2Error) -> Int32 {
        if let known = namesByText[text] { return known }
        guard names.count < Compiler.mostConstants else { throw failure("more than \(Compiler.mostConstants) names") }
        names.append(Text(text))
        let number = Int32(truncatingIfNeeded: names.count - 1)
        namesByText[text] = number
        return number
    }

    @inline(never)
    mutating func constant(_ value: Value) throws(Llama2Error) -> Int32 {
        if case .text(let text) = value, let known = constantsByText[text.units] { return known }
        guard constants.count < Compiler.mostConstants else { throw failure("more than \(Compiler.mostConstants) constants") }
        constants.append(value)
        let number = Int32(truncatingIfNeeded: constants.count - 1)
        if case .text(let text) = value { constantsByText[text.units] = number }
        return number
    }

    @inline(never)
    mutating func constant(_ text: [Unit]) throws(Llama2Error) -> Int32 { try constant(.text(Text(text))) }

    @inline(never)
    mutating func shape(_ shape: CallShape) throws(Llama2Error) -> Int32 {
        if let known = shapesKnown[shape] { return known }
        guard shapes.count < Compiler.mostConstants else { throw failure("more than \(Compiler.mostConstants) calls") }
        shapes.append(shape)
        shapesKnown[shape] = Int32(truncatingIfNeeded: shapes.count - 1)
        return Int32(truncatingIfNeeded: shapes.count - 1)
    }

    // MARK: Scopes

    mutating func enterScope() throws(Llama2Error) -> Int32 {
        guard scopes.count < Compiler.mostConstants else { throw failure("more than \(Compiler.mostConstants) scopes") }
        scopes.append(ScopeTrace(parent: scope))
        scope = scopes.count - 1
        return Int32(truncatingIfNeeded: scope)
    }

    mutating func leaveScope() { scope = scopes[scope].parent ?? 0 }

    @inline(never)
    mutating func noteRead(_ name: Int32) { scopes[scope].used.insert(name) }

    @inline(never)
    mutating func noteSet(_ name: Int32) {
        guard scopes[scope].used.insert(name).inserted, scopes[scope].conditions == 0 else { return }
        scopes[scope].setFirst.append(name)
    }

    func scopeDescriptions() -> [ScopeDescription] {
        scopes.map { trace in
            ScopeDescription(
                unset: trace.setFirst.filter { name in
                    var outer = trace.parent
                    while let number = outer {
                        if scopes[number].used.contains(name) { return false }
                        outer = scopes[number].parent
                    }
                    return true
                })
        }
    }
}
