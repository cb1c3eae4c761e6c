public import Llama2Core

extension Inference {
    /// Takes the next bytes of a state.
    public typealias StateSink = (RawSpan) throws(Llama2Error) -> Void

    /// Bytes of the state of `sequence`, nil for the whole context.
    public func stateSize(_ sequence: Int?) throws(Llama2Error) -> Int { Int(try plan(sequence).head.stateBytes) }

    /// Gives the state of `sequence`, nil for the whole context with its logits, to `sink` piece by piece. Changes nothing.
    public func save(_ sequence: Int?, _ sink: StateSink) throws(Llama2Error) {
        let (head, pages) = try plan(sequence)
        // 1. the head
        var section = try StateSection()
        section.begin()
        try section.append(StateHead.magic)
        try section.append(StateHead.version)
        try section.append(head.keyValueType)
        try section.append(head.stateBytes)
        for number in [head.vocabulary, head.layers, head.headsKV, head.headDimension] { try section.append(number) }
        try section.append(head.fingerprint)
        for number in [head.isWhole ? 0 : 1, head.sequences, head.pages, head.rows] { try section.append(number) }
        try section.append(head.references)
        try section.end(sink)
        // 2. the sequences
        section.begin()
        for number in saved(sequence) {
            try section.append(UInt32(number))
            try section.append(UInt32(cache.length(number)))
            try section.append(cache.pureLength(number).map { UInt32($0) } ?? StateHead.all)
            let list = adapterNames(number)
            try section.append(UInt32(list.count))
            for index in 0..<KVCache.pages(cache.length(number)) { try section.append(UInt32(pages.number(cache.table(number)[index]))) }
            for (fingerprint, scale) in list {
                try section.append(fingerprint)
                try section.append(scale)
                try section.append(UInt32(0))
            }
        }
        try section.end(sink)
        // 3. the pages
        let format = cache.layout.format
        let packed = try AlignedBuffer<UInt8>(count: PageFormat.positions * format.bytesOfPosition, of: "a page of a state")
        for number in 0..<pages.count {
            let page = pages.page(number), positions = pages.positions(number)
            section.begin()
            try section.append(UInt32(positions))
            try section.append(UInt32(0))
            for i in 0..<positions { try section.append(UInt32(bitPattern: cache.store.index.tokens(page)[i])) }
            try section.pad()
            format.pack(cache.store.base + Int(page) * format.bytes, positions, to: packed.pointer)
            try section.append(UnsafeRawBufferPointer(start: packed.pointer, count: positions * format.bytesOfPosition))
            try section.end(sink)
        }
        // 4. the logits
        if head.rows > 0, let first = logits(0) {
            section.begin()
            try section.append(UnsafeRawBufferPointer(start: first.baseAddress, count: 4 * Int(head.rows) * first.count))
            try section.end(sink)
        }
    }

    /// (fingerprint, bits of the scale) of each adapter of a sequence.
    func adapterNames(_ sequence: Int) -> [(fingerprint: UInt64, scale: UInt32)] {
        adapters.set(sequence)?.adapters.map { ($0.adapter.fingerprint, $0.scale.bitPattern) } ?? []
    }

    /// The sequences of a state.
    private func saved(_ sequence: Int?) -> [Int] {
        (sequence.map { $0..<($0 + 1) } ?? 0..<configuration.maxSequences).filter { cache.length($0) > 0 }
    }

    /// The head of a state and its pages.
    private func plan(_ sequence: Int?) throws(Llama2Error) -> (head: StateHead, list: StatePages) {
        if let sequence { try checkSequence(sequence) }
        var head = StateHead(weights, rope, cache.layout.format, isWhole: sequence == nil)
        let list = try StatePages(cache.store.count)
        let sequences = saved(sequence)
        head.sequences = UInt32(sequences.count)
        for number in sequences {
            let pages = KVCache.pages(cache.length(number))
            head.references += UInt64(pages + 4 * adapterNames(number).count)
            for index in 0..<pages {
                list.add(cache.table(number)[index], min(PageFormat.positions, cache.length(number) - index * PageFormat.positions))
            }
        }
        head.pages = UInt32(list.count)
        head.rows = sequence == nil ? UInt32(logitsRows) : 0
        var bytes = StateHead.bytes + head.sequencesBytes + head.logitsBytes
        for number in 0..<list.count { bytes += StateHead.pageBytes(cache.layout.format, list.positions(number)) }
        head.stateBytes = UInt64(bytes)
        return (head, list)
    }
}

/// The pages of a state, each once, in the order in which the sequences first name them.
private final class StatePages {
    private let pages: AlignedBuffer<Int32>  // (pages of the cache): by number
    private let numbers: AlignedBuffer<Int32>  // (pages of the cache): by page, -1 for those that are not in the state
    private let filled: AlignedBuffer<Int32>  // (pages of the cache): positions, by number
    private(set) var count = 0

    init(_ all: Int) throws(Llama2Error) {
        pages = try AlignedBuffer(count: all, of: "pages of a state")
        numbers = try AlignedBuffer(count: all, of: "pages of a state")
        filled = try AlignedBuffer(count: all, of: "pages of a state")
        for i in 0..<all { numbers.pointer[i] = -1 }
    }

    func add(_ page: Int32, _ positions: Int) {
        if numbers.pointer[Int(page)] < 0 {
            numbers.pointer[Int(page)] = Int32(count)
            pages.pointer[count] = page
            count += 1
        }
        let number = Int(numbers.pointer[Int(page)])
        filled.pointer[number] = max(filled.pointer[number], Int32(positions))
    }

    func page(_ number: Int) -> Int32 { pages.pointer[number] }
    func number(_ page: Int32) -> Int { Int(numbers.pointer[Int(page)]) }
    func positions(_ number: Int) -> Int { Int(filled.pointer[number]) }
}

/// Bytes that end in whole words and their checksum.
private struct StateSection: ~Copyable {
    private var bytes: GrowingBuffer<UInt8>

    init() throws(Llama2Error) { bytes = try GrowingBuffer(of: "a section of a state") }

    mutating func begin() { bytes.removeAll() }

    mutating func append<T: FixedWidthInteger>(_ number: T) throws(Llama2Error) {
        for i in 0..<(T.bitWidth / 8) { try bytes.append(UInt8(truncatingIfNeeded: number >> T(8 * i))) }
    }

    mutating func append(_ raw: UnsafeRawBufferPointer) throws(Llama2Error) { try bytes.append(raw) }

    mutating func pad() throws(Llama2Error) {
        while bytes.count % 8 != 0 { try bytes.append(0) }
    }

    mutating func end(_ sink: Inference.StateSink) throws(Llama2Error) {
        try pad()
        var hash = WordHash()
        hash.add(bytes.rawSpan)
        try append(hash.value)
        try sink(bytes.rawSpan)
    }
}
