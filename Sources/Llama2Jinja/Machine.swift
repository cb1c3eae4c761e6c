internal import Llama2Core

/// One rendering: runs a program over its variables.
///
/// Nothing recurses with the template: calls of macros and recursive loops are frames on a list, so a host's small stack
/// does for every template.
final class Machine {
    let program: Program
    let heap: Heap
    let clock: Clock
    var at = 0
    var stack: [Value] = []
    /// What is being written: the rendering, and inside it macros, set blocks and so on.
    var outputs: [[Unit]] = [[]]
    var outputBytes = 0

    struct Scope {
        let parent: Int
        /// nil: known here, but not set.
        var variables: [(name: Int32, value: Value?)] = []
        /// A macro was made in it: it stays.
        var isKept = false
    }
    /// 0 is the template's own.
    var scopes: [Scope] = []
    var scope = 0
    /// Of the template's own scope, by name. Outer nil: not set here, so the context's; inner nil: known, but not set.
    var globals: [Value??]
    let context: [Value?]  // by name

    struct Frame {
        let back: Int
        let scope: Int
        let scopeCount: Int
    }
    var frames: [Frame] = []
    static let deepest = 200

    var loops: [LoopRun] = []
    var filtering: [Int] = []
    var namespaces: [[(name: Text, value: Value)]] = []
    var macros: [(description: Int, scope: Int)] = []
    var cyclers: [(items: List, position: Int)] = []
    var joiners: [(separator: Text, isUsed: Bool)] = []
    /// What `loop.changed` saw last, by the loop's number.
    var changed: [Int: List] = [:]
    var loopNumber = 0
    var printing = 0  // namespaces in one another
    var filterDepth = 0
    /// Of the recursive loop that is about to begin.
    var pendingDepth: Int?

    init(_ program: Program, heap: Heap, variables: [(name: StaticString, value: Value)], more: Dict?, clock: Clock) {
        self.program = program
        self.heap = heap
        self.clock = clock
        globals = Array(repeating: nil, count: program.names.count)
        var context: [Value?] = Array(repeating: nil, count: program.names.count)
        for (i, name) in program.names.enumerated() {
            for function in Function.allCases where name.equals(function.name) { context[i] = .function(function) }
            for (key, value) in variables where name.equals(key) { context[i] = value }
            if let value = more?.value(.text(name)) { context[i] = value }
        }
        self.context = context
        scopes.append(Scope(parent: -1))
        for name in program.scopes[0].unset { globals[Int(name)] = .some(nil) }
    }

    /// The whole rendering.
    func render() throws(Llama2Error) -> [Unit] {
        do throws(Llama2Error) {
            try run()
        } catch {
            let line = at > 0 && at <= program.lines.count ? program.lines[at - 1] : 0
            throw Llama2Error(error.kind, error.kind == .invalidArgument ? error.message : "line \(line): \(error.message)")
        }
        return outputs[0]
    }

    // MARK: Stack

    func push(_ value: Value) { stack.append(value) }

    func pop() throws(Llama2Error) -> Value {
        guard let value = stack.popLast() else { throw Failure.because("the machine's stack is empty") }
        return value
    }

    func popMany(_ count: Int) throws(Llama2Error) -> [Value] {
        guard count >= 0, count <= stack.count else { throw Failure.because("the machine's stack is empty") }
        let values = Array(stack[(stack.count - count)...])
        stack.removeLast(count)
        return values
    }

    func write(_ units: [Unit]) throws(Llama2Error) {
        try heap.take(units.count * 2)
        outputBytes += units.count * 2
        outputs[outputs.count - 1] += units
    }

    func beginCapture() { outputs.append([]) }

    func endCapture() throws(Llama2Error) -> Value {
        guard outputs.count > 1, let units = outputs.popLast() else { throw Failure.because("the machine's outputs are empty") }
        heap.give(units.count * 2)
        return try heap.value(units)
    }

    // MARK: Instructions

    private func run() throws(Llama2Error) {
        let code = program.code
        while at < code.count {
            try heap.step()
            let instruction = code[at]
            at += 1
            switch instruction {
            case .data(let number):
                if case .text(let text) = program.constants[Int(number)] { try write(text.units) }
            case .emit: try write(try string(try pop()))
            case .emitText:
                let value = try pop()
                guard case .text(let text) = value else { throw Failure.because("a filter block gives a '\(value.typeName)', expected str") }
                try write(text.units)
            case .constant(let number): push(program.constants[Int(number)])
            case .load(let name): push(try lookUp(name))
            case .store(let name): try set(name, try pop())
            case .setAttribute(let name, let attribute): try setAttribute(name, attribute)
            case .attribute(let number):
                guard case .text(let name) = program.constants[Int(number)] else { break }
                let value = try pop()
                if try looksAhead(value, name) { break }
                push(try attribute(value, name))
            case .item:
                let key = try pop(), value = try pop()
                if case .text(let name) = key, try looksAhead(value, name, key) { break }
                push(try item(value, key))
            case .slice:
                let parts = try popMany(3), value = try pop()
                push(try slice(value, parts))
            case .list(let count): push(try heap.list(try popMany(Int(count))))
            case .tuple(let count): push(try heap.tuple(try popMany(Int(count))))
            case .dict(let count):
                let values = try popMany(2 * Int(count))
                push(try heap.dict((0..<Int(count)).map { (values[2 * $0], values[2 * $0 + 1]) }))
            case .binary(let operation):
                let right = try pop(), left = try pop()
                push(try binary(operation, left, right))
            case .negate: push(try negated(try pop()))
            case .plus:
                let value = try pop()
                guard let number = value.number else { throw operandFailure("unary +", value) }
                push(number.value)
            case .not: push(.bool(!(try truth(try pop()))))
            case .concat(let count):
                var out: [Unit] = []
                for value in try popMany(Int(count)) {
                    let text = try string(value)
                    try heap.work(text.count)
                    try heap.checkRoom(out.count + text.count)
                    out += text
                }
                push(try heap.value(out))
            case .compare(let comparison):
                let right = try pop(), left = try pop()
                push(.bool(try compare(comparison, left, right)))
            case .compareNext(let comparison, let distance):
                let right = try pop(), left = try pop()
                if try compare(comparison, left, right) {
                    push(right)
                } else {
                    push(.bool(false))
                    at += Int(distance)
                }
            case .jump(let distance): at += Int(distance)
            case .jumpIfFalse(let distance): if !(try truth(try pop())) { at += Int(distance) }
            case .orJump(let distance):
                let value = try pop()
                if try truth(value) {
                    push(value)
                    at += Int(distance)
                }
            case .andJump(let distance):
                let value = try pop()
                if !(try truth(value)) {
                    push(value)
                    at += Int(distance)
                }
            case .call(let shape): try call(program.shapes[Int(shape)])
            case .filter(let name, let shape):
                guard case .text(let name) = program.constants[Int(name)] else { break }
                let arguments = try arguments(program.shapes[Int(shape)])
                push(try filter(name, try pop(), arguments))
            case .test(let name, let shape):
                guard case .text(let name) = program.constants[Int(name)] else { break }
                let arguments = try arguments(program.shapes[Int(shape)])
                push(.bool(try test(name, try pop(), arguments)))
            case .undefinedElse:
                push(.undefined(Missing("the inline if-expression on line \(program.lines[at - 1]) evaluated to false and no else section was defined.")))
            case .pop: _ = try pop()
            case .pushScope(let number): try pushScope(number, parent: scope)
            case .popScope: popScope()
            case .beginCapture: beginCapture()
            case .endCapture: push(try endCapture())
            case .loopBegin(let number): try beginLoop(Int(number))
            case .loopNext(let distance): try nextItem(Int(distance))
            case .loopTest: try endLoopTest()
            case .loopPassed: loops.last?.loop.wasPassed = true
            case .loopEnd(let distance): try endLoop(Int(distance))
            case .loopCall(let number):
                let value = try pop()
                try callLoop(Int(number), value, depth: 0, parent: scope)
            case .loopBind(let name):
                let item = try pop()
                if let run = loops.last { try set(name, .loop(run.loop)) }
                push(item)
            case .unpack(let count): try unpack(Int(count))
            case .macro(let number):
                keepScopes()
                guard macros.count < 1 << 16 else { throw Failure.because("more than 65536 macros") }
                macros.append((Int(number), scope))
                push(.macro(macros.count - 1))
            case .ifGiven(let name, let distance):
                if scopes[scope].variables.contains(where: { $0.name == name && $0.value != nil }) { at += Int(distance) }
            case .returns: try returns()
            case .fail: throw Failure.because("this is not supported")
            }
        }
    }

    private func setAttribute(_ name: Int32, _ attribute: Int32) throws(Llama2Error) {
        let value = try pop()
        guard case .namespace(let number) = try lookUp(name) else {
            throw Failure.because("cannot assign attribute on non-namespace object")
        }
        guard case .text(let key) = program.constants[Int(attribute)] else { return }
        try setNamespace(number, key, value)
    }

    func setNamespace(_ number: Int, _ key: Text, _ value: Value) throws(Llama2Error) {
        guard key.units.first?.byte != 0x5f else { throw Failure.because("'\(key.shown)' begins with an underscore: no attribute of a namespace") }
        for i in namespaces[number].indices where namespaces[number][i].name.equals(key) {
            namespaces[number][i].value = value
            return
        }
        try heap.take(64)
        try heap.work(16 * namespaces[number].count)
        namespaces[number].append((key, value))
    }

    /// In order on the stack, the first on top.
    private func unpack(_ count: Int) throws(Llama2Error) {
        let values = try elements(try pop())
        guard values.count >= count else { throw Failure.because("not enough values to unpack (expected \(count), got \(values.count))") }
        guard values.count == count else { throw Failure.because("too many values to unpack (expected \(count))") }
        for value in values.reversed() { push(value) }
    }
}
