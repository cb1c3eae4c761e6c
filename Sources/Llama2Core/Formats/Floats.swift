/// Plain numbers: multiplied as such (FloatMatrix.swift), never unpacked to lane blocks.

/// IEEE 754 binary32.
enum F32: NumberFormat {
    static var number: UInt32 { 0 }
    static var name: StaticString { "F32" }
    static var elements: Int { 1 }
    static var bytes: Int { 4 }
}

/// IEEE 754 binary16.
enum F16: NumberFormat {
    static var number: UInt32 { 1 }
    static var name: StaticString { "F16" }
    static var elements: Int { 1 }
    static var bytes: Int { 2 }
}

/// The upper half of a binary32.
enum BF16: NumberFormat {
    static var number: UInt32 { 30 }
    static var name: StaticString { "BF16" }
    static var elements: Int { 1 }
    static var bytes: Int { 2 }
}
