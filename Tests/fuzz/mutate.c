/* Mutators that know where a format has its counts, lengths and offsets, so that a change gets past the first check.
   Each reads its input leniently, since that may be any bytes at all, and falls back to libFuzzer's own mutations. */
#include "mutate.h"

uint64_t chance_state;

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
