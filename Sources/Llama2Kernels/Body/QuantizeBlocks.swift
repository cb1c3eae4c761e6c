internal import KernelOperands

/// Blocks of `type` out of floats, one after the other. x, importance: (elements count). false: a type that is not made here.
func quantizeBlocks(_ o: BlocksOperands) -> Bool { visitFormat(o.type, BlocksQuantizer(o: o)) ?? false }

private struct BlocksQuantizer: NumberVisitor {
    let o: BlocksOperands

    @inline(__always) func visit<F: NumberFormat>(any _: F.Type) -> Bool {
        guard let quantize = F.quantizer else { return false }
        let scratch = o.scratch.assumingMemoryBound(to: Float.self)
        var b = 0
        while b < o.count {
            let importance: UnsafePointer<Float>? = if let i = o.importance { i + F.elements &* b } else { nil }
            quantize(o.x + F.elements &* b, importance, o.out + F.bytes &* b, scratch)
            b &+= 1
        }
        return true
    }
}
