/// The comparison of Tests/Llama2SwiftTests/KernelComparison.swift as a program for aarch64: Tests/trust/arm64.sh.

import Llama2Core
import Llama2Kernels

@_cdecl("main") public func compareKernels() -> Int32 {
    do throws(Llama2Error) {
        var comparison = try KernelComparison(Kernels.available)
        comparison.all()
        var names = ""
        for isa in Kernels.available { names += (names == "" ? "" : ", ") + isa.name }
        for name in comparison.differing { print("differs: \(name)") }
        print("kernels: \(names)")
        print("compared: \(comparison.cases), different: \(comparison.differing.count)")
        let same = comparison.total.value == digestOfAllKernels
        print("digest: \(comparison.total.value), \(same ? "as on x86-64" : "expected \(digestOfAllKernels)")")
        return same && comparison.differing.isEmpty ? 0 : 1
    } catch {
        print(error.message)
        return 2
    }
}
