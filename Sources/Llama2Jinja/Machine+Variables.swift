internal import Llama2Core

// Variables and the scopes that they live in.
extension Machine {
    func lookUp(_ name: Int32) throws(Llama2Error) -> Value {
        var number = scope, looked = 0
        while number > 0 {
            for variable in scopes[number].variables where variable.name == name {
                if looked > 64 { try heap.work(looked) }
                return variable.value ?? missing(name)
            }
            looked += 1 + scopes[number].variables.count
            number = scopes[number].parent
        }
        if looked > 64 { try heap.work(looked) }
        if let known = globals[Int(name)] { return known ?? missing(name) }
        return context[Int(name)] ?? missing(name)
    }

    private func missing(_ name: Int32) -> Value { Missing.named(program.names[Int(name)].shown) }

    func set(_ name: Int32, _ value: Value?) throws(Llama2Error) {
        guard scope > 0 else {
            globals[Int(name)] = .some(value)
            return
        }
        for i in scopes[scope].variables.indices where scopes[scope].variables[i].name == name {
            scopes[scope].variables[i].value = value
            return
        }
        guard scopes[scope].variables.count < 4096 else { throw Failure.because("more than 4096 variables in a scope") }
        try heap.work(scopes[scope].variables.count)
        scopes[scope].variables.append((name, value))
    }

    func pushScope(_ description: Int32, parent: Int) throws(Llama2Error) {
        try heap.take(96)
        scopes.append(Scope(parent: parent, variables: program.scopes[Int(description)].unset.map { ($0, nil) }))
        scope = scopes.count - 1
    }

    func popScope() {
        guard scope > 0 else { return }
        let done = scope
        scope = scopes[done].parent
        dropScopes(to: done)
    }

    /// Those that nobody keeps, from the end.
    func dropScopes(to count: Int) {
        while scopes.count > max(count, 1), let last = scopes.last, !last.isKept {
            scopes.removeLast()
            heap.give(96)
        }
    }

    /// A macro was made here: the scopes that it sees stay.
    func keepScopes() {
        var number = scope
        while number > 0, !scopes[number].isKept {
            scopes[number].isKept = true
            number = scopes[number].parent
        }
    }
}
