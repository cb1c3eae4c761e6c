import Llama2Core

/// Byte-pair encoding by a list of merges (Sennrich et al. 2016; over bytes Radford et al. 2019): GGUF's model `gpt2`,
/// and the BPE of `tokenizers`. Symbols begin as characters, or as the characters that stand for bytes, and merge in
/// the order of the list.
struct MergeBPE: Sendable {
    struct Options: Sendable {
        /// Words are bytes; each begins as the character that stands for it.
        var isByteLevel = true
        /// A word that is a token needs no merges to become it.
        var ignoresMerges = false
        /// A character without a token becomes its bytes' tokens `<0x00>` to `<0xFF>`, when all of them are there.
        var fallsBackToBytes = false
        /// Neighbours without a token become one unknown token.
        var fusesUnknown = false
        var unknown: Int32?
        var continuingPrefix: [UInt8] = [], wordSuffix: [UInt8] = []
        /// `tokenizers` takes the later of two equal merges, llama.cpp the earlier; and it knows no merge whose parts
        /// or whose result is no token.
        var isHuggingFace = false

        init() {}
    }

    private var table: ByteStringTable
    private var tokens: [Int32] = []  // by entry of the table, -1: no token has this text
    private var merges: PairTable
    private var bytes: [Int32] = []  // (256) the entry of each byte's character
    private var byteNames: [Int32] = []  // (256) the entry of <0x00> to <0xFF>, -1 when there is none
    private var unknown: Int32 = -1  // its entry
    private var controls: Set<Int32> = []  // entries
    private var cuts = CutTable()
    private let options: Options
    /// Whether every character has tokens by itself: none is left out, and none is part of a longer unknown.
    private var mayCut = false
    /// Of each entry that merges make: the first rank; else the largest number.
    private var ranks: [UInt32] = []
    /// Whether a long word may come in windows: every symbol's bytes are those of its entry, and none is left out.
    private var mayWindow = false

    /// isText: which tokens are found by merging. isControl: which a whole word never is, whatever the text says.
    init(
        tokens texts: ByteStrings, isText: (Int) -> Bool, isControl: (Int) -> Bool = { _ in false }, merges list: ByteStrings, _ options: Options
    ) throws(Llama2Error) {
        self.options = options
        table = ByteStringTable(expecting: texts.count + (options.isHuggingFace ? 0 : list.count / 8))
        merges = PairTable(expecting: list.count)
        tokens.reserveCapacity(texts.count)
        for (index, text) in texts.walk().enumerated() where isText(index) {
            let entry = Int(intern(text.bindMemory(to: UInt8.self)))
            let token = Int32(truncatingIfNeeded: index)
            if !options.isHuggingFace, tokens[entry] >= 0 { throw Tokenizer.twice(tokens[entry], token) }
            tokens[entry] = token
            if options.ignoresMerges, isControl(index) { controls.insert(Int32(truncatingIfNeeded: entry)) }
            if !options.isByteLevel { cuts.add(text) }
        }
        if options.isByteLevel {
            for byte in 0..<256 { bytes.append(ByteCharacters.of[byte].withUnsafeBufferPointer { intern($0) }) }
        }
        for byte in 0..<256 { byteNames.append(SentencePieceBPE.byteName(UInt8(byte)).withUnsafeBufferPointer { table.find($0) } ?? -1) }
        mayCut = options.continuingPrefix.isEmpty && options.wordSuffix.isEmpty && options.fallsBackToBytes && byteNames.allSatisfy { $0 >= 0 }
        if let token = options.unknown {
            let name = texts[Int(token)]  // within the vocabulary: checked by the tokenizer
            unknown = intern(name.bindMemory(to: UInt8.self))
            tokens[Int(unknown)] = token
        }
        mayWindow =
            options.isByteLevel
            ? options.continuingPrefix.isEmpty && options.wordSuffix.isEmpty && bytes.allSatisfy { tokens[Int($0)] >= 0 || !options.isHuggingFace } : mayCut
        var joined: [UInt8] = []
        for (rank, text) in list.walk().enumerated() {
            let merge = text.bindMemory(to: UInt8.self)
            var space = 1  // the first after the first byte, as in llama.cpp
            while space < merge.count, merge[space] != 0x20 { space += 1 }
            guard space + 1 < merge.count else {
                throw Llama2Error(.corrupt, "merge \(rank) is not two strings with a space between")
            }
            let first = UnsafeBufferPointer(rebasing: merge[..<space]), second = UnsafeBufferPointer(rebasing: merge[(space + 1)...])
            if !options.isByteLevel, SentencePieceBPE.byteValue(first) != nil || SentencePieceBPE.byteValue(second) != nil { mayWindow = false }
            joined.removeAll(keepingCapacity: true)
            joined.append(contentsOf: first)
            joined.append(contentsOf: second.dropFirst(min(options.continuingPrefix.count, second.count)))
            if options.isHuggingFace {
                guard let left = table.find(first), let right = table.find(second), let whole = joined.withUnsafeBufferPointer({ table.find($0) }) else {
                    throw Llama2Error(.corrupt, "merge \(rank) is of strings, or makes one, that the vocabulary does not have")
                }
                merges.insert(left, right, rank: UInt32(truncatingIfNeeded: rank), result: whole, replaces: true)
                ranks[Int(whole)] = min(ranks[Int(whole)], UInt32(truncatingIfNeeded: rank))
            } else {
                let left = intern(first), right = intern(second), whole = joined.withUnsafeBufferPointer { intern($0) }
                merges.insert(left, right, rank: UInt32(truncatingIfNeeded: rank), result: whole, replaces: false)
                ranks[Int(whole)] = min(ranks[Int(whole)], UInt32(truncatingIfNeeded: rank))
                if !options.isByteLevel { joined.withUnsafeBytes { cuts.add($0) } }
            }
        }
        if table.longest > MergeWindows.longest { mayWindow = false }
    }

    private mutating func intern(_ text: UnsafeBufferPointer<UInt8>) -> Int32 {
        let entry = table.intern(text)
        if Int(entry) == tokens.count {
            tokens.append(-1)
            ranks.append(.max)
        }
        return entry
    }

    /// The token that has this text; nil also for what only merges know.
    func token(_ text: UnsafeBufferPointer<UInt8>) -> Int32? { table.find(text).map { tokens[Int($0)] }.flatMap { $0 < 0 ? nil : $0 } }

    /// Whether a text that is a token can come of a word: of its characters, or whole.
    func makes(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let entry = table.find(text) else { return false }
        return options.ignoresMerges || ranks[Int(entry)] != .max || bytes.contains(entry)
    }

    /// Appends the tokens of one word. A byte or a character for which the vocabulary has nothing is left out, as in
    /// llama.cpp and `tokenizers`.
    func tokenize(
        _ word: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, into out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) {
        if options.ignoresMerges, let token = try wholeWord(word) { return try out.append(token) }
        if options.isByteLevel {
            try windows(word, &queue, into: &out)
        } else if mayCut {
            try cuts.pieces(word) { (piece) throws(Llama2Error) in try windows(piece, &queue, into: &out) }
        } else {
            try atOnce(word, &queue, into: &out)
        }
    }

    /// Where something is left out, or stands in another order than in the text, the end of what is done is no place in the text.
    private func atOnce(_ word: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, into out: inout GrowingBuffer<Int32>) throws(Llama2Error) {
        try queue.clear(expecting: word.count)
        _ = try options.isByteLevel ? enterBytes(word, from: 0, most: .max, &queue) : enter(word, from: 0, most: .max, &queue)
        _ = try finish(word, &queue, isWhole: true, into: &out)
    }

    private func windows(_ word: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, into out: inout GrowingBuffer<Int32>) throws(Llama2Error) {
        guard mayWindow else { return try atOnce(word, &queue, into: &out) }
        var start = 0, window = MergeQueue.window
        while start < word.count {
            try queue.clear(expecting: min(word.count - start, window))
            let entered = try options.isByteLevel ? enterBytes(word, from: start, most: window, &queue) : enter(word, from: start, most: window, &queue)
            let settled = try finish(word, &queue, isWhole: entered == word.count, into: &out)
            if settled - start <= (entered - start) / 4 { window = MergeWindows.larger(window) }
            start = settled
        }
    }

    private func enterBytes(_ word: UnsafeBufferPointer<UInt8>, from start: Int, most: Int, _ queue: inout MergeQueue) throws(Llama2Error) -> Int {
        let end = word.count - start > most ? start + most : word.count
        for i in start..<end {
            let entry = bytes[Int(word[i])]
            // without an unknown token `tokenizers` leaves out what has no token, before anything is merged
            if options.isHuggingFace, tokens[Int(entry)] < 0 {
                guard options.unknown != nil else { continue }
                if options.fusesUnknown, let last = queue.symbols.elements.last, last.id == unknown { continue }
                try queue.append(start: i, length: 1, id: unknown)
            } else {
                try queue.append(start: i, length: 1, id: entry)
            }
        }
        return end
    }

    private func wholeWord(_ word: UnsafeBufferPointer<UInt8>) throws(Llama2Error) -> Int32? {
        guard word.count <= table.longest else { return nil }
        func token(_ entry: Int32?) -> Int32? {
            guard let entry, tokens[Int(entry)] >= 0, !controls.contains(entry) else { return nil }
            return tokens[Int(entry)]
        }
        if !options.isByteLevel { return token(table.find(word)) }
        var spelled = try GrowingBuffer<UInt8>(capacity: 2 * word.count, of: "a word")
        for byte in word { for character in ByteCharacters.of[Int(byte)] { try spelled.append(character) } }
        return token(table.find(spelled.elements))
    }

    /// The symbols of a word of characters from `start` on, about so many at most, as `tokenizers`' BPE begins. Returns where they end.
    private func enter(_ word: UnsafeBufferPointer<UInt8>, from start: Int, most: Int, _ queue: inout MergeQueue) throws(Llama2Error) -> Int {
        var position = start, pending: (start: Int, length: Int)?  // an unknown that may grow
        var name: [UInt8] = []
        // an unknown comes behind the bytes of what follows it: where windows need no places, a symbol's is its number
        func append(_ start: Int, _ length: Int, _ id: Int32) throws(Llama2Error) {
            try mayWindow ? queue.append(start: start, length: length, id: id) : queue.append(start: queue.symbols.count, length: 1, id: id)
        }
        func spell(_ bytes: some Collection<UInt8>) throws(Llama2Error) -> Bool {
            for byte in bytes where byteNames[Int(byte)] < 0 { return false }
            for (i, byte) in bytes.enumerated() { try append(position - bytes.count + i, 1, byteNames[Int(byte)]) }
            return true
        }
        while position < word.count, queue.symbols.count < most {
            var length = 1
            if case .scalar(_, let bytes) = decodeUTF8(word, at: position) { length = bytes }
            let start = position
            position += length
            let character = UnsafeBufferPointer(rebasing: word[start..<position])
            var entry: Int32?
            if !options.continuingPrefix.isEmpty && start > 0 || !options.wordSuffix.isEmpty && position == word.count {
                name = start > 0 ? options.continuingPrefix : []
                name.append(contentsOf: character)
                if position == word.count { name += options.wordSuffix }
                entry = name.withUnsafeBufferPointer { table.find($0) }
            } else {
                name = []
                entry = table.find(character)
            }
            if let found = entry, tokens[Int(found)] < 0 { entry = nil }
            if let entry {
                if let unknown = pending { try append(unknown.start, unknown.length, self.unknown) }
                pending = nil
                try append(start, length, entry)
                continue
            }
            if options.fallsBackToBytes {
                // those of a prefix and suffix count too
                if try name.isEmpty ? spell(character) : spell(name) { continue }
            }
            guard options.unknown != nil else { continue }
            if let unknown = pending {
                if options.fusesUnknown {
                    pending = (unknown.start, position - unknown.start)
                    continue
                }
                try append(unknown.start, unknown.length, self.unknown)
            }
            pending = (start, length)
        }
        if let unknown = pending { try append(unknown.start, unknown.length, self.unknown) }
        return position
    }

    /// Merges, and gives the tokens of what is certain. Returns where that ends.
    private func finish(
        _ word: UnsafeBufferPointer<UInt8>, _ queue: inout MergeQueue, isWhole: Bool, into out: inout GrowingBuffer<Int32>
    ) throws(Llama2Error) -> Int {
        guard let first = queue.symbols.elements.first else { return word.count }  // all of it is left out
        var rules = Rules(word: word, model: self)
        let settled = try queue.mergeAll(&rules, isWhole: isWhole)
        guard isWhole || settled > Int(first.start) else { return settled }
        var index: Int32 = 0
        while index >= 0 {
            let symbol = queue.symbols[Int(index)]
            index = symbol.next
            let token = tokens[Int(symbol.id)]
            if token >= 0 {
                try out.append(token)
            } else if options.isByteLevel {
                for i in Int(symbol.start)..<Int(queue.end(symbol)) {
                    let token = tokens[Int(bytes[Int(word[i])])]
                    if token >= 0 { try out.append(token) }
                }
            }
        }
        return settled
    }

    private struct Rules: MergeRules {
        let word: UnsafeBufferPointer<UInt8>
        let model: MergeBPE

        func merge(
            _ left: MergeQueue.Symbol, _ right: MergeQueue.Symbol, from start: Int32, _ middle: Int32, to end: Int32
        ) -> (priority: UInt32, id: Int32)? {
            guard let merge = model.merges.find(left.id, right.id) else { return nil }
            return (merge.rank, merge.result)
        }

        func earliest(from start: Int32, over end: Int32) -> UInt32? {
            var best = UInt32.max, text: [UInt8] = [], position = Int(start)
            while position < word.count, text.count < model.table.longest {
                if model.options.isByteLevel { text += ByteCharacters.of[Int(word[position])] } else { text.append(word[position]) }
                position += 1
                guard position >= Int(end), let entry = text.withUnsafeBufferPointer({ model.table.find($0) }) else { continue }
                best = min(best, model.ranks[Int(entry)])
            }
            return best == .max ? nil : best
        }
    }
}
