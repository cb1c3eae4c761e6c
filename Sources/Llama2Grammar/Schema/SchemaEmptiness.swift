internal import Llama2Core

/// Which conjunctions nothing satisfies.
extension SchemaCompiler {
    /// Whether surely nothing satisfies any of the list: what is required was looked at, two levels deep.
    func isEmpty(_ list: List) throws(Llama2Error) -> Bool {
        // asked inside of itself, by a schema that contains itself, the answer is the safe one
        guard looking < 2 else { return list.isEmpty }
        looking += 1
        defer { looking -= 1 }
        for c in list where try !isEmpty(c, depth: 2) { return false }
        return true
    }

    private func isEmpty(_ c: Conjunction, depth: Int) throws(Llama2Error) -> Bool {
        if c.has(JSONType.null | JSONType.isTrue | JSONType.isFalse) { return false }
        if c.has(JSONType.number), !program.automata[Int(try automaton(number: c.number))].isEmpty { return false }
        if c.has(JSONType.string), try string(c.string) != nil { return false }
        if c.has(JSONType.array) {
            guard depth > 0, c.array.least > 0 else { return false }
            var isPossible = true
            for index in 0..<min(c.array.least, 8) {
                let literals = itemLiterals(c.array, index)
                if literals.isEmpty { continue }
                if try isEmpty(literals: literals, depth: depth - 1) {
                    isPossible = false
                    break
                }
            }
            if isPossible { return false }
        }
        if c.has(JSONType.object) {
            guard depth > 0 else { return false }
            var isPossible = true
            for name in c.object.required {
                if try isEmpty(literals: try memberLiterals(c.object, name), depth: depth - 1) {
                    isPossible = false
                    break
                }
            }
            if isPossible { return false }
        }
        return true
    }

    private func isEmpty(literals: [Literal], depth: Int) throws(Llama2Error) -> Bool {
        for c in try expand(literals) where try !isEmpty(c, depth: depth) { return false }
        return true
    }
}
