internal import Llama2Model
internal import Synchronization

/// How a scheduler is doing.
public struct SchedulerStatistics: Sendable {
    /// Now.
    public var waiting = 0, running = 0
    /// Since the beginning: tokens of prompts that were begun, of these found, chosen, evaluated (again too).
    public var promptTokens = 0, adoptedTokens = 0, tokens = 0, evaluatedTokens = 0
    public var steps = 0, preemptions = 0
    /// Guessed, and of these chosen too.
    public var guessed = 0, guessedRight = 0
    /// Of the cache, behind the last step.
    public var pages = 0, pagesUsed = 0, pagesShared = 0, pagesCached = 0, positions = 0
}

/// Written by the thread that steps, read by any.
final class SchedulerCounters: Sendable {
    private let waiting = Atomic<Int>(0), running = Atomic<Int>(0)
    private let promptTokens = Atomic<Int>(0), adoptedTokens = Atomic<Int>(0), tokens = Atomic<Int>(0), evaluatedTokens = Atomic<Int>(0)
    private let steps = Atomic<Int>(0), preemptions = Atomic<Int>(0), guessed = Atomic<Int>(0), guessedRight = Atomic<Int>(0)
    private let pages = Atomic<Int>(0), used = Atomic<Int>(0), shared = Atomic<Int>(0), cached = Atomic<Int>(0), positions = Atomic<Int>(0)

    func began(prompt: Int, adopted: Int) {
        promptTokens.add(prompt, ordering: .relaxed)
        adoptedTokens.add(adopted, ordering: .relaxed)
    }

    func adopted(_ count: Int) { adoptedTokens.add(count, ordering: .relaxed) }
    func evaluated(_ count: Int) { evaluatedTokens.add(count, ordering: .relaxed) }
    func chose(_ count: Int) { tokens.add(count, ordering: .relaxed) }
    func guessed(_ count: Int, right: Int) {
        guessed.add(count, ordering: .relaxed)
        guessedRight.add(right, ordering: .relaxed)
    }

    func preempted() { preemptions.add(1, ordering: .relaxed) }

    func publish(waiting: Int, running: Int, pages: Inference.Pages, positions: Int) {
        steps.add(1, ordering: .relaxed)
        self.waiting.store(waiting, ordering: .relaxed)
        self.running.store(running, ordering: .relaxed)
        self.pages.store(pages.all, ordering: .relaxed)
        used.store(pages.used, ordering: .relaxed)
        shared.store(pages.shared, ordering: .relaxed)
        cached.store(pages.cached, ordering: .relaxed)
        self.positions.store(positions, ordering: .relaxed)
    }

    /// active: waiting, running, and those in the inbox.
    func read(active: Int) -> SchedulerStatistics {
        var s = SchedulerStatistics()
        s.running = running.load(ordering: .relaxed)
        s.waiting = max(active - s.running, 0)
        s.promptTokens = promptTokens.load(ordering: .relaxed)
        s.adoptedTokens = adoptedTokens.load(ordering: .relaxed)
        s.tokens = tokens.load(ordering: .relaxed)
        s.evaluatedTokens = evaluatedTokens.load(ordering: .relaxed)
        s.steps = steps.load(ordering: .relaxed)
        s.preemptions = preemptions.load(ordering: .relaxed)
        s.guessed = guessed.load(ordering: .relaxed)
        s.guessedRight = guessedRight.load(ordering: .relaxed)
        s.pages = pages.load(ordering: .relaxed)
        s.pagesUsed = used.load(ordering: .relaxed)
        s.pagesShared = shared.load(ordering: .relaxed)
        s.pagesCached = cached.load(ordering: .relaxed)
        s.positions = positions.load(ordering: .relaxed)
        return s
    }
}
