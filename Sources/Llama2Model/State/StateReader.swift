internal import Llama2Core

/// A state whose every byte was checked against its checksums, and every number against the others: nothing in it can be
/// out of range or contradict itself afterwards.
struct StateReader {
    struct Sequence { var number: Int, length: Int, pure: Int?, references: Int, adapters: Int }

    /// Where the sequences have a page: its number in them, the page before it, and positions of it that are used; 0: nowhere.
    private struct Place { let index: Int, before: Int, most: Int }

    let head: StateHead
    private(set) var sequences: [Sequence] = []
    /// (pages): where each page begins, and its positions.
    private(set) var pages: [(offset: Int, positions: Int)] = []
    let bytes: UnsafeRawBufferPointer
    private let base: UnsafeRawPointer
    private var at = 0
    private(set) var logitsOffset = 0

    init(_ bytes: UnsafeRawBufferPointer, for weights: Weights, _ rope: RoPE, _ format: PageFormat) throws(Llama2Error) {
        self.bytes = bytes
        // 1. the head
        guard let base = bytes.baseAddress, bytes.count >= 8,
            UInt64(littleEndian: base.loadUnaligned(as: UInt64.self)) == StateHead.magic
        else { throw Llama2Error(.format, "this is no state: it does not begin with \"L2STATE\"") }
        guard bytes.count >= StateHead.bytes else {
            throw Llama2Error(.corrupt, "a state has at least \(StateHead.bytes) bytes, this has \(bytes.count)")
        }
        self.base = base
        func u32(_ offset: Int) -> UInt32 { UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
        func u64(_ offset: Int) -> UInt64 { UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)) }
        guard u32(8) == StateHead.version else {
            throw Llama2Error(.unsupported, "a state of version \(u32(8)); this library reads version \(StateHead.version)")
        }
        try StateReader.check(bytes, 0..<StateHead.bytes, "the head")
        var head = StateHead(weights, rope, format, isWhole: u32(48) == 0)
        guard u32(48) <= 1 else { throw Llama2Error(.corrupt, "the head: kind \(u32(48)), expected 0 or 1") }
        let shape = (u32(24), u32(28), u32(32), u32(36))
        guard shape == (head.vocabulary, head.layers, head.headsKV, head.headDimension), u64(40) == head.fingerprint else {
            throw Llama2Error(
                .invalidArgument,
                "a state of another model (vocabulary \(shape.0), \(shape.1) layers, \(shape.2) heads of \(shape.3)), or of one with other weights or RoPE")
        }
        guard u32(12) == head.keyValueType else {
            throw Llama2Error(
                .invalidArgument,
                "a state with keys and values in \(StateHead.names(u32(12))); this context has \(StateHead.names(head.keyValueType))")
        }
        (head.sequences, head.pages, head.rows) = (u32(52), u32(56), u32(60))
        head.references = u64(64)
        head.stateBytes = u64(16)
        self.head = head
        guard head.stateBytes == UInt64(bytes.count) else {
            throw Llama2Error(.corrupt, "the head says \(head.stateBytes) bytes, there are \(bytes.count)")
        }
        // each takes bytes: what follows is bounded by them
        guard Int(head.sequences) <= bytes.count / 16, head.references <= UInt64(bytes.count / 4), Int(head.pages) <= bytes.count / 16,
            Int(head.rows) <= bytes.count / 4 / max(1, Int(head.vocabulary)), head.sequencesBytes <= bytes.count - StateHead.bytes
        else { throw Llama2Error(.corrupt, "the head counts more than \(bytes.count) bytes can hold") }
        // numbers, sequences and pages; the adapters of each sequence, of which lists are made to compare them
        try MemoryReserve.cover(
            .table(Int(head.sequences), of: UInt32.self, Void.self) + .list(Int(head.sequences), of: Sequence.self)
                + .table(Int(head.sequences), of: [UInt64].self, Int.self) + .texts(2 * Int(head.sequences), bytes: 8 * Int(head.references))
                + .list(Int(head.pages), of: (offset: Int, positions: Int).self), for: "a state")
        // 2. the sequences
        at = StateHead.bytes
        let table = at..<(at + head.sequencesBytes)
        try StateReader.check(bytes, table, "the sequences")
        var numbers = Set<UInt32>(), place = at, references: UInt64 = 0
        for _ in 0..<head.sequences {
            guard place + 16 <= table.upperBound - 8 else { throw Llama2Error(.corrupt, "the sequences end at byte \(place)") }
            let number = u32(place), length = Int(u32(place + 4)), pure = u32(place + 8), count = KVCache.pages(length)
            let adapters = Int(u32(place + 12))
            guard number <= 1 << 20, length > 0, length <= 1 << 30, adapters <= Inference.mostAdapters, numbers.insert(number).inserted,
                count + 4 * adapters <= (table.upperBound - 8 - place - 16) / 4
            else { throw Llama2Error(.corrupt, "sequence \(number) at byte \(place): length \(length), or a number that is there twice") }
            sequences.append(
                Sequence(number: Int(number), length: length, pure: pure == StateHead.all ? nil : Int(pure), references: place + 16, adapters: adapters))
            references += UInt64(count + 4 * adapters)
            place += 16 + 4 * count + 16 * adapters
        }
        guard references == head.references, padded(place) + 8 == table.upperBound, head.isWhole || sequences.count <= 1 else {
            throw Llama2Error(.corrupt, "the sequences have \(references) words, the head says \(head.references)")
        }
        at = table.upperBound
        // 3. the pages
        for number in 0..<Int(head.pages) {
            guard at + 16 <= bytes.count else { throw Llama2Error(.corrupt, "page \(number) at byte \(at): the state ends") }
            let positions = Int(u32(at))
            guard (1...PageFormat.positions).contains(positions), u32(at + 4) == 0 else {
                throw Llama2Error(.corrupt, "page \(number) at byte \(at): \(positions) positions, expected 1 to \(PageFormat.positions)")
            }
            let end = at + StateHead.pageBytes(format, positions)
            guard end <= bytes.count else { throw Llama2Error(.corrupt, "page \(number) at byte \(at): the state ends in it") }
            try StateReader.check(bytes, at..<end, "page \(number)")
            for i in 0..<positions where u32(at + 8 + 4 * i) >= head.vocabulary {
                throw Llama2Error(.corrupt, "page \(number) at byte \(at): token \(u32(at + 8 + 4 * i)) is not in the vocabulary")
            }
            pages.append((at, positions))
            at = end
        }
        // 4. the logits
        logitsOffset = at
        guard at + head.logitsBytes == bytes.count else {
            throw Llama2Error(.corrupt, "\(bytes.count - at) bytes behind the pages, expected \(head.logitsBytes)")
        }
        if head.rows > 0 { try StateReader.check(bytes, at..<bytes.count, "the logits") }
        try checkReferences()
    }

    /// A page is number i of every sequence that has it, after the same page, and full unless it is the last of all.
    private func checkReferences() throws(Llama2Error) {
        let place = try AlignedBuffer<Place>(count: pages.count, of: "pages of a state")
        var groups: [[UInt64]: Int] = [:]  // by adapters, numbers from 0 on
        for sequence in sequences {
            // pages that were computed with other adapters are other pages
            let list = adapters(sequence).flatMap { [$0.fingerprint, UInt64($0.scale)] }, group = groups[list] ?? groups.count
            groups[list] = group
            var before = -1 - group
            for index in 0..<KVCache.pages(sequence.length) {
                let page = reference(sequence, index), here = min(PageFormat.positions, sequence.length - index * PageFormat.positions)
                guard page < pages.count, place[page].most == 0 || (place[page].index, place[page].before) == (index, before),
                    here <= pages[page].positions
                else { throw Llama2Error(.corrupt, "sequence \(sequence.number): its page \(index) is none, or out of its place") }
                place[page] = Place(index: index, before: before, most: max(place[page].most, here))
                before = page
            }
        }
        for (number, page) in pages.enumerated() where place[number].most != page.positions {
            throw Llama2Error(.corrupt, "page \(number) has \(page.positions) positions, the sequences \(place[number].most) of them")
        }
    }

    /// The page of the state that is number `index` of a sequence.
    func reference(_ sequence: Sequence, _ index: Int) -> Int {
        Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: sequence.references + 4 * index, as: UInt32.self)))
    }

    /// (fingerprint, bits of the scale) of each adapter of a sequence.
    func adapters(_ sequence: Sequence) -> [(fingerprint: UInt64, scale: UInt32)] {
        let start = sequence.references + 4 * KVCache.pages(sequence.length)
        return (0..<sequence.adapters).map { i in
            (
                UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 16 * i, as: UInt64.self)),
                UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 16 * i + 8, as: UInt32.self))
            )
        }
    }

    /// Positions of all pages.
    var positions: Int { pages.reduce(0) { $0 + $1.positions } }

    func tokens(_ page: Int) -> UnsafeRawPointer { base + pages[page].offset + 8 }
    func content(_ page: Int) -> UnsafeRawPointer { base + pages[page].offset + padded(8 + 4 * pages[page].positions) }

    /// The words of a section against the checksum at its end.
    private static func check(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>, _ name: String) throws(Llama2Error) {
        let end = range.upperBound - 8
        var hash = WordHash()
        hash.add(UnsafeRawBufferPointer(rebasing: bytes[range.lowerBound..<end]).bytes)
        guard hash.value == UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self)) else {
            throw Llama2Error(.corrupt, "\(name) of the state, bytes \(range.lowerBound) to \(range.upperBound - 1), is not what was written")
        }
    }
}
