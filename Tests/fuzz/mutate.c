/* Mutators that know where a format has its counts, lengths and offsets, so that a change gets past the first check.
   Each reads its input leniently, since that may be any bytes at all, and falls back to libFuzzer's own mutations. */
#include "fuzz.h"

/* ---- Chance --------------------------------------------------------------------------------- */

static uint64_t state;
static void begin(unsigned seed) { state = seed * 0x9e3779b97f4a7c15u + 1; }
static uint64_t dice(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}
static size_t below(size_t n) { return n ? (size_t)(dice() % n) : 0; }

/* Numbers that break arithmetic, or nearly. */
static uint64_t number(size_t size) {
    static const uint64_t hard[] = {0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 64, 127, 128, 255, 256, 257, 1 << 10, 32767, 32768, 65535, 65536,
                                    1 << 20, 1u << 30, 0x7fffffff, 0x80000000, 0xffffffff, 1ull << 32, 1ull << 40, 1ull << 61, 1ull << 62,
                                    (1ull << 62) - 1, 1ull << 63, (1ull << 63) - 1, ~0ull, ~0ull - 1, ~0ull - 31, ~0ull - 7};
    switch (below(8)) {
    case 0: return size - below(4);
    case 1: return below(size + 1);
    case 2: return dice() >> below(64);
    case 3: return below(20);
    default: return hard[below(sizeof hard / sizeof *hard)];
    }
}

static uint64_t get(const uint8_t *p, size_t width) {
    uint64_t value = 0;
    memcpy(&value, p, width);
    return value;
}
static void set(uint8_t *p, uint64_t value, size_t width) { memcpy(p, &value, width); }

/* Replaces `old` bytes at `at` by `count` others. 0 when there is no room. */
static size_t splice(uint8_t *data, size_t size, size_t room, size_t at, size_t old, const uint8_t *bytes, size_t count) {
    if (at + old > size || size - old + count > room) return 0;
    memmove(data + at + count, data + at + old, size - at - old);
    if (count) memcpy(data + at, bytes, count);
    return size - old + count;
}

static uint8_t scratch[1 << 20];

/* libFuzzer's mutations on a part, which may grow. Returns the new size of everything, 0 when there is no room;
   *now: the new size of the part. */
static size_t mutate_part(uint8_t *data, size_t size, size_t room, size_t at, size_t count, size_t *now) {
    if (at + count > size || count > sizeof scratch / 2) return 0;
    memcpy(scratch, data + at, count);
    *now = LLVMFuzzerMutate(scratch, count, count + 64);
    return splice(data, size, room, at, count, scratch, *now);
}

/* ---- GGUF ----------------------------------------------------------------------------------- */

typedef struct field { size_t at, width; size_t text; } field; /* text: bytes that follow a length, else 0 */
typedef struct gguf {
    field fields[1024];
    size_t count;
    size_t keys[258], tensors[258]; /* where entries begin, and one more: where the last ends */
    size_t key_count, tensor_count, end, alignment;
} gguf;

static int add_field(gguf *g, size_t at, size_t width, size_t text, size_t size) {
    if (at + width > size || text > size - at - width) return 0;
    if (g->count < 1024) g->fields[g->count++] = (field){at, width, text};
    return 1;
}

/* Sets g->end to the end of what could be read of the directory. */
static void scan_gguf(gguf *g, const uint8_t *data, size_t size) {
    static const uint8_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    memset(g, 0, sizeof *g);
    g->alignment = 32;
    if (size < 24) return;
    size_t w = get(data + 4, 4) == 1 ? 4 : 8, at = 8 + 2 * w;
    uint64_t tensors = get(data + 8, w), keys = get(data + 8 + w, w);
    add_field(g, 4, 4, 0, size);
    add_field(g, 8, w, 0, size);
    add_field(g, 8 + w, w, 0, size);
    g->end = at;
#define NEED(n) if (at + (n) > size || at + (n) < at) return
#define STRING() do { NEED(w); uint64_t n = get(data + at, w); if (n > size) return; if (!add_field(g, at, w, (size_t)n, size)) return; at += w + (size_t)n; } while (0)
    for (uint64_t i = 0; i < keys && i < 256; i++) {
        g->keys[g->key_count] = at;
        size_t key = at + w;
        STRING();
        NEED(4);
        uint64_t type = get(data + at, 4);
        add_field(g, at, 4, 0, size);
        at += 4;
        if (type == 8) {
            STRING();
        } else if (type == 9) {
            NEED(4 + w);
            uint64_t element = get(data + at, 4), n = get(data + at + 4, w);
            add_field(g, at, 4, 0, size);
            add_field(g, at + 4, w, 0, size);
            at += 4 + w;
            if (n > size) return;
            for (uint64_t k = 0; k < n; k++) {
                if (element == 8) {
                    STRING();
                } else {
                    if (element > 12 || !widths[element]) return;
                    if (!add_field(g, at, widths[element], 0, size)) return;
                    at += widths[element];
                }
            }
        } else {
            if (type > 12) return;
            if (!add_field(g, at, widths[type], 0, size)) return;
            if (size - key > 17 && memcmp(data + key, "general.alignment", 17) == 0 && type == 4) g->alignment = get(data + at, 4);
            at += widths[type];
        }
        g->keys[++g->key_count] = at;
        g->end = at;
    }
    for (uint64_t i = 0; i < tensors && i < 256; i++) {
        g->tensors[g->tensor_count] = at;
        STRING();
        NEED(4);
        uint64_t n = get(data + at, 4);
        add_field(g, at, 4, 0, size);
        at += 4;
        if (n > 8) return;
        for (uint64_t k = 0; k < n; k++, at += w)
            if (!add_field(g, at, w, 0, size)) return;
        if (!add_field(g, at, 4, 0, size) || !add_field(g, at + 4, 8, 0, size)) return;
        at += 12;
        g->tensors[++g->tensor_count] = at;
        g->end = at;
    }
#undef STRING
#undef NEED
}

/* The directory has grown or shrunk from `old` to `end`: the data moves to its new aligned place. */
static size_t pad_again(uint8_t *data, size_t size, size_t room, size_t old, size_t end, size_t alignment) {
    static const uint8_t zeros[4096];
    if (alignment == 0 || alignment > sizeof zeros) alignment = 32;
    size_t before = (alignment - old % alignment) % alignment, after = (alignment - end % alignment) % alignment;
    if (end > size) return size;
    if (before > size - end) before = size - end;
    size_t padded = splice(data, size, room, end, before, zeros, after);
    return padded ? padded : size;
}

size_t mutate_gguf(uint8_t *data, size_t size, size_t room, unsigned seed) {
    static gguf g;
    size_t now = 0, changed = 0, end;
    begin(seed);
    scan_gguf(&g, data, size);
    if (g.count < 4) return LLVMFuzzerMutate(data, size, room);
    field *f = &g.fields[below(g.count)];
    size_t w = get(data + 4, 4) == 1 ? 4 : 8;
    switch (below(12)) {
    case 0: return LLVMFuzzerMutate(data, size, room);
    case 1: case 2: case 3: case 4: /* a number */
        set(data + f->at, number(size), f->width);
        return size;
    case 5: case 6: case 7: /* a text, with its length */
        for (int i = 0; i < 16 && !f->text; i++) f = &g.fields[below(g.count)];
        if (!f->text) return LLVMFuzzerMutate(data, size, room);
        changed = mutate_part(data, size, room, f->at + f->width, f->text, &now);
        if (!changed) return size;
        set(data + f->at, now, f->width);
        return pad_again(data, changed, room, g.end, g.end + now - f->text, g.alignment);
    case 8: case 9: { /* an entry twice, or not at all */
        int tensor = g.tensor_count && (below(2) || !g.key_count);
        size_t n = tensor ? g.tensor_count : g.key_count, *starts = tensor ? g.tensors : g.keys;
        if (!n) return size;
        size_t i = below(n), start = starts[i], length = starts[i + 1] - start, count_at = tensor ? 8 : 8 + w;
        if (below(2)) {
            if (length > sizeof scratch) return size;
            memcpy(scratch, data + start, length);
            size_t to = starts[below(n + 1)];
            changed = splice(data, size, room, to, 0, scratch, length);
            end = g.end + length;
        } else {
            changed = splice(data, size, room, start, length, NULL, 0);
            end = g.end - length;
            length = 0;
        }
        if (!changed) return size;
        if (below(8)) set(data + count_at, get(data + count_at, w) + (length ? 1 : (uint64_t)-1), w);
        return pad_again(data, changed, room, g.end, end, g.alignment);
    }
    case 10: /* the directory, in place */
        if (g.end > sizeof scratch) return size;
        memcpy(scratch, data, g.end);
        LLVMFuzzerMutate(scratch, g.end, g.end);
        memcpy(data, scratch, g.end);
        return size;
    default: /* a weight */
        if (size < g.end + 8) return LLVMFuzzerMutate(data, size, room);
        set(data + g.end + below(size - g.end - 4), below(2) ? 0x7fc00000u >> below(2) * 16 : dice(), 4);
        return size;
    }
}

/* ---- JSON ----------------------------------------------------------------------------------- */

/* The end of the value that begins at `at`: a text, a number or word, or everything between brackets. */
static size_t value_end(const uint8_t *s, size_t size, size_t at) {
    size_t depth = 0;
    for (; at < size; at++) {
        uint8_t c = s[at];
        if (c == '"') {
            for (at++; at < size && s[at] != '"'; at++)
                if (s[at] == '\\') at++;
            if (depth == 0) return at < size ? at + 1 : size;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth <= 1) return at + 1;
            depth--;
        } else if (depth == 0) {
            while (at < size && !strchr(",]}: \n", s[at])) at++;
            return at;
        }
    }
    return size;
}

/* Where values and keys begin. */
static size_t value_starts(const uint8_t *s, size_t size, size_t *starts, size_t most) {
    size_t count = 0;
    for (size_t at = 0; at < size && count < most;) {
        if (strchr(" \n\r\t,:]}", s[at])) {
            at++;
            continue;
        }
        starts[count++] = at;
        at = s[at] == '{' || s[at] == '[' ? at + 1 : value_end(s, size, at);
    }
    return count;
}

size_t mutate_json(uint8_t *data, size_t size, size_t room, unsigned seed) {
    static const char *const values[] = {
        "0", "1", "-1", "2", "4", "8", "16", "32", "64", "1.5", "1e5", "1e308", "1e309", "-0", "9007199254740992", "9007199254740994", "4294967296",
        "2147483648", "9223372036854775807", "9223372036854775808", "1e-400", "null", "true", "false", "\"\"", "[]", "{}", "[0]", "[[[]]]",
        "\"a\"", "\"\\u0000\"", "\"\\ud83d\\ude00\"", "\"\\ud83d\"", "\"\\b\\f\\n\\r\\t\\/\\\\\"", "[1,2]", "[2,3]", "{\"a\":{\"a\":1}}",
        "\"linear\"", "\"llama3\"", "\"dynamic\"", "\"default\"", "\"BPE\"", "\"Unigram\"", "\"BF16\"", "\"F16\"", "\"F32\"", "\"I8\"", "\"Digits\"",
        "\"Split\"", "\"Sequence\"", "\"TemplateProcessing\"", "\"<0x41>\"", "\"<unk>\"", "\"a b\"", "\"\\u0120t\""};
    static size_t starts[4096];
    begin(seed);
    size_t n = value_starts(data, size, starts, 4096);
    if (n == 0 || below(6) == 0) return LLVMFuzzerMutate(data, size, room);
    size_t at = starts[below(n)], end = value_end(data, size, at), changed = 0, now;
    const char *value = values[below(sizeof values / sizeof *values)];
    switch (below(5)) {
    case 0: /* the inside of a text */
        for (int i = 0; i < 8 && data[at] != '"'; i++) at = starts[below(n)];
        end = value_end(data, size, at);
        if (data[at] == '"' && end - at >= 2) changed = mutate_part(data, size, room, at + 1, end - at - 2, &now);
        break;
    case 1: case 2:
        changed = splice(data, size, room, at, end - at, (const uint8_t *)value, strlen(value));
        break;
    case 3: { /* another value of the same text */
        size_t other = starts[below(n)], length = value_end(data, size, other) - other;
        if (length > sizeof scratch) break;
        memcpy(scratch, data + other, length);
        changed = splice(data, size, room, at, end - at, scratch, length);
        break;
    }
    default: { /* a member or element again, or gone with its comma */
        size_t stop = end;
        while (stop < size && (data[stop] == ' ' || data[stop] == ':')) stop++;
        if (stop > end && stop < size) end = value_end(data, size, stop);
        if (below(2)) {
            size_t length = end - at;
            if (length + 1 > sizeof scratch) break;
            scratch[0] = ',';
            memcpy(scratch + 1, data + at, length);
            changed = splice(data, size, room, end, 0, scratch, length + 1);
        } else {
            if (end < size && data[end] == ',') end++;
            changed = splice(data, size, room, at, end - at, NULL, 0);
        }
    }
    }
    return changed ? changed : size;
}

size_t mutate_safetensors(uint8_t *data, size_t size, size_t room, unsigned seed) {
    static uint8_t header[1 << 16];
    begin(seed);
    uint64_t length = size >= 8 ? get(data, 8) : 0;
    if (size < 9 || length > size - 8 || length > sizeof header / 2 || below(8) == 0) return LLVMFuzzerMutate(data, size, room);
    switch (below(8)) {
    case 0:
        set(data, below(2) ? length + below(9) - 4 : number(size), 8);
        return size;
    case 1: /* the data longer or shorter, or a weight that is no number */
        if (below(2)) return size - below(size - 8 - (size_t)length + 1);
        if (size > 16 + length) set(data + 8 + length + below(size - 12 - (size_t)length), below(2) ? 0x7f800000 : 0x7fc07fc0, 4);
        return size;
    }
    memcpy(header, data + 8, (size_t)length);
    size_t most = sizeof header;
    size_t now = mutate_json(header, (size_t)length, most, (unsigned)dice());
    size_t changed = splice(data, size, room, 8, (size_t)length, header, now);
    if (!changed) return size;
    set(data, now, 8);
    return changed;
}

/* ---- Zip with a pickle ---------------------------------------------------------------------- */

typedef struct entry { const uint8_t *name, *data; size_t name_size, size; } entry;
#define MOST_ENTRIES 64

/* Where the end record lies; size when there is none. */
static size_t end_record(const uint8_t *data, size_t size) {
    for (size_t at = size < 22 ? 0 : size - 21; at-- > 0;)
        if (get(data + at, 4) == 0x06054b50) return at;
    return size;
}

static size_t scan_zip(const uint8_t *data, size_t size, entry *entries) {
    size_t end = end_record(data, size), count = 0;
    if (end == size) return 0;
    size_t at = (size_t)get(data + end + 16, 4);
    while (count < MOST_ENTRIES && at + 46 <= size && get(data + at, 4) == 0x02014b50) {
        size_t name = (size_t)get(data + at + 28, 2), more = (size_t)(get(data + at + 30, 2) + get(data + at + 32, 2));
        size_t length = (size_t)get(data + at + 24, 4), header = (size_t)get(data + at + 42, 4);
        if (at + 46 + name > size || header + 30 > size) break;
        size_t start = header + 30 + (size_t)(get(data + header + 26, 2) + get(data + header + 28, 2));
        if (start > size || length > size - start) break;
        entries[count++] = (entry){data + at + 46, data + start, name, length};
        at += 46 + name + more;
    }
    return count;
}

/* The archive of these entries, stored; with zip64's records when asked for. 0 when there is no room. */
static size_t write_zip(uint8_t *out, size_t room, const entry *entries, size_t count, int wide) {
    size_t at = 0, offsets[MOST_ENTRIES + 1];
#define PUT(value, width) do { if (at + (width) > room) return 0; set(out + at, (value), (width)); at += (width); } while (0)
#define COPY(bytes, n) do { if (at + (n) > room) return 0; if (n) memcpy(out + at, (bytes), (n)); at += (n); } while (0)
    for (size_t i = 0; i < count; i++) {
        offsets[i] = at;
        PUT(0x04034b50, 4); PUT(10, 2); PUT(0, 8); PUT(0, 8); PUT(0, 4);
        set(out + offsets[i] + 18, entries[i].size, 4);
        set(out + offsets[i] + 22, entries[i].size, 4);
        PUT(entries[i].name_size, 2); PUT(0, 2);
        COPY(entries[i].name, entries[i].name_size);
        COPY(entries[i].data, entries[i].size);
    }
    size_t directory = at;
    for (size_t i = 0; i < count; i++) {
        PUT(0x02014b50, 4); PUT(10, 2); PUT(10, 2); PUT(0, 8); PUT(0, 4);
        PUT(wide ? 0xffffffff : entries[i].size, 4); PUT(wide ? 0xffffffff : entries[i].size, 4);
        PUT(entries[i].name_size, 2); PUT(wide ? 28 : 0, 2); PUT(0, 2); PUT(0, 8);
        PUT(wide ? 0xffffffff : offsets[i], 4);
        COPY(entries[i].name, entries[i].name_size);
        if (wide) { PUT(1, 2); PUT(24, 2); PUT(entries[i].size, 8); PUT(entries[i].size, 8); PUT(offsets[i], 8); }
    }
    size_t length = at - directory;
    if (wide) {
        size_t record = at;
        PUT(0x06064b50, 4); PUT(44, 8); PUT(45, 2); PUT(45, 2); PUT(0, 8); PUT(count, 8); PUT(count, 8); PUT(length, 8); PUT(directory, 8);
        PUT(0x07064b50, 4); PUT(0, 4); PUT(record, 8); PUT(1, 4);
    }
    PUT(0x06054b50, 4); PUT(0, 4); PUT(count, 2); PUT(count, 2); PUT(length, 4); PUT(wide ? 0xffffffff : directory, 4); PUT(0, 2);
#undef PUT
#undef COPY
    return at;
}

/* A pickle with an instruction more, or changed by libFuzzer. */
static size_t mutate_pickle(uint8_t *data, size_t size, size_t room) {
#define OP(text) {text, sizeof text - 1}
    static const struct { const char *bytes; size_t size; } ops[] = {
        OP("N"), OP("("), OP("t"), OP(")"), OP("\x85"), OP("\x86"), OP("\x87"), OP("}"), OP("]"), OP("s"), OP("u"), OP("0"), OP("R"), OP("Q"), OP("b"), OP("."),
        OP("\x88"), OP("\x89"), OP("K\1"), OP("K\0"), OP("M\0\1"), OP("J\xff\xff\xff\xff"), OP("\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"),
        OP("\x8a\0"), OP("\x8a\x09\0\0\0\0\0\0\0\0\1"), OP("h\0"), OP("h\1"), OP("h\2"), OP("q\0"), OP("r\0\0\0\0"), OP("j\1\0\0\0"), OP("\x94"), OP("\x93"),
        OP("X\1\0\0\0a"), OP("\x8c\1a"), OP("ccollections\nOrderedDict\n"), OP("ctorch._utils\n_rebuild_tensor_v2\n"), OP("ctorch\nHalfStorage\n"),
        OP("ctorch._utils\n_rebuild_parameter\n"), OP("ctorch\nBFloat16Storage\n"), OP("\x8c\5torch\x8c\xcFloatStorage\x93"), OP("}q\0h\0h\0s")};
#undef OP
    size_t i = below(sizeof ops / sizeof *ops), at = below(size + 1), old = below(3) ? 0 : below(4);
    if (below(3) == 0) return LLVMFuzzerMutate(data, size, room);
    if (at + old > size) old = size - at;
    size_t changed = splice(data, size, room, at, old, (const uint8_t *)ops[i].bytes, ops[i].size);
    return changed ? changed : size;
}

size_t mutate_zip(uint8_t *data, size_t size, size_t room, unsigned seed) {
    static const uint8_t directory_fields[][2] = {{8, 2}, {10, 2}, {20, 4}, {24, 4}, {28, 2}, {30, 2}, {32, 2}, {42, 4}};
    static const uint8_t end_fields[][2] = {{8, 2}, {10, 2}, {12, 4}, {16, 4}, {20, 2}};
    static uint8_t out[1 << 20], changed_data[1 << 16];
    entry entries[MOST_ENTRIES];
    begin(seed);
    size_t count = scan_zip(data, size, entries), end = end_record(data, size);
    if (count == 0 || below(8) == 0) return LLVMFuzzerMutate(data, size, room);
    if (below(4) == 0) { /* a field of the directory */
        size_t at = (size_t)get(data + end + 16, 4);
        for (size_t skip = below(count); skip > 0 && at + 46 < size; skip--)
            at += 46 + (size_t)(get(data + at + 28, 2) + get(data + at + 30, 2) + get(data + at + 32, 2));
        if (below(3) == 0 || at + 46 > size) {
            const uint8_t *f = end_fields[below(5)];
            set(data + end + f[0], number(size), f[1]);
        } else {
            const uint8_t *f = directory_fields[below(8)];
            set(data + at + f[0], number(size), f[1]);
        }
        return size;
    }
    /* an entry: the pickle mostly; gone, again, renamed or changed */
    size_t which = below(count);
    for (size_t i = 0; i < count && below(4); i++)
        if (entries[i].name_size >= 8 && memcmp(entries[i].name + entries[i].name_size - 8, "data.pkl", 8) == 0) which = i;
    entry *e = &entries[which];
    int is_pickle = e->name_size >= 8 && memcmp(e->name + e->name_size - 8, "data.pkl", 8) == 0;
    if (below(24) == 0) {
        entries[which] = entries[--count];
    } else if (below(24) == 0 && count < MOST_ENTRIES) {
        entries[count++] = *e;
    } else if (e->size < sizeof changed_data / 2) {
        memcpy(changed_data, e->data, e->size);
        e->size = is_pickle ? mutate_pickle(changed_data, e->size, sizeof changed_data / 2) : LLVMFuzzerMutate(changed_data, e->size, e->size + 8);
        e->data = changed_data;
    }
    size_t now = write_zip(out, room < sizeof out ? room : sizeof out, entries, count, below(8) == 0);
    if (!now) return size;
    memcpy(data, out, now);
    return now;
}

/* ---- Protocol Buffers ----------------------------------------------------------------------- */

static size_t varint(const uint8_t *s, size_t size, size_t *at) {
    uint64_t value = 0;
    for (unsigned shift = 0; *at < size && shift < 64; shift += 7) {
        uint8_t byte = s[(*at)++];
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) break;
    }
    return (size_t)value;
}

static size_t put_varint(uint8_t *out, uint64_t value) {
    size_t n = 0;
    for (; value > 127; value >>= 7) out[n++] = (uint8_t)(value | 128);
    out[n++] = (uint8_t)value;
    return n;
}

/* Fields with a length, as {start of the field, start of its content, end}. */
static size_t scan_protobuf(const uint8_t *s, size_t size, size_t (*fields)[3], size_t most) {
    size_t at = 0, count = 0;
    while (at < size && count < most) {
        size_t start = at, tag = varint(s, size, &at), length = 0;
        switch (tag & 7) {
        case 0: varint(s, size, &at); continue;
        case 1: at += 8; continue;
        case 2: length = varint(s, size, &at); break;
        case 5: at += 4; continue;
        default: return count;
        }
        if (length > size - (at < size ? at : size)) return count;
        fields[count][0] = start;
        fields[count][1] = at;
        fields[count++][2] = at += length;
    }
    return count;
}

/* A field with a length, at any of two depths: its content changed, itself again or gone. */
size_t mutate_protobuf(uint8_t *data, size_t size, size_t room, unsigned seed) {
    static size_t fields[2048][3];
    static uint8_t content[1 << 16], head[20];
    begin(seed);
    size_t n = scan_protobuf(data, size, fields, 2048);
    if (n == 0 || below(6) == 0) return LLVMFuzzerMutate(data, size, room);
    size_t *f = fields[below(4) ? n - 1 - below(n < 6 ? n : 6) : below(n)], length = f[2] - f[1], changed;
    if (length > sizeof content / 2) return size;
    memcpy(content, data + f[0], f[2] - f[0]);
    switch (below(8)) {
    case 0: changed = splice(data, size, room, fields[below(n)][0], 0, content, f[2] - f[0]); break;
    case 1: changed = splice(data, size, room, f[0], f[2] - f[0], NULL, 0); break;
    case 2: set(data + f[1] - 1, dice(), 1); changed = size; break;
    default: {
        size_t at = f[0], tag = varint(data, size, &at);
        memcpy(content, data + f[1], length);
        if (length > 3 && below(3) == 0) { /* a number inside */
            static const uint64_t hard[] = {0, 1, 2, 3, 4, 5, 6, 7, 255, 0x7fffffff, 0xffffffff, ~0ull, 1ull << 63};
            size_t i = below(length);
            length = splice(content, length, sizeof content, i, 1, head, put_varint(head, hard[below(13)]));
        } else {
            length = LLVMFuzzerMutate(content, length, length + 32);
        }
        size_t k = put_varint(head, tag);
        k += put_varint(head + k, length);
        if (k + length > sizeof scratch) return size;
        memcpy(scratch, head, k);
        memcpy(scratch + k, content, length);
        changed = splice(data, size, room, f[0], f[2] - f[0], scratch, k + length);
    }
    }
    return changed ? changed : size;
}

/* ---- llama2.c ------------------------------------------------------------------------------- */

/* One of the seven numbers, and then the size that a file with this header has, where that is small. */
static size_t mutate_checkpoint(uint8_t *data, size_t size, size_t room) {
    static const int32_t hard[] = {0, 1, -1, 2, 3, 4, 6, 8, 16, 32, INT32_MAX, INT32_MIN, 65536, 1 << 20, 1 << 22};
    if (size < 44 || below(4) == 0) return LLVMFuzzerMutate(data, size, room);
    int named = get(data, 4) == 0x616b3432;
    size_t first = named ? 8 : 0;
    int32_t c[7];
    if (below(8) == 0 && named) set(data + (below(2) ? 4 : 37), (uint64_t)hard[below(15)], 4);
    else if (below(6) == 0 && named) data[36] = (uint8_t)below(3);
    else set(data + first + 4 * below(7), (uint64_t)hard[below(15)], 4);
    memcpy(c, data + first, 28);
    for (int i = 0; i < 7; i++)
        if (c[i] == INT32_MIN || c[i] > 256 || (c[i] <= 0 && i != 5)) return size;
    int64_t e = c[0], f = c[1], l = c[2], v = abs(c[5]), kv = e / c[3] * c[4], group = named ? (int32_t)get(data + 37, 4) : 1;
    int own = named ? data[36] == 0 : c[5] < 0;
    int64_t norms = 2 * l * e + e, matrices = v * e * (own ? 2 : 1) + l * (2 * e * e + 2 * kv * e + 3 * e * f), wanted;
    if (!named) wanted = 28 + 4 * (norms + matrices + c[6] * (e / c[3]));
    else if (get(data + 4, 4) == 1) wanted = 256 + 4 * (norms + matrices);
    else wanted = 256 + 4 * norms + matrices + (group > 0 ? matrices / group * 4 : 0);
    if (wanted < 28 || (size_t)wanted > room || below(8) == 0) return size;
    if ((size_t)wanted > size) memset(data + size, 1, (size_t)wanted - size);
    return (size_t)wanted;
}

/* ---- Folders -------------------------------------------------------------------------------- */

static int ends(const char *name, const char *ending) {
    size_t n = strlen(name), k = strlen(ending);
    return n >= k && strcmp(name + n - k, ending) == 0;
}

size_t mutate_folder(uint8_t *data, size_t size, size_t room, unsigned seed, const char *const *names, unsigned count) {
    static uint8_t part[1 << 20];
    struct { size_t at, length; } files[16];
    size_t n = 0, at = 0;
    begin(seed);
    while (n < 16 && at + 5 <= size) {
        size_t length = (size_t)get(data + at + 1, 4);
        if (length > size - at - 5) length = size - at - 5;
        files[n].at = at;
        files[n++].length = length;
        at += 5 + length;
    }
    if (n == 0) return LLVMFuzzerMutate(data, size, room);
    size_t i = below(n), length = files[i].length, now, changed;
    at = files[i].at;
    const char *name = names[data[at] % count];
    if (below(40) == 0) { /* gone, or of another name */
        if (below(2)) return size - 5 - length > 0 ? splice(data, size, room, at, 5 + length, NULL, 0) : size;
        data[at] = (uint8_t)below(count);
        return size;
    }
    size_t left = room - size, most = length + left < sizeof part ? length + left : sizeof part;
    if (length > most) return size;
    memcpy(part, data + at + 5, length);
    unsigned next = (unsigned)dice();
    if (ends(name, ".json")) now = mutate_json(part, length, most, next);
    else if (ends(name, ".safetensors")) now = mutate_safetensors(part, length, most, next);
    else if (ends(name, ".pth")) now = mutate_zip(part, length, most, next);
    else if (ends(name, ".model")) now = mutate_protobuf(part, length, most, next);
    else if (ends(name, ".gguf")) now = mutate_gguf(part, length, most, next);
    else if (ends(name, "model.bin")) now = mutate_checkpoint(part, length, most);
    else now = LLVMFuzzerMutate(part, length, most);
    changed = splice(data, size, room, at + 5, length, part, now);
    if (!changed) return size;
    set(data + at + 1, now, 4);
    return changed;
}
