extension Kernels {
    /// Cosine and sine of position * frequency for each pair: out (pairs, 2).
    ///
    /// Our own arithmetic, so that a table is the same on every machine: the angle in double, reduced
    /// by pi/2 in two parts (Cody & Waite), Taylor polynomials to degree 17 on [-pi/4, pi/4]
    /// (error below 1e-16), rounded to float once.
    public static func ropeTable(
        position: Int, pairs: Int, frequencies: UnsafePointer<Double>, _ out: UnsafeMutablePointer<Float>
    ) {
        for i in 0..<pairs {
            let (cosine, sine) = cosineAndSine(Double(position) * frequencies[i])
            out[2 &* i] = Float(cosine)
            out[2 &* i &+ 1] = Float(sine)
        }
    }

    static func cosineAndSine(_ angle: Double) -> (Double, Double) {
        // k = round(angle / (pi/2)) by the magic number 1.5 * 2^52; exact for |angle| < 2^50
        let magic = 6_755_399_441_055_744.0
        let shifted = angle * 0.636_619_772_367_581_343_08 + magic
        let k = shifted - magic
        var r = angle.addingProduct(-k, 1.570_796_326_794_896_558_0)
        r = r.addingProduct(-k, 6.123_233_995_736_766_035_9e-17)
        let r2 = r * r
        var s = 1.0 / 355_687_428_096_000
        for c in [-1.0 / 1_307_674_368_000, 1.0 / 6_227_020_800, -1.0 / 39_916_800, 1.0 / 362_880, -1.0 / 5040, 1.0 / 120, -1.0 / 6] {
            s = c.addingProduct(s, r2)
        }
        s = r.addingProduct(s * r2, r)
        var c = 1.0 / 20_922_789_888_000
        for k in [-1.0 / 87_178_291_200, 1.0 / 479_001_600, -1.0 / 3_628_800, 1.0 / 40_320, -1.0 / 720, 1.0 / 24, -0.5, 1] {
            c = k.addingProduct(c, r2)
        }
        switch shifted.bitPattern & 3 {
        case 0: return (c, s)
        case 1: return (-s, c)
        case 2: return (-c, -s)
        default: return (s, -c)
        }
    }
}
