import Llama2Core
import Llama2Kernels
import Testing

@testable import Llama2Model

/// Pages by their numbers: who has them, who gives them back, which is taken next.
@Suite struct KVCacheTests {
    /// A cache of `length` positions; a page holds 64 of them.
    private func made(_ length: Int, sequences: Int) throws -> KVCache {
        let h = Hyperparameters(
            vocabularySize: 512, embeddingLength: 32, layerCount: 2, headCount: 2, headCountKV: 1, feedForwardLength: 64, contextLength: 1024)
        var c = ContextConfiguration(contextLength: length)
        c.maxSequences = sequences
        return try KVCache(h, c)
    }

    /// An eval of tokens `first`, `first` + 1, ... of one sequence, up to its end. False: no room, and it was undone.
    private func eval(_ cache: KVCache, _ sequence: Int, _ count: Int, first: Int32 = 1000) -> Bool {
        cache.begin(count)
        for i in 0..<count where !cache.append(sequence, first + Int32(i)) {
            cache.undo()
            return false
        }
        cache.commit()
        return true
    }

    private func pages(_ cache: KVCache, _ sequence: Int) -> [Int32] {
        (0..<KVCache.pages(cache.length(sequence))).map { cache.table(sequence)[$0] }
    }

    @Test func everySequenceButOneMayLeaveAPagePartlyEmpty() throws {
        for (length, sequences, count) in [(1, 1, 1), (64, 1, 1), (65, 1, 2), (256, 4, 7), (100, 100, 101)] {
            #expect(try made(length, sequences: sequences).layout.pageCount == count)
        }
        // the worst case: each has one position, and the rest of the positions still find their pages
        let cache = try made(128, sequences: 4)
        for sequence in 0..<3 { #expect(eval(cache, sequence, 1, first: Int32(sequence) * 100)) }
        #expect(eval(cache, 3, 125, first: 5000))
        #expect(cache.free == 0 && !cache.fits(3) && !eval(cache, 0, 1))
        #expect(cache.used == 128 && cache.store.spare == 0)
    }

    @Test func pagesAreTakenFromTheFrontAndAnUndoGivesThemBackInTheSameOrder() throws {
        let cache = try made(256, sequences: 2)
        #expect(eval(cache, 0, 70))
        #expect(pages(cache, 0) == [0, 1])
        let free = Array(cache.store.freePages)
        cache.begin(200)
        for i in 0..<150 { #expect(cache.append(i % 2, Int32(i))) }
        #expect(Array(cache.store.freePages) != free)
        cache.undo()
        #expect(Array(cache.store.freePages) == free && cache.used == 70)
        #expect(cache.length(0) == 70 && cache.length(1) == 0 && cache.store.filled(1) == 6)
    }

    @Test func aSharedPageIsCopiedByWhoGoesOnBehindAnothersEnd() throws {
        let cache = try made(256, sequences: 3)
        #expect(eval(cache, 0, 70))
        cache.copy(0, to: 1, length: 66)
        #expect(pages(cache, 1) == pages(cache, 0) && cache.used == 70 && cache.store.sharedCount == 2)
        // the longer one goes on where nobody reads
        #expect(eval(cache, 0, 1, first: 7))
        #expect(pages(cache, 1) == pages(cache, 0))
        // the shorter one would write over positions 66 to 70
        #expect(eval(cache, 1, 1, first: 8))
        #expect(pages(cache, 1)[0] == pages(cache, 0)[0] && pages(cache, 1)[1] != pages(cache, 0)[1])
        #expect(cache.store.owners(pages(cache, 0)[1]) == 1 && cache.store.owners(pages(cache, 0)[0]) == 2)
        #expect(cache.used == 71 + 3)
    }

    @Test func anUndoTakesACopyBackToo() throws {
        let cache = try made(256, sequences: 2)
        #expect(eval(cache, 0, 70))
        cache.copy(0, to: 1, length: 66)
        let before = (pages(cache, 0), pages(cache, 1), Array(cache.store.freePages), cache.used)
        cache.begin(1)
        #expect(cache.append(1, 9))
        #expect(pages(cache, 1) != before.1)
        cache.undo()
        #expect(pages(cache, 0) == before.0 && pages(cache, 1) == before.1)
        #expect(Array(cache.store.freePages) == before.2 && cache.used == before.3 && cache.store.owners(before.1[1]) == 2)
    }

    @Test func whatIsStoredIsFoundByItsTokensAndTheLongestUnusedGoesFirst() throws {
        let cache = try made(192, sequences: 2), tokens = (0..<192).map { Int32($0) }
        // two beginnings of a page each, then nobody has them
        for first: Int32 in [0, 300] {
            #expect(eval(cache, 0, 64, first: first))
            cache.truncate(0, to: 0)
        }
        #expect(cache.used == 0 && cache.store.cachedCount == 2 && cache.store.spare == cache.layout.pageCount)
        // the first one is used again, so that the other is unused for longer
        #expect(tokens.withUnsafeBufferPointer { cache.adopt(1, $0.baseAddress!, limit: 191) } == 64)
        #expect(cache.store.cachedCount == 1 && cache.used == 64)
        cache.truncate(1, to: 0)
        // three pages are wanted of the four: both free ones, then the one unused for longest
        #expect(eval(cache, 0, 192, first: 600))
        #expect(cache.store.cachedCount == 1)
        cache.truncate(0, to: 128)
        #expect(tokens.withUnsafeBufferPointer { cache.adopt(1, $0.baseAddress!, limit: 64) } == 64)
        cache.truncate(1, to: 0)
        let gone = (300..<364).map { Int32($0) }
        #expect(gone.withUnsafeBufferPointer { cache.adopt(1, $0.baseAddress!, limit: 64) } == 0)
    }

    @Test func thePageThatTwoSequencesMadeOfTheSameTokensBecomesOne() throws {
        let cache = try made(256, sequences: 2)
        cache.begin(128)
        for i in 0..<64 { for sequence in 0..<2 { #expect(cache.append(sequence, Int32(i))) } }
        #expect(cache.used == 128)
        cache.commit()
        #expect(pages(cache, 0) == pages(cache, 1) && cache.used == 64 && cache.store.owners(pages(cache, 0)[0]) == 2)
    }
}
