internal import Llama2Core

// What stands behind a value: attributes, calls, filters, tests.
extension Compiler {
    @inline(never)
    mutating func postfix() throws(Llama2Error) {
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
    mutating func filtersAndTests() throws(Llama2Error) {
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
