internal import Llama2Core
internal import Llama2Formats

/// Holds the keys under `llama.` of a file against the list of them, `ModelKeyEntry.all`.
enum MetadataKeys {
    /// Refuses what is not followed.
    static func check(_ metadata: Metadata, _ h: Hyperparameters) throws(Llama2Error) {
        // Made for each file, some microseconds: in a list that stayed for ever, LeakSanitizer would not find what the rules hold, for Swift keeps
        // which rule it is in spare bits of the pointer.
        let entries: [MetadataKey: ModelKeyEntry] = Dictionary(uniqueKeysWithValues: ModelKeyEntry.all.map { ($0.key, $0) })
        let prefix = MetadataKey.modelPrefix
        for name in metadata.keys where name.hasPrefix(prefix) {
            let key = MetadataKey(name)
            guard let entry = entries[key] else {
                throw Llama2Error(
                    .unsupported,
                    "metadata \(key) is \(shown(metadata, key)): a key that this version does not know, which could change what the model computes")
            }
            guard try isFollowed(entry.rule, key, metadata, h) else {
                throw Llama2Error(.unsupported, "metadata \(key) is \(shown(metadata, key)): \(entry.why) \(expectation(entry.rule))")
            }
        }
    }

    private static func shown(_ metadata: Metadata, _ key: MetadataKey) -> String { String((metadata.text(key.name) ?? "absent").prefix(100)) }

    private static func expectation(_ rule: MetadataRule) -> String {
        switch rule {
        case .read, .harmless: ""
        case .numbers(let list):
            "is not supported, only \(list.map { $0 == $0.rounded() ? String(Int($0)) : String($0) }.joined(separator: " or ")), which changes nothing"
        case .flag(let value): "is not supported, only \(value), which changes nothing"
        case .texts(let list): "is supported as \(list.map(\.description).joined(separator: " or ")) alone"
        case .attentionScale: "is not supported, only 1 / sqrt(head length) or 0, which stands for it"
        case .window: "is not supported, only 0 or no fewer than the context"
        case .mixing: "is not supported, only -1 (unset), 1 with YaRN and 0 without"
        case .sameAs(let key): "is not supported, only the value of \(key)"
        }
    }

    private static func isFollowed(_ rule: MetadataRule, _ key: MetadataKey, _ metadata: Metadata, _ h: Hyperparameters) throws(Llama2Error) -> Bool {
        switch rule {
        case .read, .harmless: return true
        case .numbers(let list): return try metadata.everyNumber(key).allSatisfy { list.contains($0) }
        case .flag(let value): return try metadata.everyBool(key).allSatisfy { $0 == value }
        case .texts(let list): return try metadata.byteText(key).map { list.contains($0) } ?? true
        case .attentionScale:
            let usual = 1 / Double(h.headDimension).squareRoot()
            return try metadata.everyNumber(key).allSatisfy { $0 == 0 || abs($0 - usual) <= 1e-6 * usual }
        case .window: return try metadata.everyNumber(key).allSatisfy { $0 == 0 || $0 >= Double(h.contextLength) }
        case .mixing: return try metadata.everyNumber(key).allSatisfy { $0 == -1 || $0 == (h.ropeScaling.kind == .yarn ? 1 : 0) }
        case .sameAs(let other):
            let own: [MetadataKey: Double] = [
                .embeddingLength: Double(h.embeddingLength), .keyLength: Double(h.headDimension), .valueLength: Double(h.headDimension),
                .ropeDimensionCount: Double(h.ropeDimension), .ropeBase: h.ropeBase,
            ]
            return try metadata.everyNumber(key).allSatisfy { $0 == own[other] }
        }
    }
}
