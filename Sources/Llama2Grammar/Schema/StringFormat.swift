/// The formats of JSON Schema (2020-12, section 7.3) that are asserted, as expressions; all others are annotations.
enum StringFormat {
    /// Its number, below `count`, and its expression.
    static func named(_ name: [UInt8]) -> (number: Int, expression: [UInt8])? { table[name] }

    static var count: Int { table.count }

    private static let table: [[UInt8]: (number: Int, expression: [UInt8])] = {
        // RFC 3339
        let leap = "(?:(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
        let date = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|\(leap))"
        let zone = "(?:[zZ]|[+\\-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
        let time = "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]+)?\(zone))"
        // RFC 3339, appendix A
        let durationTime = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
        let durationDate = "(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
        let duration = "P(?:\(durationDate)(?:\(durationTime))?|\(durationTime)|[0-9]+W)"
        // RFC 4122
        let hex = "[0-9a-fA-F]"
        let uuid = "\(hex){8}-\(hex){4}-\(hex){4}-\(hex){4}-\(hex){12}"
        // RFC 1123
        let label = "[a-zA-Z0-9](?:[a-zA-Z0-9\\-]{0,61}[a-zA-Z0-9])?"
        let hostname = "\(label)(?:\\.\(label))*"
        // RFC 2673, 4291
        let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
        let ipv4 = "\(octet)(?:\\.\(octet)){3}"
        let group = "\(hex){1,4}", last = "(?:\(group):\(group)|\(ipv4))"
        var six = ["(?:\(group):){6}\(last)", "::(?:\(group):){5}\(last)", "(?:\(group))?::(?:\(group):){4}\(last)"]
        for (before, after) in [(1, 3), (2, 2), (3, 1)] { six.append("(?:(?:\(group):){0,\(before)}\(group))?::(?:\(group):){\(after)}\(last)") }
        six += ["(?:(?:\(group):){0,4}\(group))?::\(last)", "(?:(?:\(group):){0,5}\(group))?::\(group)", "(?:(?:\(group):){0,6}\(group))?::"]
        let ipv6 = "(?:" + six.joined(separator: "|") + ")"
        // RFC 5321: a dot-string or a quoted one, a domain or an address
        let atext = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~\\-]"
        let email = "(?:\(atext)+(?:\\.\(atext)+)*|\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\")@(?:\(hostname)|\\[(?:\(ipv4)|IPv6:\(ipv6))\\])"
        // RFC 3986, and RFC 3987, which lets in most of Unicode
        let uri = resources(hex, ipv6, more: "", private: "")
        let iri = resources(hex, ipv6, more: beyondASCII, private: "\\x{E000}-\\x{F8FF}\\x{F0000}-\\x{FFFFD}\\x{100000}-\\x{10FFFD}")
        // RFC 6531; of RFC 5890 a part that is surely right: lower case of scripts that read from left to right, in labels that
        // are short enough in any encoding
        let international = "[a-z0-9ß-öø-ÿα-ωа-яぁ-ゖァ-ヺ\\x{4E00}-\\x{9FA5}\\x{AC00}-\\x{D7A3}]"
        let plain = "[a-zA-Z0-9](?:[a-zA-Z0-9]?(?:[a-zA-Z0-9]|-[a-zA-Z0-9])*)?", word = "(?:\(plain)|\(international){1,14})"
        let host = "\(word)(?:\\.\(word))*"
        let mailbox = "(?:\(atext)|[^\\x00-\\x7f])+(?:\\.(?:\(atext)|[^\\x00-\\x7f])+)*"
        // RFC 6570
        let letter = "(?:[A-Za-z0-9_]|%\(hex){2})", variable = "\(letter)(?:\\.?\(letter))*(?::[1-9][0-9]{0,3}|\\*)?"
        let template = "(?:[^\\x00- \"'%<>\\\\^`{|}\\x7f]|%\(hex){2}|\\{[+#./;?&]?\(variable)(?:,\(variable))*\\})*"
        // RFC 6901
        let pointer = "(?:/(?:[^~/]|~[01])*)*"
        let list: [(String, String)] = [
            ("date", date), ("time", time), ("date-time", "\(date)[tT]\(time)"), ("duration", duration), ("uuid", uuid), ("email", email),
            ("hostname", hostname), ("ipv4", ipv4), ("ipv6", ipv6), ("uri", uri.absolute), ("uri-reference", uri.reference),
            ("iri", iri.absolute), ("iri-reference", iri.reference), ("uri-template", template), ("regex", regularExpression),
            ("idn-email", "\(mailbox)@\(hostname)"), ("idn-hostname", host), ("json-pointer", pointer),
            ("relative-json-pointer", "(?:0|[1-9][0-9]*)(?:#|\(pointer))"),
        ]
        var out: [[UInt8]: (number: Int, expression: [UInt8])] = [:]
        for (number, (name, text)) in list.enumerated() { out[Array(name.utf8)] = (number, Array(text.utf8)) }
        return out
    }()
    /// ucschar of RFC 3987.
    private static let beyondASCII: String = {
        var out = "\\x{A0}-\\x{D7FF}\\x{F900}-\\x{FDCF}\\x{FDF0}-\\x{FFEF}"
        for plane in 1...14 { out += "\\x{\(hexadecimal(plane))\(plane == 14 ? "1" : "0")000}-\\x{\(hexadecimal(plane))FFFD}" }
        return out
    }()
    private static func hexadecimal(_ digit: Int) -> String { String(digit, radix: 16, uppercase: true) }

    /// Addresses with a scheme, and those that may lack one. `more` may stand wherever letters may, `private` in queries only.
    private static func resources(_ hex: String, _ ipv6: String, more: String, private own: String) -> (absolute: String, reference: String) {
        let percent = "%\(hex){2}", letters = "a-zA-Z0-9\\-._~!$&'()*+,;=\(more)"
        let pchar = "(?:[\(letters):@]|\(percent))", queried = own.isEmpty ? "" : "|[\(own)]"
        let port = "(?::[0-9]*)?", literal = "\\[(?:\(ipv6)|[vV]\(hex)+\\.[a-zA-Z0-9\\-._~!$&'()*+,;=:]+)\\]"
        let authority = "(?:(?:[\(letters):]|\(percent))*@)?(?:\(literal)|(?:[\(letters)]|\(percent))*)\(port)"
        let tail = "(?:\\?(?:\(pchar)|[/?]\(queried))*)?(?:#(?:\(pchar)|[/?])*)?"
        let absolutePath = "//\(authority)(?:/\(pchar)*)*|/(?:\(pchar)+(?:/\(pchar)*)*)?"
        let segment = "(?:[\(letters)@]|\(percent))+"
        let absolute = "[a-zA-Z][a-zA-Z0-9+\\-.]*:(?:\(absolutePath)|\(pchar)+(?:/\(pchar)*)*|)\(tail)"
        return (absolute, "(?:\(absolute)|(?:\(absolutePath)|\(segment)(?:/\(pchar)*)*|)\(tail))")
    }

    private static func character(_ byte: UInt8) -> String { "\\x{" + String(byte, radix: 16) + "}" }

    /// Regular expressions that ECMA-262 and every engine beside it takes, with groups in each other up to four deep. Beyond that
    /// it is no regular language; what is outside of this is not offered.
    private static let regularExpression: String = {
        let punctuation = "[!-/:-@\\[-`{-~]", hex = "[0-9a-fA-F]"
        let escape = "\\\\(?:[dDwWsStnrfv0]|\(punctuation)|x\(hex){2}|u\(hex){4})"
        // inside brackets: a range ends no lower than it begins, and a hyphen elsewhere is first or last
        var members = ["[^\\x00-\\x7f]", escape]
        for byte in UInt8(0x20)...0x7E where !"\\]-^".utf8.contains(byte) {
            let code = character(byte)
            var ends = "\(character(max(byte, 0x5F)))-\(character(0x7E))"  // not one of [\]^, which would mean something
            if byte < 0x5B { ends += "\(code)-\(character(0x5A))" }
            members.append("\(code)(?:-[\(ends)])?")
        }
        let list = "\\[\\^?(?:-|-?(?:\(members.joined(separator: "|")))+-?)\\]"
        // times: {m}, {m,} and {m,n} with m no larger than n
        var counts = ["[0-9]{1,3}(?:,)?", "[0-9],[1-9][0-9]{1,2}", "[1-9][0-9],[1-9][0-9]{2}"]
        for digit in 0...9 { counts.append("\(digit),[\(digit)-9]") }
        let times = "(?:(?:[*+?]|\\{(?:\(counts.joined(separator: "|")))\\})\\??)?"
        let plain = "[^\\x00-\\x1f\\\\^$.|?*+()\\[\\]{}\\x7f]|\\.|\(escape)|\(list)"
        var within = "(?:\\||[\\^$]|\\\\[bB]|(?:\(plain))\(times))*"
        for _ in 0..<4 { within = "(?:\\||[\\^$]|\\\\[bB]|(?:\(plain)|\\((?:\\?[:=!])?\(within)\\))\(times))*" }
        return within
    }()
}
