internal import Llama2Core

/// GGUF's names for the rules of a tokenizer.json: only when llama.cpp does the same by them; else a name that it
/// refuses. We ourselves go by the settings.
struct GGUFNames {
    private(set) var model: ByteText = "llama2swift"
    private(set) var pre: ByteText?
    private(set) var addsSpacePrefix = true

    private static let llama3 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    private static let qwen2 =
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#

    /// hasSettings, hasNormalized: of any added token, see `HuggingFaceTokenizer`.
    init(_ whole: JSON, hasSettings: Bool, hasNormalized: Bool) {
        func text(_ json: JSON?) -> ByteText { ByteText(json?.bytes ?? []) }
        func isSet(_ json: JSON?) -> Bool { json.map { !$0.isNull } ?? false }
        let bpe = whole["model"], pre = whole["pre_tokenizer"]
        let normalizer = whole["normalizer"]
        guard !hasSettings, !hasNormalized || !isSet(normalizer), !isSet(bpe?["dropout"]), text(bpe?["continuing_subword_prefix"]).isEmpty,
            text(bpe?["end_of_word_suffix"]).isEmpty
        else { return }
        let parts = text(pre?["type"]) == "Sequence" ? pre?["pretokenizers"]?.array ?? [] : isSet(pre) ? [pre ?? .null] : []
        func isByteLevel(_ json: JSON, regex: Bool) -> Bool {
            text(json["type"]) == "ByteLevel" && json["add_prefix_space"]?.bool == false && (json["use_regex"]?.bool ?? true) == regex
        }
        if let last = parts.last, !isSet(normalizer), bpe?["byte_fallback"]?.bool != true, text(whole["decoder"]?["type"]) == "ByteLevel" {
            let ignores = bpe?["ignore_merges"]?.bool ?? false
            var name: ByteText?
            if parts.count == 1, isByteLevel(last, regex: true), !ignores { name = "gpt-2" }
            if parts.count == 2, isByteLevel(last, regex: true), text(parts[0]["type"]) == "Digits", parts[0]["individual_digits"]?.bool == true, !ignores {
                name = "smollm"
            }
            if parts.count == 2, isByteLevel(last, regex: false), text(parts[0]["type"]) == "Split", text(parts[0]["behavior"]) == "Isolated",
                parts[0]["invert"]?.bool == false
            {
                let expression = parts[0]["pattern"]?["Regex"]?.bytes
                if expression == Array(Self.llama3.utf8) { name = ignores ? "llama-bpe" : "dbrx" }
                if expression == Array(Self.qwen2.utf8), !ignores { name = "qwen2" }
            }
            if let name { (model, self.pre) = ("gpt2", name) }
            return
        }
        guard bpe?["byte_fallback"]?.bool == true, bpe?["fuse_unk"]?.bool == true, bpe?["ignore_merges"]?.bool != true else { return }
        let steps = text(normalizer?["type"]) == "Sequence" ? normalizer?["normalizers"]?.array ?? [] : isSet(normalizer) ? [normalizer ?? .null] : []
        func replaces(_ json: JSON) -> Bool {
            text(json["type"]) == "Replace" && text(json["pattern"]?["String"]) == " " && json["content"]?.bytes == Array("\u{2581}".utf8)
        }
        if parts.isEmpty, steps.count == 2, text(steps[0]["type"]) == "Prepend", steps[0]["prepend"]?.bytes == Array("\u{2581}".utf8), replaces(steps[1]) {
            model = "llama"
        } else if parts.isEmpty, steps.count == 1, replaces(steps[0]) {
            (model, addsSpacePrefix) = ("llama", false)
        } else if steps.isEmpty, parts.count == 1, text(parts[0]["type"]) == "Metaspace", parts[0]["replacement"]?.bytes == Array("\u{2581}".utf8),
            parts[0]["split"]?.bool == false, text(parts[0]["prepend_scheme"]) == "never"
        {
            // with the other schemes a text that begins with a space gets no further one
            (model, addsSpacePrefix) = ("llama", false)
        }
    }
}
