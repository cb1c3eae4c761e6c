/// The two orders of a head's rows that rotation knows: pairs side by side, as GGUF has them, and the two halves of a head one behind the
/// other, as Hugging Face has them.
public enum HeadRows {
    /// The row in halves that is row `row` in pairs: row 2 i + part of a head comes from row part * half + i.
    @inline(__always)
    public static func inHalves(_ row: Int, half: Int) -> Int {
        let inHead = row % (2 &* half)
        return row &- inHead &+ (inHead & 1) &* half &+ inHead / 2
    }

    /// The row in pairs that is row `row` in halves.
    @inline(__always)
    static func inPairs(_ row: Int, half: Int) -> Int {
        let inHead = row % (2 &* half)
        return row &- inHead &+ inHead % half &* 2 &+ inHead / half
    }
}
