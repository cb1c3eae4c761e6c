import Llama2Core

/// The pre-tokenizers that GGUF files name (`tokenizer.ggml.pre`): llama.cpp's lists of expressions, of which each cuts
/// the pieces that the one before it left.
struct NamedPreTokenizer {
    let steps: [PreTokenizerStep]
    /// A word that is a token needs no merges.
    let ignoresMerges: Bool

    /// GPT-2's, of `tokenizers`' ByteLevel.
    static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    private static let contractions = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    private static let rest = #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let llama3 = contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"# + rest
    private static let llama3Cascade =
        contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"#
        + [512, 256, 128, 64, 32, 16, 8, 4].map { #"\s{\#($0)}(?!\S)|"# }.joined() + #"\s{1,2}(?!\S)|\s{1}"#
    private static let qwen2 = contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + rest
    private static let deepseek3 = [
        #"\p{N}{1,3}"#, "[一-龥぀-ゟ゠-ヿ]+",
        ##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
    ]
    // llama.cpp writes o200k's two kinds of words with look-aheads
    private static let cased = #"[^\r\n\p{L}\p{N}]?(?:(?=\p{L})[^a-z])*(?:(?=\p{L})[^A-Z])+"#
    private static let capital = #"[^\r\n\p{L}\p{N}]?(?:(?=\p{L})[^a-z])+(?:(?=\p{L})[^A-Z])*"#
    private static let slashes = #"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let gpt4o = cased + contractions + "?|" + capital + contractions + #"?|\p{N}{1,3}"# + slashes

    // DeepSeek LLM's tokenizer.json lists the letters that have cases, of Unicode's state then
    private static let casedLetters =
        #"[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]"#

    private struct Entry {
        let names: [StaticString]
        let expressions: [String]
        var ignoresMerges = false, addsBOS = false
    }

    private static let table: [Entry] = [
        Entry(names: ["", "default"], expressions: [#"[\p{P}\$\+<=>\^~\|]+"#, gpt2, #"\p{N}+"#, "[0-9][0-9][0-9]"]),
        Entry(
            names: ["llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"], expressions: [llama3],
            ignoresMerges: true, addsBOS: true),
        Entry(names: ["dbrx", "smaug-bpe", "chatglm-bpe"], expressions: [llama3]),
        Entry(names: ["glm4", "glm5"], expressions: [llama3], ignoresMerges: true),
        Entry(
            names: [
                "gpt-2", "phi-2", "jina-es", "jina-de", "gigachat", "jina-v2-es", "jina-v2-de", "a.x-4.0", "mellum", "modern-bert", "mpt", "olmo", "jais",
                "jina-v1-en", "jina-v2-code", "roberta-bpe",
                "trillion", "granite-docling", "exaone4",
            ], expressions: [gpt2]),
        Entry(
            names: ["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"], expressions: [#"\p{N}"#, gpt2]),
        Entry(
            names: ["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"], expressions: [qwen2]),
        Entry(
            names: ["qwen35"],
            expressions: [contractions + #"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#]),
        Entry(names: ["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"], expressions: deepseek3),
        Entry(
            names: ["deepseek-llm"],
            expressions: [
                #"[\r\n]"#, #"\s?"# + casedLetters + "+", #"\s?[!-/:-~！-／：-～‘-‟　-。]+"#, #"\s+$"#, "[一-龥ࠀ-一가-퟿]+", #"\p{N}+"#,
            ]),
        Entry(names: ["jais-2"], expressions: [llama3Cascade]),
        Entry(names: ["deepseek-coder"], expressions: [#"[\r\n]"#, #"\s?\p{L}+"#, #"\s?\p{P}+"#, "[一-龥ࠀ-一가-퟿]+", #"\p{N}"#]),
        Entry(names: ["falcon"], expressions: [#"[\p{P}\$\+<=>\^~\|`]+"#, gpt2, "[0-9][0-9][0-9]"]),
        Entry(names: ["gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"], expressions: [gpt4o]),
        Entry(names: ["tekken"], expressions: [cased + "|" + capital + #"|\p{N}"# + slashes], ignoresMerges: true, addsBOS: true),
        Entry(names: ["poro-chat", "bloom", "gpt3-finnish"], expressions: [#" ?[^(\s|.,!?…。，、।۔،)]+"#]),
        Entry(names: ["viking"], expressions: [#" ?[^(\s|.,!?…。，、।۔،)]+"#, #"\p{N}"#]),
        Entry(
            names: ["bailingmoe", "bailingmoe2", "llada-moe"],
            expressions: [
                #"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"#
            ]),
        Entry(
            names: ["seed-coder"],
            expressions: [contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"#]),
        Entry(names: ["ufakzeka"], expressions: [#"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"# + rest]),
        Entry(names: ["laguna"], expressions: [#"[^\n]+|[\n]+"#, qwen2]),
        Entry(
            names: ["minicpm5"],
            expressions: [#"\p{N}{1,3}"#, contractions + #"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}+"# + rest], ignoresMerges: true),
        Entry(
            names: ["exaone-moe"],
            expressions: [
                contractions
                    + #"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"#
            ]),
    ]

    private static func entry(_ name: [UInt8]) -> Entry? {
        table.first { entry in entry.names.contains { name.elementsEqual(UnsafeBufferPointer(start: $0.utf8Start, count: $0.utf8CodeUnitCount)) } }
    }

    static func addsBOS(_ name: [UInt8]) -> Bool { entry(name)?.addsBOS ?? false }

    init(_ name: [UInt8]) throws(Llama2Error) {
        guard let entry = Self.entry(name) else {
            throw Llama2Error(
                .unsupported,
                "pre-tokenizer \"\(String(decoding: name.prefix(60), as: UTF8.self))\" is not known; this version has \(Self.table.reduce(0) { $0 + $1.names.count }) of llama.cpp's"
            )
        }
        ignoresMerges = entry.ignoresMerges
        var steps: [PreTokenizerStep] = []
        for expression in entry.expressions { steps.append(.split(try RegexProgram(Array(expression.utf8)), .isolated, inverted: false)) }
        self.steps = steps + [.byteLevel(addsPrefixSpace: false, nil)]
    }
}
