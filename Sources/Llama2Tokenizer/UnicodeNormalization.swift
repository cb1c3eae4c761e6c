import Llama2Core
internal import UnicodeData

/// The normalization forms of Unicode (UAX 15), over code points.
///
/// Bytes that are no UTF-8 pass through as they are. Runs of combining marks are put into order by counting, so that
/// time and memory follow the text whatever it says.
enum UnicodeNormalization {
    enum Form: Sendable { case nfc, nfd, nfkc, nfkd }

    /// Appends the normalized `text`.
    static func append(
        _ text: UnsafeBufferPointer<UInt8>, _ form: Form, to out: inout GrowingBuffer<UInt8>
    ) throws(Llama2Error) {
        var state = try State(form)
        var position = 0
        while position < text.count {
            if text[position] < 0x80 {
                try state.take(UInt32(text[position]), &out)
                position += 1
            } else if case .scalar(let scalar, let length) = decodeUTF8(text, at: position) {
                try state.takeDecomposed(scalar, &out)
                position += length
            } else {
                try state.flush(&out)
                try out.append(text[position])
                position += 1
            }
        }
        try state.flush(&out)
    }

    static func combiningClass(_ scalar: UInt32) -> UInt8 {
        if scalar < 0x300 { return 0 }
        let table = l2s_unicode_combining()
        var low = 0, high = table.count
        while low < high {
            let middle = (low + high) / 2
            let entry = table.start[middle]
            if entry >> 8 == scalar { return UInt8(entry & 0xFF) }
            if entry >> 8 < scalar { low = middle + 1 } else { high = middle }
        }
        return 0
    }

    private static func find(_ table: l2s_unicode_table64, _ scalar: UInt32) -> UnsafeBufferPointer<UInt32>? {
        var low = 0, high = table.count
        while low < high {
            let middle = (low + high) / 2
            let entry = table.start[middle], code = UInt32(entry >> 32)
            if code == scalar {
                return UnsafeBufferPointer(start: l2s_unicode_decomposed() + Int(entry >> 8 & 0xFF_FFFF), count: Int(entry & 0xFF))
            }
            if code < scalar { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    private static func composed(_ first: UInt32, _ second: UInt32) -> UInt32? {
        guard second >= 0x300 else { return nil }  // nothing below composes to its left
        // Hangul, by arithmetic: L and V, LV and T
        if first &- 0x1100 < 19, second &- 0x1161 < 21 { return 0xAC00 + ((first - 0x1100) * 21 + (second - 0x1161)) * 28 }
        if first &- 0xAC00 < 11172, (first - 0xAC00) % 28 == 0, second &- 0x11A8 < 27 { return first + (second - 0x11A7) }
        let keys = l2s_unicode_composition_keys(), key = UInt64(first) << 21 | UInt64(second)
        var low = 0, high = keys.count
        while low < high {
            let middle = (low + high) / 2
            if keys.start[middle] == key { return l2s_unicode_compositions()[middle] }
            if keys.start[middle] < key { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// A starter (class 0) and the marks after it, before they are given out.
    private struct State: ~Copyable {
        let composes: Bool, isCompatible: Bool
        var run: GrowingBuffer<UInt32>
        var classes: GrowingBuffer<UInt8>
        var sorted: GrowingBuffer<UInt32>

        init(_ form: Form) throws(Llama2Error) {
            composes = form == .nfc || form == .nfkc
            isCompatible = form == .nfkc || form == .nfkd
            let run = try GrowingBuffer<UInt32>(capacity: 32, of: "combining marks")
            let classes = try GrowingBuffer<UInt8>(capacity: 32, of: "combining marks")
            sorted = try GrowingBuffer(of: "combining marks")
            self.run = run
            self.classes = classes
        }

        mutating func takeDecomposed(_ scalar: UInt32, _ out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
            if scalar &- 0xAC00 < 11172 {
                let index = scalar - 0xAC00
                try take(0x1100 + index / 588, &out)
                try take(0x1161 + index % 588 / 28, &out)
                if index % 28 > 0 { try take(0x11A7 + index % 28, &out) }
                return
            }
            if isCompatible, let parts = find(l2s_unicode_compatible(), scalar) {
                for part in parts { try take(part, &out) }
            } else if let parts = find(l2s_unicode_canonical(), scalar) {
                for part in parts { try take(part, &out) }
            } else {
                try take(scalar, &out)
            }
        }

        mutating func take(_ scalar: UInt32, _ out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
            let rank = combiningClass(scalar)
            if rank == 0, !run.isEmpty {
                // two starters may compose (Hangul, some Indic vowels): only when nothing stands between them
                try settle()
                if composes, run.count == 1, classes[0] == 0, let both = composed(run[0], scalar) {
                    run[0] = both
                    return
                }
                try emit(&out)
            }
            try run.append(scalar)
            try classes.append(rank)
        }

        /// Canonical order: stable by class. A counting sort, when a bubble would be slow.
        private mutating func order() throws(Llama2Error) {
            var isOrdered = true
            let first = classes.isEmpty || classes[0] != 0 ? 0 : 1
            if run.count > first + 1 {
                for i in first + 1..<run.count where classes[i - 1] > classes[i] { isOrdered = false }
            }
            if isOrdered { return }
            var starts = [Int](repeating: 0, count: 257)
            for i in first..<run.count { starts[Int(classes[i]) + 1] += 1 }
            for i in 1...256 { starts[i] += starts[i - 1] }
            sorted.removeAll()
            for i in 0..<run.count { try sorted.append(run[i]) }
            var ranks = [UInt8](repeating: 0, count: run.count)
            for i in first..<run.count {
                let rank = Int(classes[i])
                run[first + starts[rank]] = sorted[i]
                ranks[first + starts[rank]] = UInt8(rank)
                starts[rank] += 1
            }
            for i in first..<run.count { classes[i] = ranks[i] }
        }

        /// Marks that compose with the starter go into it, unless one of the same class or higher stands between.
        private mutating func compose() {
            guard run.count > 1, classes[0] == 0 else { return }
            var kept = 1, last: UInt8 = 0
            for i in 1..<run.count {
                let rank = classes[i]
                if kept == 1 || last < rank, let both = composed(run[0], run[i]) {
                    run[0] = both
                    continue
                }
                last = rank
                run[kept] = run[i]
                classes[kept] = rank
                kept += 1
            }
            run.truncate(to: kept)
            classes.truncate(to: kept)
        }

        private mutating func settle() throws(Llama2Error) {
            guard run.count > 1 else { return }
            try order()
            if composes { compose() }
        }

        private mutating func emit(_ out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
            for i in 0..<run.count { try out.append(utf8: run[i]) }
            run.removeAll()
            classes.removeAll()
        }

        mutating func flush(_ out: inout GrowingBuffer<UInt8>) throws(Llama2Error) {
            try settle()
            try emit(&out)
        }
    }
}

extension GrowingBuffer<UInt8> {
    mutating func append(utf8 scalar: UInt32) throws(Llama2Error) {
        if scalar < 0x80 { return try append(UInt8(scalar)) }
        func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | (scalar >> shift) & 0x3F) }
        if scalar < 0x800 {
            try append(UInt8(0xC0 | scalar >> 6))
        } else {
            if scalar < 0x10000 {
                try append(UInt8(0xE0 | scalar >> 12))
            } else {
                try append(UInt8(0xF0 | (scalar >> 18) & 7))
                try append(tail(12))
            }
            try append(tail(6))
        }
        try append(tail(0))
    }
}
