/// What YaRN (Peng et al., 2023) makes of RoPE, as far as a file's reader and a context both compute it.
public enum YaRN {
    /// By how much queries and keys are stretched: 1 + weight ln(factor) / 10, and 1 where nothing is extended.
    public static func stretch(_ factor: Double, _ weight: Double = 1) -> Double { factor <= 1 ? 1 : 0.1 * weight * logarithm(factor) + 1 }

    /// The pair of components, counted from 0 and not rounded, that turns so often within the trained length.
    public static func pair(turning turns: Double, within trained: Double, base: Double, dimension: Int) -> Double {
        Double(dimension) * logarithm(trained / (turns * 2 * Double.pi)) / (2 * logarithm(base))
    }
}
