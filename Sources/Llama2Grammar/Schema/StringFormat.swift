/// The formats of JSON Schema (2020-12, section 7.3) that are asserted, as expressions; all others are annotations.
enum StringFormat {
    static func expression(_ name: [UInt8]) -> [UInt8]? { table[name] }

    private static let table: [[UInt8]: [UInt8]] = {
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
        // RFC 3986
        let unreserved = "[a-zA-Z0-9\\-._~!$&'()*+,;=]", percent = "%\(hex){2}"
        let pchar = "(?:[a-zA-Z0-9\\-._~!$&'()*+,;=:@]|\(percent))"
        let authority = "(?:(?:[a-zA-Z0-9\\-._~!$&'()*+,;=:]|\(percent))*@)?(?:\\[(?:\(ipv6)|[vV]\(hex)+\\.[a-zA-Z0-9\\-._~!$&'()*+,;=:]+)\\]|(?:\(unreserved)|\(percent))*)(?::[0-9]*)?"
        let tail = "(?:\\?(?:\(pchar)|[/?])*)?(?:#(?:\(pchar)|[/?])*)?"
        let hierarchy = "(?://\(authority)(?:/\(pchar)*)*|/(?:\(pchar)+(?:/\(pchar)*)*)?|\(pchar)+(?:/\(pchar)*)*|)"
        let segment = "(?:[a-zA-Z0-9\\-._~!$&'()*+,;=@]|\(percent))+"
        let relative = "(?://\(authority)(?:/\(pchar)*)*|/(?:\(pchar)+(?:/\(pchar)*)*)?|\(segment)(?:/\(pchar)*)*|)"
        let uri = "[a-zA-Z][a-zA-Z0-9+\\-.]*:\(hierarchy)\(tail)"
        // RFC 6901
        let pointer = "(?:/(?:[^~/]|~[01])*)*"
        let list: [(String, String)] = [
            ("date", date), ("time", time), ("date-time", "\(date)[tT]\(time)"), ("duration", duration), ("uuid", uuid), ("email", email),
            ("hostname", hostname), ("ipv4", ipv4), ("ipv6", ipv6), ("uri", uri), ("uri-reference", "(?:\(uri)|\(relative)\(tail))"),
            ("json-pointer", pointer), ("relative-json-pointer", "(?:0|[1-9][0-9]*)(?:#|\(pointer))"),
        ]
        var out: [[UInt8]: [UInt8]] = [:]
        for (name, text) in list { out[Array(name.utf8)] = Array(text.utf8) }
        return out
    }()
}
