internal import Glibc
internal import LinuxSystem

/// What the machine's processors have taken, as the kernel counts it (RAPL, by the power capping interface: a folder with
/// `intel-rapl:0/energy_uj` and its like; AMD's processors show themselves under the same names). All processes count, not only this one.
public final class EnergyMeter {
    private let meter: UnsafeMutablePointer<l2s_energy>
    /// Processors (RAPL's packages) that are measured; 0 from the moment on when one could not be read.
    public var zones: Int { Int(clamping: meter.pointee.count) }

    /// Opens the counters. Throws IO when there are none, or one of them may not be read (`deinit` runs then, too).
    public init(folder: FilePath) throws(Llama2Error) {
        meter = .allocate(capacity: 1)
        meter.initialize(to: l2s_energy())
        guard folder.withBytes({ l2s_energy_open($0, meter) }) > 0 else {
            let code = errno
            throw Llama2Error(
                .io, "\(folder): the energy of no processor can be read there (intel-rapl:0/energy_uj): \(String(cString: strerror(code)))",
                systemError: code)
        }
    }

    deinit {
        l2s_energy_close(meter)
        meter.deallocate()
    }

    /// Microjoules since the last call, 0 without a counter. A counter that fails ends the measuring for good.
    public func gained() -> Int {
        guard zones > 0 else { return 0 }
        let gained = l2s_energy_gained(meter)
        if gained < 0 { l2s_energy_close(meter) }
        return Int(clamping: max(gained, 0))
    }
}
