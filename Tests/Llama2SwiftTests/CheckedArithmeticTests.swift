import Llama2Core
import Testing

@Test func arithmeticThatOverflowsIsAnErrorNotATrap() {
    #expect(throws: Llama2Error.self) { try checkedAdd(Int.max, 1, "sum") }
    #expect(throws: Llama2Error.self) { try checkedMultiply(Int.max, 2, "product") }
    #expect(throws: Llama2Error.self) { try checkedInt(UInt64.max, "count") }
    #expect(throws: Llama2Error.self) { try alignUp(Int.max, 32, "offset") }
}
