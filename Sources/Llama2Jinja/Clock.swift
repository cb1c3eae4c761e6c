internal import Glibc
internal import Llama2Core

/// A moment, for `strftime_now`: seconds since 1970 of a calendar without zones.
struct Clock {
    let seconds: Int
    var microseconds = 0

    /// The system's clock, UTC.
    static func system() -> Clock {
        var now = timespec()
        guard clock_gettime(CLOCK_REALTIME, &now) == 0 else { return Clock(seconds: 0) }
        return Clock(seconds: now.tv_sec, microseconds: now.tv_nsec / 1000)
    }

    private struct Civil {
        var year = 0, month = 0, day = 0, weekday = 0, yearday = 0, hour = 0, minute = 0, second = 0
    }

    /// Days of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms": years of March to
    /// February in eras of 400).
    private var civil: Civil {
        var out = Civil()
        var days = seconds / 86400, rest = seconds % 86400
        if rest < 0 {
            rest += 86400
            days -= 1
        }
        (out.hour, out.minute, out.second) = (rest / 3600, rest / 60 % 60, rest % 60)
        out.weekday = ((days % 7) + 11) % 7  // 1970 began on a Thursday
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        out.day = dayOfYear - (153 * month + 2) / 5 + 1
        out.month = month < 10 ? month + 3 : month - 9
        out.year = yearOfEra + era * 400 + (out.month <= 2 ? 1 : 0)
        let isLeap = out.year % 4 == 0 && (out.year % 100 != 0 || out.year % 400 == 0)
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        out.yearday = before[out.month - 1] + out.day - 1 + (isLeap && out.month > 2 ? 1 : 0)
        return out
    }

    private static let days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = [
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
    ]

    /// C's strftime in the C locale, with glibc's "-", "_", "0" and "^".
    func text(_ format: [Unit]) throws(Llama2Error) -> [Unit] {
        guard format.count <= 4096, (-62_135_596_800..<253_402_300_800).contains(seconds) else {
            throw Failure.because("a format of more than 4096 bytes, or a time outside the years 1 to 9999")
        }
        let now = civil
        var out: [Unit] = [], at = 0
        while at < format.count {
            guard format[at].byte == 0x25, at + 1 < format.count else {
                out.append(format[at])
                at += 1
                continue
            }
            at += 1
            var flag: UInt8 = 0
            if [0x2d, 0x5f, 0x30, 0x5e].contains(format[at].byte), at + 1 < format.count {
                flag = format[at].byte
                at += 1
            }
            guard var text = try directive(format[at].byte, flag, now) else {
                throw Failure.unsupported("%\(Failure.shown([format[at].byte])) of strftime_now")
            }
            if flag == 0x5e { text = text.uppercased() }
            out += units(text).map { $0 | (format[at] & ~0xff) }
            at += 1
        }
        return out
    }

    private func directive(_ letter: UInt8, _ flag: UInt8, _ now: Civil) throws(Llama2Error) -> String? {
        func number(_ value: Int, _ width: Int, _ pad: UInt8 = 0x30) -> String {
            let digits = String(value)
            let pad = flag == 0x5f ? 0x20 : flag == 0x30 ? 0x30 : pad
            guard flag != 0x2d else { return digits }
            return String(repeating: pad == 0x20 ? " " : "0", count: max(0, width - digits.utf8.count)) + digits
        }
        func all(_ format: StaticString) throws(Llama2Error) -> String {
            String(decoding: try text(units(format)).map(\.byte), as: UTF8.self)
        }
        let hour = now.hour % 12 == 0 ? 12 : now.hour % 12
        switch letter {
        case UInt8(ascii: "a"): return String(Clock.days[now.weekday].prefix(3))
        case UInt8(ascii: "A"): return Clock.days[now.weekday]
        case UInt8(ascii: "b"), UInt8(ascii: "h"): return String(Clock.months[now.month - 1].prefix(3))
        case UInt8(ascii: "B"): return Clock.months[now.month - 1]
        case UInt8(ascii: "c"): return try all("%a %b %e %H:%M:%S %Y")
        case UInt8(ascii: "C"): return number(now.year / 100, 2)
        case UInt8(ascii: "d"): return number(now.day, 2)
        case UInt8(ascii: "D"), UInt8(ascii: "x"): return try all("%m/%d/%y")
        case UInt8(ascii: "e"): return number(now.day, 2, 0x20)
        case UInt8(ascii: "f"): return String(repeating: "0", count: max(0, 6 - String(microseconds).utf8.count)) + String(microseconds)
        case UInt8(ascii: "F"): return try all("%Y-%m-%d")
        case UInt8(ascii: "G"): return number(isoWeek(now).year, 4)
        case UInt8(ascii: "g"): return number(isoWeek(now).year % 100, 2)
        case UInt8(ascii: "H"): return number(now.hour, 2)
        case UInt8(ascii: "I"): return number(hour, 2)
        case UInt8(ascii: "j"): return number(now.yearday + 1, 3)
        case UInt8(ascii: "k"): return number(now.hour, 2, 0x20)
        case UInt8(ascii: "l"): return number(hour, 2, 0x20)
        case UInt8(ascii: "m"): return number(now.month, 2)
        case UInt8(ascii: "M"): return number(now.minute, 2)
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "p"): return now.hour < 12 ? "AM" : "PM"
        case UInt8(ascii: "P"): return now.hour < 12 ? "am" : "pm"
        case UInt8(ascii: "r"): return try all("%I:%M:%S %p")
        case UInt8(ascii: "R"): return try all("%H:%M")
        case UInt8(ascii: "S"): return number(now.second, 2)
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "T"), UInt8(ascii: "X"): return try all("%H:%M:%S")
        case UInt8(ascii: "u"): return String(now.weekday == 0 ? 7 : now.weekday)
        case UInt8(ascii: "U"): return number((now.yearday + 7 - now.weekday) / 7, 2)
        case UInt8(ascii: "V"): return number(isoWeek(now).week, 2)
        case UInt8(ascii: "w"): return String(now.weekday)
        case UInt8(ascii: "W"): return number((now.yearday + 7 - (now.weekday + 6) % 7) / 7, 2)
        case UInt8(ascii: "y"): return number(now.year % 100, 2)
        // Python prints years before 1000 without zeros, as glibc does
        case UInt8(ascii: "Y"): return String(now.year)
        case UInt8(ascii: "z"), UInt8(ascii: "Z"): return ""
        case UInt8(ascii: "%"): return "%"
        default: return nil
        }
    }

    /// ISO 8601: week 1 has the year's first Thursday.
    private func isoWeek(_ now: Civil) -> (year: Int, week: Int) {
        func weeks(_ year: Int) -> Int {
            func lastDay(_ year: Int) -> Int { (year + year / 4 - year / 100 + year / 400) % 7 }
            return lastDay(year) == 4 || lastDay(year - 1) == 3 ? 53 : 52
        }
        let weekday = now.weekday == 0 ? 7 : now.weekday
        let week = (now.yearday + 1 - weekday + 10) / 7
        if week < 1 { return (now.year - 1, weeks(now.year - 1)) }
        if week > weeks(now.year) { return (now.year + 1, 1) }
        return (now.year, week)
    }
}
