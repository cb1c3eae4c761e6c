internal import Llama2Core

// `for`.
extension Compiler {
    mutating func beginLoop(_ line: Int) throws(Llama2Error) {
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

    mutating func endLoopBody(hasElse: Bool) throws(Llama2Error) {
        guard var block = open.popLast() else { return }
        try emit(.popScope)
        leaveScope()
        if hasElse { try emit(.loopPassed) }
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

    mutating func endLoop() throws(Llama2Error) {
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

    mutating func leaveLoop(_ name: String, _ isBreak: Bool) throws(Llama2Error) {
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
}
