#!/usr/bin/env python3
"""Writes Sources/UnicodeData/unicode_data.c: general categories, scripts, combining classes, decompositions and compositions.

    python3 Tests/tools/make_unicode_tables.py > Sources/UnicodeData/unicode_data.c

Each table is that of the version of Unicode which `tokenizers` has for the same purpose (its expressions 16, its
normalizers 12, its accents 10, its punctuation 8): the library itself is asked about every code point. Needs the packages
`tokenizers` and `unicodedata2` (for combining classes and pairs).
"""
import unicodedata2 as u
from tokenizers import Regex
from tokenizers import normalizers as N
from tokenizers import pre_tokenizers as P

CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
# every script of Unicode 16 but Unknown: its name and its code of ISO 15924
SCRIPTS = """
Adlam Adlm Ahom Ahom Anatolian_Hieroglyphs Hluw Arabic Arab Armenian Armn Avestan Avst Balinese Bali Bamum Bamu Bassa_Vah Bass Batak Batk Bengali
Beng Bhaiksuki Bhks Bopomofo Bopo Brahmi Brah Braille Brai Buginese Bugi Buhid Buhd Canadian_Aboriginal Cans Carian Cari Caucasian_Albanian Aghb
Chakma Cakm Cham Cham Cherokee Cher Chorasmian Chrs Common Zyyy Coptic Copt Cuneiform Xsux Cypriot Cprt Cypro_Minoan Cpmn Cyrillic Cyrl Deseret Dsrt
Devanagari Deva Dives_Akuru Diak Dogra Dogr Duployan Dupl Egyptian_Hieroglyphs Egyp Elbasan Elba Elymaic Elym Ethiopic Ethi Garay Gara Georgian Geor
Glagolitic Glag Gothic Goth Grantha Gran Greek Grek Gujarati Gujr Gunjala_Gondi Gong Gurmukhi Guru Gurung_Khema Gukh Han Hani Hangul Hang
Hanifi_Rohingya Rohg Hanunoo Hano Hatran Hatr Hebrew Hebr Hiragana Hira Imperial_Aramaic Armi Inherited Zinh Inscriptional_Pahlavi Phli
Inscriptional_Parthian Prti Javanese Java Kaithi Kthi Kannada Knda Katakana Kana Kawi Kawi Kayah_Li Kali Kharoshthi Khar Khitan_Small_Script Kits
Khmer Khmr Khojki Khoj Khudawadi Sind Kirat_Rai Krai Lao Laoo Latin Latn Lepcha Lepc Limbu Limb Linear_A Lina Linear_B Linb Lisu Lisu Lycian Lyci
Lydian Lydi Mahajani Mahj Makasar Maka Malayalam Mlym Mandaic Mand Manichaean Mani Marchen Marc Masaram_Gondi Gonm Medefaidrin Medf Meetei_Mayek Mtei
Mende_Kikakui Mend Meroitic_Cursive Merc Meroitic_Hieroglyphs Mero Miao Plrd Modi Modi Mongolian Mong Mro Mroo Multani Mult Myanmar Mymr Nabataean
Nbat Nag_Mundari Nagm Nandinagari Nand New_Tai_Lue Talu Newa Newa Nko Nkoo Nushu Nshu Nyiakeng_Puachue_Hmong Hmnp Ogham Ogam Ol_Chiki Olck Ol_Onal
Onao Old_Hungarian Hung Old_Italic Ital Old_North_Arabian Narb Old_Permic Perm Old_Persian Xpeo Old_Sogdian Sogo Old_South_Arabian Sarb Old_Turkic
Orkh Old_Uyghur Ougr Oriya Orya Osage Osge Osmanya Osma Pahawh_Hmong Hmng Palmyrene Palm Pau_Cin_Hau Pauc Phags_Pa Phag Phoenician Phnx
Psalter_Pahlavi Phlp Rejang Rjng Runic Runr Samaritan Samr Saurashtra Saur Sharada Shrd Shavian Shaw Siddham Sidd SignWriting Sgnw Sinhala Sinh
Sogdian Sogd Sora_Sompeng Sora Soyombo Soyo Sundanese Sund Sunuwar Sunu Syloti_Nagri Sylo Syriac Syrc Tagalog Tglg Tagbanwa Tagb Tai_Le Tale Tai_Tham
Lana Tai_Viet Tavt Takri Takr Tamil Taml Tangsa Tnsa Tangut Tang Telugu Telu Thaana Thaa Thai Thai Tibetan Tibt Tifinagh Tfng Tirhuta Tirh Todhri
Todr Toto Toto Tulu_Tigalari Tutg Ugaritic Ugar Vai Vaii Vithkuqi Vith Wancho Wcho Warang_Citi Wara Yezidi Yezi Yi Yiii Zanabazar_Square Zanb
""".split()
SCRIPTS = list(zip(SCRIPTS[::2], SCRIPTS[1::2]))
HANGUL = range(0xAC00, 0xAC00 + 11172)  # by arithmetic
codes = range(0x110000)


def table(name, kind, values, comment):
    print(f"/* {comment} */\nstatic const {kind} {name}[] = {{")
    for i in range(0, len(values), 12):
        print("    " + " ".join(f"0x{v:X}," for v in values[i : i + 12]))
    print("};\n")


print("/* Made by Tests/tools/make_unicode_tables.py; do not edit. */")
print('#include "unicode_data.h"\n')

everything = "".join(chr(c) for c in codes if not 0xD800 <= c < 0xE000)
letters = list(everything)


def matched(expression):
    kept = set(N.Replace(Regex(expression), "").normalize_str(everything))
    return {ord(c) for c in letters if c not in kept}


def ranges_of(members):
    ranges = []
    for code in sorted(members):
        if ranges and ranges[-1] == code - 1:
            ranges[-1] = code
        else:
            ranges += [code, code]
    return ranges


category = dict.fromkeys(codes, CATEGORIES.index("Cn"))
for i, name in enumerate(CATEGORIES[:-1]):
    for code in range(0xD800, 0xE000) if name == "Cs" else matched(rf"\p{{{name}}}"):
        category[code] = i
boundaries, previous = [], None
for code in codes:
    if category[code] != previous:
        boundaries.append(code << 5 | category[code])
        previous = category[code]
table("categories", "uint32_t", boundaries, "first code point << 5 | category, where it changes; categories in the order of the header")

starts, ranges = [0], []
for script, _ in SCRIPTS:
    ranges += ranges_of(matched(rf"\p{{{script}}}"))
    starts.append(len(ranges) // 2)
table("scripts", "uint32_t", ranges, "first and last code point of each range, script after script")
table("script_starts", "uint32_t", starts, "where each script's ranges begin, and the end")
for what, names in zip(("names", "codes"), zip(*SCRIPTS)):
    print(f"static const char *const script_{what}[] = {{")
    for i in range(0, len(names), 8):
        print("    " + " ".join(f'"{name}",' for name in names[i : i + 8]))
    print("};\n")

accents, clean = N.StripAccents(), N.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True, lowercase=False)
punctuation = P.Punctuation(behavior="removed")
marks = {ord(c) for c in letters if accents.normalize_str(c) == ""}
kinds = {
    "word": (matched(r"\w"), "Oniguruma's word characters"), "mark": (marks, "combining marks of StripAccents"),
    "nonspacing": ({ord(c) for c in letters if clean.normalize_str(c) == ""}, "nonspacing marks of BertNormalizer"),
    "punctuation": ({ord(c) for c in letters if not punctuation.pre_tokenize_str(c)}, "what Punctuation splits at"),
}  # fmt: skip
for name, (members, comment) in kinds.items():
    table(name, "uint32_t", ranges_of(members), f"first and last code point of each range: {comment}")

table("combining", "uint32_t", [c << 8 | u.combining(chr(c)) for c in sorted(marks) if u.combining(chr(c))], "code point << 8 | canonical combining class, where not 0")

data, canonical, compatible = [], [], []
forms = {name: getattr(N, name)() for name in ("NFD", "NFKD", "NFC")}
for code in codes:
    if code in HANGUL or 0xD800 <= code < 0xE000:
        continue
    nfd, nfkd = forms["NFD"].normalize_str(chr(code)), forms["NFKD"].normalize_str(chr(code))
    for text, form, plain in ((nfd, canonical, chr(code)), (nfkd, compatible, nfd)):
        if text != plain:
            form.append((code, len(data), len(text)))
            data += map(ord, text)
table("decomposed", "uint32_t", data, "full decompositions, end to end, in canonical order")
for name, form, comment in (("canonical", canonical, "code point << 32 | place in decomposed << 8 | length: NFD"), ("compatible", compatible, "the same where NFKD is another")):
    table(name, "uint64_t", [c << 32 | place << 8 | length for c, place, length in form], comment)

pairs = []
for code in codes:
    parts = u.decomposition(chr(code)).split()
    if len(parts) == 2 and not parts[0].startswith("<") and code not in HANGUL:
        first, second = (int(x, 16) for x in parts)
        if forms["NFC"].normalize_str(chr(first) + chr(second)) == chr(code):
            pairs.append((first << 21 | second, code))
pairs.sort()
table("composition_keys", "uint64_t", [key for key, _ in pairs], "first << 21 | second, ascending")
table("compositions", "uint32_t", [code for _, code in pairs], "what each pair composes to")

for name, kind in (("categories", "uint32_t"), *((k, "uint32_t") for k in kinds), ("combining", "uint32_t"), ("canonical", "uint64_t"), ("compatible", "uint64_t"), ("composition_keys", "uint64_t")):
    print(f"l2s_unicode_table{'64' if kind == 'uint64_t' else '32'} l2s_unicode_{name}(void) {{\n    l2s_unicode_table{'64' if kind == 'uint64_t' else '32'} t = {{{name}, sizeof {name} / sizeof {name}[0]}};\n    return t;\n}}\n")
print("const uint32_t *l2s_unicode_decomposed(void) { return decomposed; }\n")
print("const uint32_t *l2s_unicode_compositions(void) { return compositions; }\n")
print("int32_t l2s_unicode_script_count(void) { return sizeof script_names / sizeof script_names[0]; }\n")
for what in ("name", "code"):
    print(f"const char *l2s_unicode_script_{what}(int32_t i) {{ return script_{what}s[i]; }}\n")
print("l2s_unicode_table32 l2s_unicode_script(int32_t i) {\n    l2s_unicode_table32 t = {scripts + 2 * script_starts[i], 2 * (script_starts[i + 1] - script_starts[i])};\n    return t;\n}")
