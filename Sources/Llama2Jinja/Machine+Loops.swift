internal import Llama2Core

/// `loop`, as the template sees it.
final class Loop {
    let items: List
    let depth: Int
    let number: Int
    let description: Int
    let hasFilter: Bool
    /// The scope that the loop stands in.
    let outer: Int
    var position = 0  // of the next item, before any condition
    var index = -1
    var before: Value?, now: Value?
    /// Whether a body was gone through to its end: what `else` asks, where there is one.
    var wasPassed = false
    /// Items that passed the condition before their turn: from `aheadAt` on.
    private var ahead: [Value] = []
    private var aheadAt = 0
    var aheadCount: Int { ahead.count - aheadAt }
    var firstAhead: Value? { aheadCount > 0 ? ahead[aheadAt] : nil }
    var isDone: Bool { position >= items.items.count }
    let isSized: Bool

    init(_ items: List, sized: Bool, depth: Int, number: Int, description: Int, hasFilter: Bool, outer: Int) {
        self.items = items
        isSized = sized
        self.depth = depth
        self.number = number
        self.description = description
        self.hasFilter = hasFilter
        self.outer = outer
    }

    /// Of those that the loop goes through; with a condition, once all were looked at.
    var length: Int { hasFilter ? index + 1 + aheadCount : items.items.count }

    func putAhead(_ item: Value) { ahead.append(item) }

    func takeAhead() -> Value? {
        guard let item = firstAhead else { return nil }
        aheadAt += 1
        if aheadAt == ahead.count { (ahead, aheadAt) = ([], 0) }
        return item
    }
}

extension Machine {
    struct LoopRun {
        let loop: Loop
        /// An item whose condition is being computed; and where to go on, if that is not the loop's turn.
        var candidate: Value?
        var resume: (at: Int, scope: Int, all: Bool)?
    }

    func beginLoop(_ number: Int) throws(Llama2Error) {
        let value = try pop()
        try startLoop(number, value, depth: 0)
    }

    private func startLoop(_ number: Int, _ value: Value, depth: Int) throws(Llama2Error) {
        guard loops.count < 1024 else { throw Failure.because("more than 1024 loops in one another") }
        let depth = pendingDepth ?? depth
        pendingDepth = nil
        let isSized = if case .iterator = value { false } else { true }
        let items: List
        if case .list(let list) = value { items = list } else { items = try heap.list(try elements(value), tuple: false) }
        loopNumber += 1
        loops.append(
            LoopRun(
                loop: Loop(
                    items, sized: isSized, depth: depth, number: loopNumber, description: number,
                    hasFilter: program.loops[number].filter != nil, outer: scope)))
    }

    /// Pushes the next item in a scope of its own, or leaves.
    func nextItem(_ exit: Int) throws(Llama2Error) {
        guard let run = loops.last else { throw Failure.because("no loop") }
        let loop = run.loop, description = program.loops[loop.description]
        if let item = loop.takeAhead() {
            try enter(loop, item, description)
        } else if loop.isDone {
            at += exit
        } else if description.filter != nil {
            try testNext(loops.count - 1)
        } else {
            loop.position += 1
            try enter(loop, loop.items.items[loop.position - 1], description)
        }
    }

    private func enter(_ loop: Loop, _ item: Value, _ description: LoopDescription) throws(Llama2Error) {
        loop.index += 1
        loop.before = loop.now
        loop.now = item
        try pushScope(description.bodyScope, parent: loop.outer)
        push(item)
        at = description.body
    }

    /// Goes to the condition's code with the next item.
    private func testNext(_ number: Int) throws(Llama2Error) {
        let loop = loops[number].loop, description = program.loops[loop.description]
        let item = loop.items.items[loop.position]
        loop.position += 1
        loops[number].candidate = item
        guard filtering.count < 64 else { throw Failure.because("more than 64 conditions of loops in one another") }
        filtering.append(number)
        try pushScope(description.filterScope, parent: loop.outer)
        push(item)
        at = description.filter ?? at
    }

    func endLoopTest() throws(Llama2Error) {
        let holds = try truth(try pop())
        popScope()
        guard let number = filtering.popLast(), number < loops.count, let item = loops[number].candidate else { return }
        let loop = loops[number].loop
        loops[number].candidate = nil
        guard let resume = loops[number].resume else {
            if holds { try enter(loop, item, program.loops[loop.description]) } else { at = program.loops[loop.description].next }
            return
        }
        // looked at before its turn
        if holds { loop.putAhead(item) }
        if !loop.isDone, resume.all || !holds { return try testNext(number) }
        loops[number].resume = nil
        at = resume.at
        scope = resume.scope
    }

    /// `loop.last` and its like, of a loop with a condition, need to know what comes: its condition is computed first,
    /// and then the instruction that asked is done again. Whether that was begun.
    func looksAhead(_ value: Value, _ name: Text, _ key: Value? = nil) throws(Llama2Error) -> Bool {
        guard case .loop(let loop) = value, loop.hasFilter, !loop.isDone else { return false }
        let all = name.equals("length") || name.equals("revindex") || name.equals("revindex0")
        guard all || loop.aheadCount == 0 && (name.equals("last") || name.equals("nextitem")) else { return false }
        guard let number = loops.lastIndex(where: { $0.loop === loop }), loops[number].resume == nil else { return false }
        push(value)
        if let key { push(key) }
        loops[number].resume = (at - 1, scope, all)
        try testNext(number)
        return true
    }

    func endLoop(_ distance: Int) throws(Llama2Error) {
        guard let run = loops.popLast() else { throw Failure.because("no loop") }
        if run.loop.wasPassed { at += distance }
    }

    // MARK: Recursive loops

    func callLoop(_ number: Int, _ value: Value, depth: Int, parent: Int) throws(Llama2Error) {
        try enterFrame()
        scope = parent
        keepScopes()
        beginCapture()
        push(value)
        pendingDepth = depth
        at = program.loops[number].entry
    }

    func loopAttribute(_ loop: Loop, _ name: Text) throws(Llama2Error) -> Value? {
        if name.equals("index") { return .int(loop.index + 1) }
        if name.equals("index0") { return .int(loop.index) }
        if name.equals("first") { return .bool(loop.index == 0) }
        if name.equals("last") { return .bool(loop.hasFilter ? loop.aheadCount == 0 : loop.isDone) }
        if name.equals("length") { return .int(loop.length) }
        if name.equals("revindex") { return .int(loop.length - loop.index) }
        if name.equals("revindex0") { return .int(loop.length - loop.index - 1) }
        if name.equals("depth") { return .int(loop.depth + 1) }
        if name.equals("depth0") { return .int(loop.depth) }
        if name.equals("previtem") { return loop.before ?? .undefined(Missing("there is no previous item")) }
        if name.equals("nextitem") {
            let next = loop.hasFilter ? loop.firstAhead : loop.isDone ? nil : loop.items.items[loop.position]
            return next ?? .undefined(Missing("there is no next item"))
        }
        if name.equals("cycle") || name.equals("changed") { return .method(Method(.loop(loop), name)) }
        return nil
    }

    func callLoopMethod(_ loop: Loop, _ name: Text, _ arguments: Arguments) throws(Llama2Error) -> Value {
        try arguments.refuseNamed(name)
        if name.equals("cycle") {
            guard !arguments.positional.isEmpty else { throw Failure.because("no items for cycling given") }
            return arguments.positional[max(loop.index, 0) % arguments.positional.count]
        }
        let now = try heap.list(arguments.positional, tuple: true)
        if let before = changed[loop.number], try equal(.tuple(before), .tuple(now)) { return .bool(false) }
        changed[loop.number] = now
        return .bool(true)
    }
}
