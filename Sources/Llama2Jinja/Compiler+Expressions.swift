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
    mutating func primary() throws(Llama2Error) {
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

    func integer(_ token: Token) throws(Llama2Error) -> Int {
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
}
