/// An instruction of the stack machine. Jumps are relative to the next instruction, so that code can be moved.
enum Instruction {
    /// Writes a constant text.
    case data(Int32)
    /// Pops a value and writes it.
    case emit
    /// Writes the value that a filter block has made: what is no text cannot be put together with others.
    case emitText
    case constant(Int32)
    case load(Int32), store(Int32)
    /// Pops a value for an attribute of the namespace in a variable.
    case setAttribute(name: Int32, attribute: Int32)
    case attribute(Int32), item, slice
    case list(Int32), tuple(Int32), dict(Int32)
    case binary(Binary), negate, plus, not
    /// Of that many values, as texts.
    case concat(Int32)
    case compare(Comparison)
    /// In a chain `a < b < c`: if false, false is left and the rest is jumped over; else the right value is left.
    case compareNext(Comparison, Int32)
    case jump(Int32), jumpIfFalse(Int32)
    /// Jump with the value, or drop it.
    case orJump(Int32), andJump(Int32)
    case call(Int32), filter(Int32, Int32), test(Int32, Int32)
    case undefinedElse
    case pop
    /// Number of the scope's description.
    case pushScope(Int32), popScope
    case beginCapture, endCapture
    /// Pops what to go through; the loop's description.
    case loopBegin(Int32)
    /// The next item, or out of the loop.
    case loopNext(Int32)
    /// After a loop's condition.
    case loopTest(Int32)
    /// A body was gone through to its end: `break` and `continue` do not come by here.
    case loopPassed
    /// Past the else part if a body was gone through to its end.
    case loopEnd(Int32)
    /// Calls a recursive loop's code for the first time.
    case loopCall(Int32)
    /// Binds `loop`.
    case loopBind(Int32)
    case unpack(Int32)
    case macro(Int32)
    /// Jumps if the argument was given; else its default follows.
    case ifGiven(Int32, Int32)
    case returns
    case fail(Int32)
}

enum Binary { case add, subtract, multiply, divide, floorDivide, modulo, power }
enum Comparison { case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual, isIn, notIn }

/// How a call's values lie on the stack: positional, named, `*`, `**`, the caller.
struct CallShape: Hashable {
    var positional = 0
    /// Constants.
    var named: [Int32] = []
    var star = false, doubleStar = false, caller = false
}

struct MacroDescription {
    var name: Int32  // constant; -1 for a call block's
    var arguments: [Int32] = []  // names
    var entry = 0
    var scope: Int32 = 0
    var usesCaller = false, usesKeywords = false, usesPositional = false
}

struct LoopDescription {
    var entry = 0  // of a recursive loop's code
    var next = 0  // its loopNext
    var body = 0
    var bodyScope: Int32 = 0
    var filter: Int?  // its condition's code
    var filterScope: Int32 = 0
    var isRecursive = false
}

/// A scope as the compiler saw it: which names are set in it before anything reads them there, so that what is inside
/// does not see an outer variable of that name even before.
struct ScopeDescription {
    var unset: [Int32] = []
}

/// A template, compiled. Never changes; any number of threads run it.
final class Program: @unchecked Sendable {
    let code: [Instruction]
    let lines: [Int32]
    let constants: [Value]
    let names: [Text]
    let shapes: [CallShape]
    let macros: [MacroDescription]
    let loops: [LoopDescription]
    let scopes: [ScopeDescription]
    let size: Int

    init(
        code: [Instruction], lines: [Int32], constants: [Value], names: [Text], shapes: [CallShape], macros: [MacroDescription],
        loops: [LoopDescription], scopes: [ScopeDescription], size: Int
    ) {
        self.code = code
        self.lines = lines
        self.constants = constants
        self.names = names
        self.shapes = shapes
        self.macros = macros
        self.loops = loops
        self.scopes = scopes
        self.size = size
    }
}
