internal import Llama2Core

// Texts in fields of a width.
extension Machine {
    func padded(_ text: Text, _ name: Text, _ arguments: Arguments) throws(Llama2Error) -> Value {
        let values = try arguments.bind(name, ["width", "fillchar"], required: 1)
        let width = try integer(values[0], "width") ?? 0
        let fill = values[1] == nil ? [Unit(name.equals("zfill") ? 0x30 : 0x20)] : try argument(values[1], text, name)
        guard Text(fill).count == 1 else { throw Failure.because("The fill character must be exactly one character long") }
        return try heap.value(
            try pad(text.units, width, fill, name.equals("center") ? .center : name.equals("ljust") ? .left : name.equals("zfill") ? .afterSign : .right),
            markup: text.isMarkup)
    }

    enum Side {
        case left, right, afterSign
        /// In the middle, one more before it as `str.center` has it, one more behind it as a format has it.
        case center, middle
    }

    /// side: where the text stands.
    func pad(_ units: [Unit], _ width: Int, _ fill: [Unit], _ side: Side) throws(Llama2Error) -> [Unit] {
        let count = Text(units).count
        guard width > count else { return units }
        guard width <= 1 << 24 else { throw Failure.because("a field of \(width) characters; the limit is \(1 << 24)") }
        let missing = width - count
        try heap.take(missing * 2 * fill.count)
        heap.give(missing * 2 * fill.count)
        func some(_ count: Int) -> [Unit] { Array((0..<max(count, 0)).lazy.flatMap { _ in fill }) }
        switch side {
        case .left: return units + some(missing)
        case .right: return some(missing) + units
        case .middle: return some(missing / 2) + units + some(missing - missing / 2)
        case .center:
            let left = missing / 2 + (missing & width & 1)
            return some(left) + units + some(missing - left)
        case .afterSign:
            let sign = units.first.map { [0x20, 0x2b, 0x2d].contains($0.byte) } ?? false ? 1 : 0
            return units[..<sign] + some(missing) + units[sign...]
        }
    }

    /// Each tab as spaces up to the next column that `size` divides; lines begin behind \n and \r.
    func withoutTabs(_ units: [Unit], _ size: Int) throws(Llama2Error) -> [Unit] {
        guard size <= 1 << 24 else { throw Failure.because("a field of \(size) characters; the limit is \(1 << 24)") }
        var out: [Unit] = [], column = 0
        for unit in units {
            if unit.byte == 0x09 {
                let spaces = size > 0 ? size - column % size : 0
                try heap.work(spaces)
                try heap.checkRoom(out.count + spaces)
                out += [Unit](repeating: unit.with(0x20), count: spaces)
                column += spaces
                continue
            }
            if unit.isStart { column += 1 }
            if unit.byte == 0x0a || unit.byte == 0x0d { column = 0 }
            out.append(unit)
        }
        return out
    }
}
