public import Llama2Core

extension Tokenizer {
    /// Refuses a draft's vocabulary, `draft`, that is not token by token the same bytes. Where a text ends may differ.
    public func checkDraft(_ draft: Tokenizer) throws(Llama2Error) {
        guard self !== draft else { return }
        guard count == draft.count else {
            throw Llama2Error(.invalidArgument, "the draft has another vocabulary: \(draft.count) tokens, the context's model \(count)")
        }
        for token in 0..<count {
            let id = Int32(truncatingIfNeeded: token)
            let mine = try piece(id, special: true), its = try draft.piece(id, special: true)
            guard mine.elementsEqual(its) else {
                throw Llama2Error(.invalidArgument, "the draft has another vocabulary: its token \(token) is not that of the context's model")
            }
        }
    }
}
