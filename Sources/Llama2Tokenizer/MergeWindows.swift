/// How a long text is taken in windows (`MergeQueue`).
enum MergeWindows {
    /// Bytes of the longest token with which windows are used: what lies behind a window is compared with tokens of all lengths.
    static let longest = 512

    /// A window that told too little.
    static func larger(_ window: Int) -> Int { window > Int.max / 2 ? .max : 2 * window }
}
