/* Mutators of zips with a pickle and of Protocol Buffers: see mutate.c. */
#include "mutate.h"

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
