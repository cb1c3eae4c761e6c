internal import Llama2Core

/// Makes a program of a JSON Schema.
///
/// What may stand at a place is a set of literals (schemas that hold or do not hold there). Each set that occurs becomes a
/// form once, so that recursion ends; its conjunctions become the leaves of the form: texts of scalars, strings, objects
/// whose members are such sets again, arrays likewise. What nothing satisfies is cut away at the end.
final class SchemaCompiler {
    let source: SchemaSource
    let budget = GrammarBudget(states: 1_500_000, "the schema")
    let always: SchemaID
    var program = Program()
    var inPlace = 0
    /// Inside of schemas that are denied; of such that are closed to what nothing evaluates.
    var denying = 0, closing = 0
    var looking = 0

    var automata: [DFA] { program.automata }
    private let writable: CodePointSet
    private let shared: SharedAutomata
    private var isCompact: Bool
    private var forms: [[Literal]: Int32] = [:]
    private var waiting: [([Literal], Int32)] = []
    private var patterns: [[UInt8]: Int32] = [:], formats: [[UInt8]: Int32] = [:], texts: [[[UInt8]]: Int32] = [:]
    private var values: [[UInt8]: SchemaID] = [:], choicesOf: [[SchemaID]: SchemaID] = [:]
    private var strings: [Conjunction.StringRule: Int32] = [:], numbers: [NumberRule: Int32] = [:], words: [UInt8: Int32] = [:]
    private static let mostForms = 50_000

    static func compile(
        _ text: UnsafeRawBufferPointer, _ options: Grammar.Options, _ vocabulary: GrammarVocabulary
    ) throws(Llama2Error) -> (Program, ignored: [[UInt8]]) {
        let compiler = try SchemaCompiler(try JSON.parse(argument: text, "the schema"), options, vocabulary)
        try compiler.run()
        return (compiler.program, compiler.source.ignored)
    }

    private init(_ json: JSON, _ options: Grammar.Options, _ vocabulary: GrammarVocabulary) throws(Llama2Error) {
        guard (0x20...0x7E).allSatisfy({ vocabulary.singleBytes[$0] }) else {
            throw Llama2Error(.unsupported, "the vocabulary cannot write every character of ASCII, which JSON may need")
        }
        source = try SchemaSource(json, ignoresUnsupported: options.ignoresUnsupported)
        always = source.add(SchemaNode(bool: true))
        writable = vocabulary.writable
        shared = vocabulary.shared
        isCompact = options.isCompact
        program.anyOrder = options.anyOrder
        program.anyText = add(vocabulary.freeText.automaton)
    }

    private func run() throws(Llama2Error) {
        let root = try source.readRoot()
        try addPunctuation()
        let top = try number(of: [Literal(schema: root)])
        while let (literals, number) = waiting.popLast() { program.values[Int(number)] = try self.form(literals) }
        try Liveness.cut(&program)
        guard !program.values[Int(top)].leaves.isEmpty else { throw Llama2Error(.invalidArgument, "no value satisfies the schema") }
        program.start = [(Program.Frame.value, top)]
        if program.punctuation.space >= 0 {
            let space = (Program.Frame.automaton, program.punctuation.space)
            program.start = [space, (Program.Frame.value, top), space]
        }
    }

    func add(_ dfa: DFA) -> Int32 {
        program.automata.append(dfa)
        return Int32(truncatingIfNeeded: program.automata.count - 1)
    }

    private func addPunctuation() throws(Llama2Error) {
        func automaton(_ symbol: JSONSymbol) throws(Llama2Error) -> Int32 {
            add(
                try shared.automaton(.symbol(symbol, isCompact: isCompact)) { budget throws(Llama2Error) in
                    try RegexCompiler(budget).anchored(try RegexParser.parse(Array(symbol.expression(isCompact: isCompact).utf8), .re2))
                })
        }
        program.punctuation = Program.Punctuation(
            openObject: try automaton(.openObject), closeObject: try automaton(.closeObject), openArray: try automaton(.openArray),
            closeArray: try automaton(.closeArray), closeEmptyObject: try automaton(.closeEmptyObject), closeEmptyArray: try automaton(.closeEmptyArray),
            comma: try automaton(.comma), colon: try automaton(.colon), space: isCompact ? -1 : try automaton(.space))
    }

    // MARK: Forms

    /// The form of what satisfies all of `literals`, made later if it is new.
    func number(of literals: [Literal]) throws(Llama2Error) -> Int32 {
        func says(_ literal: Literal) -> Bool { source.node(literal.schema).bool.map { $0 == literal.isNegated } ?? true }
        let key = literals.count == 1 && says(literals[0]) ? literals : Set(literals).filter(says).sorted()
        if let known = forms[key] { return known }
        guard program.values.count < SchemaCompiler.mostForms else {
            throw Llama2Error(.unsupported, "the schema has more than \(SchemaCompiler.mostForms) different places")
        }
        try budget.take(4)
        let number = Int32(truncatingIfNeeded: program.values.count)
        program.values.append(Program.ValueForm())
        forms[key] = number
        waiting.append((key, number))
        return number
    }

    private func form(_ literals: [Literal]) throws(Llama2Error) -> Program.ValueForm {
        var form = Program.ValueForm(), types: UInt8 = 0
        for c in try expand(literals) {
            types |= c.types & (JSONType.null | JSONType.isTrue | JSONType.isFalse)
            if c.has(JSONType.number) { append(.automaton(try automaton(number: c.number)), to: &form) }
            if c.has(JSONType.string), let string = try string(c.string) { append(.string(string), to: &form) }
            if c.has(JSONType.object), let object = try object(c.object) { append(.object(object), to: &form) }
            if c.has(JSONType.array), let array = try array(c.array) { append(.array(array), to: &form) }
        }
        if types != 0 { append(.automaton(try automaton(words: types)), to: &form) }
        return form
    }

    private func append(_ leaf: Program.Leaf, to form: inout Program.ValueForm) {
        let isKnown = form.leaves.contains {
            switch ($0, leaf) {
            case (.automaton(let a), .automaton(let b)), (.string(let a), .string(let b)): a == b
            default: false
            }
        }
        if !isKnown { form.leaves.append(leaf) }
    }

    // MARK: Scalars

    func automaton(words types: UInt8) throws(Llama2Error) -> Int32 {
        if let known = words[types] { return known }
        let list = [(JSONType.null, "null"), (JSONType.isTrue, "true"), (JSONType.isFalse, "false")].filter { $0.0 & types != 0 }.map { Array($0.1.utf8) }
        let number = add(try DFA.texts(list, budget))
        words[types] = number
        return number
    }

    func automaton(number rule: NumberRule) throws(Llama2Error) -> Int32 {
        if let known = numbers[rule] { return known }
        let dfa =
            rule.isFree
            ? try shared.automaton(.number(isInteger: rule.isInteger)) { budget throws(Llama2Error) in try NumberAutomaton.build(rule, budget) }
            : try NumberAutomaton.build(rule, budget)
        let number = add(dfa)
        numbers[rule] = number
        return number
    }

    /// ECMA-262's expressions, as `pattern` and `patternProperties` give them: they match anywhere.
    func automaton(pattern: [UInt8], _ path: [UInt8]) throws(Llama2Error) -> Int32 {
        if let known = patterns[pattern] { return known }
        let number: Int32
        do throws(Llama2Error) {
            number = add(try RegexCompiler(budget, allowed: writable).searched(try RegexParser.parse(pattern, .ecma)))
        } catch {
            try source.unsupported(path, "pattern", "\(String(decoding: pattern.prefix(200), as: UTF8.self)): \(error.message)")
            number = program.anyText
        }
        patterns[pattern] = number
        return number
    }

    /// nil for a format that is an annotation.
    func automaton(format: [UInt8]) throws(Llama2Error) -> Int32? {
        if let known = formats[format] { return known >= 0 ? known : nil }
        guard let (place, regex) = StringFormat.named(format) else {
            formats[format] = -1
            return nil
        }
        let number = add(
            try shared.automaton(.format(place)) { budget throws(Llama2Error) in
                try RegexCompiler(budget, allowed: writable).anchored(try RegexParser.parse(regex, .re2))
            })
        formats[format] = number
        return number
    }

    func automaton(texts list: [[UInt8]]) throws(Llama2Error) -> Int32 {
        if let known = texts[list] { return known }
        let number = add(try DFA.texts(list, budget))
        texts[list] = number
        return number
    }

    /// The language of a rule, without its length; nil: any text.
    private func language(_ rule: Conjunction.StringRule) throws(Llama2Error) -> DFA? {
        guard !rule.needs.isEmpty || !rule.lacks.isEmpty else { return nil }
        var dfa = rule.needs.first.map { program.automata[Int($0)] } ?? program.automata[Int(program.anyText)]
        for other in rule.needs.dropFirst() { dfa = try dfa.intersection(program.automata[Int(other)], budget) }
        for other in rule.lacks { dfa = try dfa.subtracting(program.automata[Int(other)], budget) }
        return dfa
    }

    func string(_ rule: Conjunction.StringRule) throws(Llama2Error) -> Int32? {
        if let known = strings[rule] { return known >= 0 ? known : nil }
        var form = Program.StringForm(dfa: program.anyText)
        if let dfa = try language(rule) {
            let held = try dfa.ofLength(rule.least, rule.most, budget)
            guard !held.isEmpty else {
                strings[rule] = -1
                return nil
            }
            form.dfa = add(held)
        } else {
            form.isAny = true
            form.least = Int32(truncatingIfNeeded: rule.least)
            form.most = Int32(truncatingIfNeeded: rule.most ?? -1)
        }
        program.strings.append(form)
        let number = Int32(truncatingIfNeeded: program.strings.count - 1)
        strings[rule] = number
        return number
    }

    /// The texts of a rule, their length included.
    func text(of rule: Conjunction.StringRule) throws(Llama2Error) -> DFA {
        try (try language(rule) ?? program.automata[Int(program.anyText)]).ofLength(rule.least, rule.most, budget)
    }

    /// The texts that satisfy all of `literals`, for names of properties.
    func names(_ literals: [Literal]) throws(Llama2Error) -> DFA {
        guard !literals.isEmpty else { return program.automata[Int(program.anyText)] }
        var out = DFA.none
        for c in try expand(literals) where c.has(JSONType.string) {
            out = try out.union(try text(of: c.string), budget)
        }
        return out
    }

    // MARK: Values as schemas

    /// A schema that holds where one of `choices` does; the same for the same choices, so that a schema that contains itself has an end.
    func anyOf(_ choices: [SchemaID], _ path: [UInt8]) -> SchemaID {
        if let known = choicesOf[choices] { return known }
        let node = SchemaNode(path: path)
        node.anyOf = choices
        let id = source.add(node)
        choicesOf[choices] = id
        return id
    }

    /// A schema that only `value`, an object or an array, satisfies.
    func schema(of value: JSONValue, _ path: [UInt8]) -> SchemaID {
        let key = SchemaCompiler.written(value)
        if let known = values[key] { return known }
        let node = SchemaNode(path: path)
        node.isValue = true
        switch value {
        case .array(let elements):
            node.types = JSONType.array
            node.prefix = elements.map { schema(of: $0, path) }
            node.items = source.never
            node.minItems = elements.count
        case .object(let members):
            node.types = JSONType.object
            node.properties = members.map { ($0.0, schema(of: $0.1, path)) }
            node.required = members.map { $0.0 }
            node.additional = source.never
        default: node.values = [value]
        }
        let id = source.add(node)
        values[key] = id
        return id
    }

    private static func written(_ value: JSONValue) -> [UInt8] {
        switch value {
        case .null: return [UInt8(ascii: "n")]
        case .bool(let b): return [UInt8(ascii: b ? "t" : "f")]
        case .number(let d): return Array("#\(d.isNegative)\(d.whole).\(d.fraction);".utf8)
        case .string(let s): return Array("s\(s.count):".utf8) + s
        case .array(let list): return Array("[\(list.count):".utf8) + list.flatMap { written($0) }
        case .object(let list): return Array("{\(list.count):".utf8) + list.flatMap { Array("\($0.0.count):".utf8) + $0.0 + written($0.1) }
        }
    }
}
