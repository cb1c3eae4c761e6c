internal import Llama2Core

// Jinja's expressions, lowest binding first: conditions, or, and, not, comparisons, + -, ~, * / // %, **, signs, then
// attributes and calls, then filters and tests.
extension Compiler {
    /// An expression that a tag or an output stands on.
    mutating func statementExpression(conditions: Bool = true, isOptional: Bool = false, until end: StaticString? = nil) throws(Llama2Error) {
        try tuple(conditions: conditions, explicit: false, until: end)
        try refuseUnknown()
    }

    /// jinja2 refuses a template that asks for a filter or test that does not exist, unless it does so under a condition.
    mutating func refuseUnknown() throws(Llama2Error) {
        if scopes[scope].conditions == 0, let first = unknown.first { throw first.error }
        unknown.removeAll()
    }

    @inline(never)
    mutating func expression(conditions: Bool = true) throws(Llama2Error) {
        let start = code.count, unknownBefore = unknown.count
        try operation(1)
        guard conditions else { return }
        while current.isName("if") {
            try advance()
            let (first, firstLines) = try cut(start)
            try operation(1)
            let otherwise = try emit(.jumpIfFalse(0))
            try paste(first, firstLines)
            let end = try emit(.jump(0))
            land(otherwise)
            if try skip("else") { try expression() } else { try emit(.undefinedElse) }
            land(end)
            unknown.removeSubrange(min(unknownBefore, unknown.count)...)
        }
    }

    private struct Operator {
        var level: Int
        var binary: Binary?
        var comparison: Comparison?
    }

    @inline(never)
    private func operatorHere() throws(Llama2Error) -> Operator? {
        switch current.kind {
        case .name:
            if current.isName("or") { return Operator(level: 1) }
            if current.isName("and") { return Operator(level: 2) }
            if current.isName("in") { return Operator(level: 4, comparison: .isIn) }
            if current.isName("not"), try scanner.peek().isName("in") { return Operator(level: 4, comparison: .notIn) }
            return nil
        case .symbol(let symbol):
            let first = UInt8(symbol & 0xff), second = UInt8(symbol >> 8)
            switch (first, second) {
            case (UInt8(ascii: "="), UInt8(ascii: "=")): return Operator(level: 4, comparison: .equal)
            case (UInt8(ascii: "!"), _): return Operator(level: 4, comparison: .notEqual)
            case (UInt8(ascii: "<"), 0): return Operator(level: 4, comparison: .less)
            case (UInt8(ascii: "<"), _): return Operator(level: 4, comparison: .lessOrEqual)
            case (UInt8(ascii: ">"), 0): return Operator(level: 4, comparison: .greater)
            case (UInt8(ascii: ">"), _): return Operator(level: 4, comparison: .greaterOrEqual)
            case (UInt8(ascii: "+"), _): return Operator(level: 5, binary: .add)
            case (UInt8(ascii: "-"), _): return Operator(level: 5, binary: .subtract)
            case (UInt8(ascii: "~"), _): return Operator(level: 6)
            case (UInt8(ascii: "*"), 0): return Operator(level: 7, binary: .multiply)
            case (UInt8(ascii: "*"), _): return Operator(level: 8, binary: .power)
            case (UInt8(ascii: "/"), 0): return Operator(level: 7, binary: .divide)
            case (UInt8(ascii: "/"), _): return Operator(level: 7, binary: .floorDivide)
            case (UInt8(ascii: "%"), _): return Operator(level: 7, binary: .modulo)
            default: return nil
            }
        default: return nil
        }
    }

    /// Operators that bind at least as `level`, from the left.
    mutating func operation(_ level: Int) throws(Llama2Error) {
        depth += 1
        defer { depth -= 1 }
        try enter()
        if level <= 3, current.isName("not") {
            var count = 0
            while try skip("not") { count += 1 }
            try operation(4)
            for _ in 0..<(count % 2 == 0 ? 2 : 1) { try emit(.not) }
        } else {
            try unary(filters: true)
        }
        while let here = try operatorHere(), here.level >= level {
            let line = current.line
            if let comparison = here.comparison {
                try comparisons(comparison)
                continue
            }
            try advance()
            if let binary = here.binary {
                try operation(here.level + 1)
                try emit(.binary(binary), line: line)
            } else if here.level == 6 {
                var count: Int32 = 1
                repeat {
                    try operation(7)
                    count &+= 1  // fewer than there are instructions
                } while try skipSymbol("~")
                try emit(.concat(count), line: line)
            } else {
                let jump = try emit(here.level == 1 ? .orJump(0) : .andJump(0), line: line)
                try operation(here.level + 1)
                land(jump)
            }
        }
    }

    /// `a < b < c`: each operand is computed once, and no further than the first that is false.
    @inline(never)
    private mutating func comparisons(_ first: Comparison) throws(Llama2Error) {
        var comparison = first, jumps: [Int] = []
        while true {
            let line = current.line
            if comparison == .notIn { try advance() }
            try advance()
            try operation(5)
            guard let next = try operatorHere()?.comparison else {
                try emit(.compare(comparison), line: line)
                break
            }
            jumps.append(try emit(.compareNext(comparison, 0), line: line))
            comparison = next
        }
        for jump in jumps { land(jump) }
    }

    @inline(never)
    private mutating func unary(filters: Bool) throws(Llama2Error) {
        // signs one after the other are counted, not nested
        var signs: [Instruction] = []
        while current.isSymbol("-") || current.isSymbol("+") {
            signs.append(current.isSymbol("-") ? .negate : .plus)
            try advance()
        }
        try primary()
        try postfix()
        for sign in signs.reversed() { try emit(sign) }
        if !signs.isEmpty { try postfix() }
        if filters { try filtersAndTests() }
    }

    @inline(never)
    private mutating func primary() throws(Llama2Error) {
        if current.isSymbol("[") { return try listLiteral() }
        if current.isSymbol("{") { return try dictLiteral() }
        guard try skipSymbol("(") else { return try atom() }
        try tuple(conditions: true, explicit: true, until: nil)
        try expect(")")
    }

    /// A name or a literal of one word.
    @inline(never)
    private mutating func atom() throws(Llama2Error) {
        let token = current
        switch token.kind {
        case .name:
            try advance()
            if token.isName("true") || token.isName("True") {
                try emit(.constant(try constant(.bool(true))), line: token.line)
            } else if token.isName("false") || token.isName("False") {
                try emit(.constant(try constant(.bool(false))), line: token.line)
            } else if token.isName("none") || token.isName("None") {
                try emit(.constant(try constant(.none)), line: token.line)
            } else {
                let number = try name(token.text)
                noteRead(number)
                noteSpecial(token)
                try emit(.load(number), line: token.line)
            }
        case .string:
            var text = token.text
            try advance()
            while current.kind == .string {
                text += current.text
                try advance()
            }
            try emit(.constant(try constant(text)), line: token.line)
        case .integer:
            try advance()
            try emit(.constant(try constant(.int(try integer(token)))), line: token.line)
        case .float:
            try advance()
            guard let value = Numbers.float(token.text) else { throw failure("a number that cannot be read") }
            try emit(.constant(try constant(.float(value))), line: token.line)
        default: throw failure("unexpected \(token.shown)")
        }
    }

    private func integer(_ token: Token) throws(Llama2Error) -> Int {
        guard let value = Numbers.integer(token.text, base: 0) else { throw failure("an integer beyond 64 bits is not supported") }
        return value
    }

    /// A macro takes `caller`, `kwargs` and `varargs` if it speaks of them.
    private mutating func noteSpecial(_ token: Token) {
        let isCaller = token.isName("caller"), isKeywords = token.isName("kwargs"), isPositional = token.isName("varargs")
        guard isCaller || isKeywords || isPositional else { return }
        for block in open where block.kind == .macro || block.kind == .call {
            if isCaller { macros[block.number].usesCaller = true }
            if isKeywords { macros[block.number].usesKeywords = true }
            if isPositional { macros[block.number].usesPositional = true }
        }
    }

    @inline(never)
    private mutating func listLiteral() throws(Llama2Error) {
        let line = current.line
        try expect("[")
        var count: Int32 = 0
        while !current.isSymbol("]") {
            if count > 0 {
                try expect(",")
                if current.isSymbol("]") { break }
            }
            try expression()
            count &+= 1  // fewer than there are instructions
        }
        try expect("]")
        try emit(.list(count), line: line)
    }

    @inline(never)
    private mutating func dictLiteral() throws(Llama2Error) {
        let line = current.line
        try expect("{")
        var count: Int32 = 0
        while !current.isSymbol("}") {
            if count > 0 {
                try expect(",")
                if current.isSymbol("}") { break }
            }
            try expression()
            try expect(":")
            try expression()
            count &+= 1  // fewer than there are instructions
        }
        try expect("}")
        try emit(.dict(count), line: line)
    }

    /// One expression, or several with commas: a tuple.
    @inline(never)
    mutating func tuple(conditions: Bool, explicit: Bool, until end: StaticString?) throws(Llama2Error) {
        let line = current.line
        var count: Int32 = 0, isTuple = false
        while true {
            if current.kind == .variableEnd || current.kind == .blockEnd || current.isSymbol(")") { break }
            if let end, current.isName(end) { break }
            try expression(conditions: conditions)
            count &+= 1  // fewer than there are instructions
            guard current.isSymbol(",") else { break }
            try advance()
            isTuple = true
        }
        if !isTuple {
            if count == 1 { return }
            guard explicit else { throw unexpected("an expression") }
        }
        try emit(.tuple(count), line: line)
    }

    @inline(never)
    private mutating func postfix() throws(Llama2Error) {
        while true {
            let line = current.line
            if try skipSymbol(".") {
                try attribute(line)
            } else if current.isSymbol("[") {
                try subscripted(line)
            } else if current.isSymbol("(") {
                let shape = try callArguments()
                try emit(.call(shape), line: line)
            } else {
                return
            }
        }
    }

    @inline(never)
    private mutating func attribute(_ line: Int) throws(Llama2Error) {
        if current.kind == .name {
            try emit(.attribute(try constant(current.text)), line: line)
            try advance()
        } else if current.kind == .integer {
            try emit(.constant(try constant(.int(try integer(current)))), line: line)
            try advance()
            try emit(.item, line: line)
        } else {
            throw unexpected("a name or a number")
        }
    }

    @inline(never)
    private mutating func subscripted(_ line: Int) throws(Llama2Error) {
        try expect("[")
        var count: Int32 = 0, slices = 0
        while !current.isSymbol("]") {
            if count > 0 { try expect(",") }
            slices += try subscriptPart() ? 1 : 0
            count &+= 1  // fewer than there are instructions
        }
        try expect("]")
        if slices > 0 {
            guard count == 1 else { throw unexpected("one slice alone") }
            try emit(.slice, line: line)
        } else {
            if count != 1 { try emit(.tuple(count), line: line) }
            try emit(.item, line: line)
        }
    }

    /// Whether it was a slice; its start, stop and step are then left.
    @inline(never)
    private mutating func subscriptPart() throws(Llama2Error) -> Bool {
        let none = Instruction.constant(try constant(.none))
        if current.isSymbol(":") { try emit(none) } else { try expression() }
        guard try skipSymbol(":") else { return false }
        if current.isSymbol(":") || current.isSymbol("]") || current.isSymbol(",") { try emit(none) } else { try expression() }
        if try skipSymbol(":"), !current.isSymbol("]"), !current.isSymbol(",") { try expression() } else { try emit(none) }
        return true
    }

    /// `(a, b, c=d, *e, **f)`.
    @inline(never)
    mutating func callArguments() throws(Llama2Error) -> Int32 {
        var shape = CallShape(), isFirst = true
        try expect("(")
        while !current.isSymbol(")") {
            if !isFirst {
                try expect(",")
                if current.isSymbol(")") { break }
            }
            isFirst = false
            try beginArgument(&shape)
            try expression()
        }
        try expect(")")
        return try self.shape(shape)
    }

    /// Takes the argument that begins here into account, in the order that Python wants, and goes to its value.
    @inline(never)
    private mutating func beginArgument(_ shape: inout CallShape) throws(Llama2Error) {
        let isNamed = current.kind == .name ? try scanner.peek().isSymbol("=") : false
        if try skipSymbol("*") {
            guard !shape.star, !shape.doubleStar else { throw failure("invalid syntax for function call expression") }
            shape.star = true
        } else if try skipSymbol("**") {
            guard !shape.doubleStar else { throw failure("invalid syntax for function call expression") }
            shape.doubleStar = true
        } else if isNamed {
            guard !shape.doubleStar else { throw failure("invalid syntax for function call expression") }
            guard !shape.star else { throw failure("a named argument after * is not supported") }
            let key = try constant(current.text)
            guard !shape.named.contains(key) else { throw failure("keyword argument repeated: \(current.shown)") }
            guard shape.named.count < 256 else { throw failure("more than 256 named arguments") }
            try advance()
            try advance()
            shape.named.append(key)
        } else {
            guard !shape.star, !shape.doubleStar, shape.named.isEmpty else { throw failure("invalid syntax for function call expression") }
            shape.positional += 1
        }
    }

    @inline(never)
    private mutating func filtersAndTests() throws(Llama2Error) {
        while true {
            if current.isSymbol("|") {
                try advance()
                try filter()
            } else if current.isName("is") {
                try test()
            } else if current.isSymbol("(") {
                let line = current.line
                let shape = try callArguments()
                try emit(.call(shape), line: line)
            } else {
                return
            }
        }
    }

    private mutating func dottedName() throws(Llama2Error) -> [Unit] {
        var text = try expectName()
        while try skipSymbol(".") { text += [0x2e] + (try expectName()) }
        return text
    }

    /// One filter, its name and arguments.
    @inline(never)
    mutating func filter() throws(Llama2Error) {
        let line = current.line, name = try filterName(line)
        let arguments = current.isSymbol("(") ? try callArguments() : try shape(CallShape())
        try emit(.filter(name, arguments), line: line)
    }

    @inline(never)
    private mutating func filterName(_ line: Int) throws(Llama2Error) -> Int32 {
        let text = try dottedName()
        if !Filters.exists(text) { unknown.append((code.count, failure("No filter named '\(Failure.shown(text.map(\.byte)))'.", line: line))) }
        return try constant(text)
    }

    @inline(never)
    private mutating func testName(_ line: Int) throws(Llama2Error) -> Int32 {
        let text = try dottedName()
        if !Tests.exists(text) { unknown.append((code.count, failure("No test named '\(Failure.shown(text.map(\.byte)))'.", line: line))) }
        if current.isName("is") { throw failure("You cannot chain multiple tests with is") }
        return try constant(text)
    }

    @inline(never)
    private mutating func test() throws(Llama2Error) {
        let line = current.line
        try advance()
        let isNegated = try skip("not"), name = try testName(line)
        let arguments: Int32
        if current.isSymbol("(") {
            arguments = try callArguments()
        } else if startsArgument, !current.isName("else"), !current.isName("or"), !current.isName("and") {
            depth += 1
            defer { depth -= 1 }
            try enter()
            try primary()
            try postfix()
            arguments = try shape(CallShape(positional: 1))
        } else {
            arguments = try shape(CallShape())
        }
        try emit(.test(name, arguments), line: line)
        if isNegated { try emit(.not, line: line) }
    }

    private var startsArgument: Bool {
        switch current.kind {
        case .name, .string, .integer, .float: true
        default: current.isSymbol("(") || current.isSymbol("[") || current.isSymbol("{")
        }
    }
}
