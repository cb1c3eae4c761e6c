import Testing

@testable import Llama2Core

/// Edges of the reader that the library's black-box tests reach only through a file.
@Suite struct JSONTests {
    /// Bytes that stay where they are, as a mapped file's do.
    private final class Owner {
        let bytes: UnsafeMutableRawBufferPointer
        init(_ text: [UInt8]) {
            bytes = .allocate(byteCount: max(text.count, 1), alignment: 1)
            bytes.copyBytes(from: text)
        }
        deinit { bytes.deallocate() }
    }

    private func parse(_ text: [UInt8]) throws(Llama2Error) -> JSON {
        let owner = Owner(text)
        return try JSON.parse(UnsafeRawBufferPointer(rebasing: owner.bytes[..<text.count]), "text", owner: owner)
    }
    private func parse(_ text: String) throws(Llama2Error) -> JSON { try parse(Array(text.utf8)) }

    @Test(arguments: [
        ("0", 0.0), ("-0", -0.0), ("1e5", 1e5), ("1E+5", 1e5), ("123e-2", 1.23), ("1.7976931348623157e308", .greatestFiniteMagnitude),
        ("5e-324", 5e-324), ("1e-400", 0), ("9007199254740993", 9_007_199_254_740_992),
    ])
    func numbersAreThoseOfADouble(text: String, value: Double) throws {
        let json = try parse(text)
        #expect(json.double?.bitPattern == value.bitPattern)
        withExtendedLifetime(json) { #expect(json.numberText.map { Array($0) } == Array(text.utf8)) }  // its bytes live with it
    }

    @Test(arguments: [
        "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "1e309", "-1e309", "NaN", "Infinity", "-Infinity", "1 2", "--1", "1e400", "",
        String(repeating: "1", count: 401),
    ])
    func whatIsNoNumberIsRefused(text: String) { #expect(throws: Llama2Error.self) { try parse(text) } }

    /// Every first byte with every second one and what may follow at the edges, beside the standard library's own validation.
    @Test func stringsAreUTF8AsTheStandardLibraryReadsIt() {
        for first in UInt8(0x80)...0xff {
            for second in UInt8(0)...0xff where second >= 0x20 && second != UInt8(ascii: "\"") && second != UInt8(ascii: "\\") {
                for rest: [UInt8] in [[], [0x80], [0xbf], [0x41], [0xc0], [0x80, 0x80], [0xbf, 0xbf], [0x80, 0x7f], [0xc2, 0x80], [0x80, 0x80, 0x80]] {
                    let text = [first, second] + rest
                    let isRead = (try? parse([0x22] + text + [0x22])) != nil
                    #expect(isRead == (String(validating: text, as: UTF8.self) != nil), "\(text)")
                }
            }
        }
    }

    @Test func aKeyIsTheSameHoweverItIsWritten() {
        #expect(throws: Llama2Error.self) { try parse(#"{"a\u00e9b":1,"aéb":2}"#) }
        #expect(throws: Llama2Error.self) { try parse(#"{"\u0061bc":1,"ab\u0063":2}"#) }
        #expect(throws: Never.self) { try parse(#"{"abc":1,"ab":2,"c":3}"#) }
    }

    @Test func integersAreThoseThatADoubleHoldsExactly() throws {
        #expect(try parse("9007199254740992").integer == 9_007_199_254_740_992)
        #expect(try parse("-9007199254740992").integer == -9_007_199_254_740_992)
        #expect(try parse("9007199254740994").integer == nil)
        #expect(try parse("1e3").integer == 1000 && parse("1.0").integer == 1 && parse("1.5").integer == nil)
        // how it is written: of 1.0 and 1e3 there are no digits
        let json = try parse("-12")
        withExtendedLifetime(json) { #expect(json.integerDigits.map { Array($0) } == Array("-12".utf8)) }
        #expect(try parse("1.0").integerDigits == nil && parse("1e3").integerDigits == nil)
    }

    @Test func nestingEndsAt128() throws {
        func nested(_ depth: Int, _ open: String, _ close: String) -> String {
            String(repeating: open, count: depth) + String(repeating: close, count: depth)
        }
        _ = try parse(nested(129, "[", "]"))  // the innermost is empty and stays closed
        #expect(throws: Llama2Error.self) { try parse(nested(130, "[", "]")) }
        #expect(throws: Llama2Error.self) { try parse(String(repeating: "[", count: 1 << 20)) }
    }

    @Test func keysAreToldApartByTheirBytes() throws {
        // é as one character and as two: Swift's String holds them for the same
        let both = try parse("{\"\u{e9}\": 1, \"e\u{301}\": 2}")
        #expect(both["\u{e9}"]?.integer == 1 && both["e\u{301}"]?.integer == 2)
        for twice in ["{\"a\":1,\"a\":2}", "{\"a\":1,\"\\u0061\":2}", "{\"b\":0,\"a\":1,\"c\":{\"x\":1,\"x\":1}}"] {
            #expect(throws: Llama2Error.self) { try parse(twice) }
        }
    }

    @Test func surrogatesComeInPairs() throws {
        #expect(try parse("\"\\ud83d\\ude00\"").bytes == Array("😀".utf8))
        #expect(try parse("\"\\u0000\"").bytes == [0])
        for half in ["\"\\ud83d\"", "\"\\ude00\"", "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "\"\\u12g4\"", "\"\\x\"", "\"\\", "\"\u{1}\""] {
            #expect(throws: Llama2Error.self) { try parse(half) }
        }
        #expect(throws: Llama2Error.self) { try parse([0x22, 0xc3, 0x22]) }  // half a character
        #expect(throws: Llama2Error.self) { try parse([0x22, 0xed, 0xa0, 0x80, 0x22]) }  // a surrogate in UTF-8
    }

    @Test func aValueKnowsWhereItEndsWhateverIsInIt() throws {
        let json = try parse(#"{"a": [1, [2, {"b": []}], 3], "c": {"d": 4}, "e": 5}"#)
        #expect(json["e"]?.integer == 5 && json["c"]?["d"]?.integer == 4)
        #expect(json["a"]?.array?.map(\.integer) == [1, nil, 3])
        #expect(json.members.map { Array($0).map { $0.key.text } } == ["a", "c", "e"])
        #expect(json["b"] == nil && json["a"]?["b"] == nil)
    }
}
