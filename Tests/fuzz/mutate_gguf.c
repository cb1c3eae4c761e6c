/* Mutators of GGUF: see mutate.c. */
#include "mutate.h"

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
