import Llama2Core
import Synchronization
import Testing

/// Threads that meet: who goes on before the last has come would see an old number.
@Suite struct ThreadPoolTests {
    /// What the threads of a run see and write.
    private final class Board: @unchecked Sendable {
        let pool: ThreadPool
        let rounds = 300
        /// (threads): the round that each has written.
        let written: UnsafeMutablePointer<Int>
        /// (rounds, 64): how often each ticket was handed out.
        let tickets: UnsafeMutablePointer<Int32>
        /// Threads that take part: with many more threads than CPUs some of them stay at home.
        var active = 0
        let wrong = Atomic<Int>(0), ran = Atomic<Int>(0)

        init(_ threads: Int) throws {
            pool = try ThreadPool(threads: threads)
            written = .allocate(capacity: threads)
            written.initialize(repeating: 0, count: threads)
            tickets = .allocate(capacity: rounds * 64)
            tickets.initialize(repeating: 0, count: rounds * 64)
        }

        deinit {
            pool.shutdown()
            written.deallocate()
            tickets.deallocate()
        }
    }

    private func run(_ board: Board, _ body: @escaping ThreadPool.Body) { board.pool.run(Unmanaged.passUnretained(board).toOpaque(), body) }

    @Test(arguments: [1, 2, 3, 8])
    func nobodyLeavesABarrierBeforeTheLastHasCome(threads: Int) throws {
        let board = try Board(threads)
        for _ in 0..<3 {
            run(board) { board, thread, threads in
                let board = Unmanaged<Board>.fromOpaque(board).takeUnretainedValue()
                for round in 1...board.rounds {
                    board.written[thread] = round
                    board.pool.barrier()
                    for other in 0..<threads where board.written[other] != round { board.wrong.add(1, ordering: .relaxed) }
                    board.pool.barrier()
                }
            }
        }
        #expect(board.wrong.load(ordering: .relaxed) == 0)
    }

    @Test(arguments: [1, 2, 8])
    func ticketsAreHandedOutOnceEachAndFromZeroAgainBehindABarrier(threads: Int) throws {
        let board = try Board(threads)
        run(board) { board, thread, threads in
            let board = Unmanaged<Board>.fromOpaque(board).takeUnretainedValue()
            for round in 0..<board.rounds {
                if thread == 0 { board.active = threads }
                while case let ticket = board.pool.ticket(), ticket < 64 { board.tickets[round * 64 + ticket] += 1 }
                board.pool.barrier()
            }
        }
        // one thread alone has no barriers
        #expect((0..<(board.active > 1 ? board.rounds : 1) * 64).allSatisfy { board.tickets[$0] == 1 })
    }

    @Test func aRunIsOverWhenTheLastThreadHasReturned() throws {
        let board = try Board(4)
        for _ in 0..<200 {
            run(board) { board, thread, threads in
                let board = Unmanaged<Board>.fromOpaque(board).takeUnretainedValue()
                for _ in 0..<(thread * 50) { board.written[thread] &+= 1 }
                if thread == 0 { board.active = threads }
                board.ran.add(1, ordering: .relaxed)
            }
            #expect(board.ran.exchange(0, ordering: .relaxed) == board.active)
        }
    }

    @Test func countsThatArePoolsAreOneTo1024() throws {
        for threads in [Int.min, -1, 0, 1025, .max] { #expect(throws: Llama2Error.self) { try ThreadPool(threads: threads) } }
        let pool = try ThreadPool(threads: 2)
        pool.shutdown()
        pool.shutdown()  // nothing more
    }
}
