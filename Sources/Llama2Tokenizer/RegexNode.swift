import Llama2Core

/// A regular expression, parsed. One node a construct; classes of every spelling are sets of code points.
indirect enum RegexNode {
    case empty
    case set(ScalarSet)
    case sequence([RegexNode])
    case alternatives([RegexNode])
    case loop(RegexNode, least: Int, most: Int?, kind: Greed)
    /// Without taking text: `(?=`, `(?!`, `(?<=`, `(?<!`.
    case look(RegexNode, ahead: Bool, wanted: Bool)
    case atomic(RegexNode)
    case assertion(Assertion)

    enum Greed { case greedy, lazy, possessive }
    enum Assertion: UInt8 { case lineStart, lineEnd, textStart, textEnd, textEndOrNewline, wordBoundary, notWordBoundary }
}
