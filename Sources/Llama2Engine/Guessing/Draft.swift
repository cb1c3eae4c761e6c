internal import Llama2Core
internal import Llama2Model

/// A draft for one text, on sequence 0 of its context.
final class Draft {
    private let drafter: Drafter
    private let text: DraftedText
    /// Of the text, the one that is certain at the end.
    private var tokens: GrowingBuffer<Int32>

    init(_ context: Context, beside main: Context) throws(Llama2Error) {
        tokens = try GrowingBuffer(capacity: main.inference.configuration.contextLength + 1, of: "tokens to guess from")
        let drafter = try Drafter(context, beside: main, sequences: 1)
        do throws(Llama2Error) { text = try DraftedText(drafter.costs) } catch {
            drafter.end()
            throw error
        }
        self.drafter = drafter
    }

    /// Gives the context back.
    func end() { drafter.end() }

    /// The text is what sequence 0 of `main` holds.
    func begin(_ main: Inference) {
        tokens.removeAll()
        main.readTokens(0) { list in for token in list { append(token) } }
        drafter.forget(0)
        text.forget()
    }

    func append(_ token: Int32) { try? tokens.append(token) }  // there is room

    /// At most `limit` guesses of what follows; valid until the next call. Throws when it was cancelled only.
    func guess(_ limit: Int, _ completion: Completion) throws(Llama2Error) -> UnsafeBufferPointer<Int32> {
        if text.begin(tokens.elements, on: 0, completion, limit: limit, beside: 1) { drafter.ask(text) }
        try drafter.run(atOnce: nil)
        return text.list
    }
}
