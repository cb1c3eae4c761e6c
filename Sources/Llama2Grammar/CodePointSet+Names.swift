internal import Llama2Core

extension CodePointSet {
    /// A class of characters by the name that expressions give it: a general category (`Lu`, `L`, `Uppercase_Letter`, `gc=Lu`) or a script
    /// (`Greek`, `Script=Greek`, `sc=Grek`); nil for a name that is not known.
    static func named(_ name: [UInt8]) -> CodePointSet? {
        if name == Array("Any".utf8) { return .all }
        if let category = behind(["General_Category=", "gc="], name) { return UnicodeClass.mask(named: category).map(categories) }
        if let script = behind(["Script=", "sc="], name) { return UnicodeClass.script(named: script).map(ranges) }
        return UnicodeClass.mask(named: name).map(categories) ?? UnicodeClass.script(named: name).map(ranges)
    }

    static func categories(_ mask: UInt32) -> CodePointSet { ranges(UnicodeClass.ranges(mask)) }

    private static func ranges(_ list: [ClosedRange<UInt32>]) -> CodePointSet { CodePointSet(list.map { ($0.lowerBound, $0.upperBound) }) }

    private static func behind(_ prefixes: [StaticString], _ name: [UInt8]) -> [UInt8]? {
        for prefix in prefixes where name.starts(with: UnsafeBufferPointer(start: prefix.utf8Start, count: prefix.utf8CodeUnitCount)) {
            return Array(name.dropFirst(prefix.utf8CodeUnitCount))
        }
        return nil
    }
}
