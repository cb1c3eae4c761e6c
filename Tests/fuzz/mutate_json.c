/* Mutators of JSON, and of safetensors, whose header is some: see mutate.c. */
#include "mutate.h"

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
