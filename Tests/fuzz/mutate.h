/* What the mutators share: chance, and pieces of an input that become others. */
#ifndef LLAMA2SWIFT_MUTATE_H
#define LLAMA2SWIFT_MUTATE_H
#include "fuzz.h"

extern uint64_t chance_state; /* mutate.c */
static inline void begin(unsigned seed) { chance_state = seed * 0x9e3779b97f4a7c15u + 1; }
static inline uint64_t dice(void) {
    chance_state ^= chance_state << 13;
    chance_state ^= chance_state >> 7;
    return chance_state ^= chance_state << 17;
}
static inline size_t below(size_t n) { return n ? (size_t)(dice() % n) : 0; }

/* Numbers that break arithmetic, or nearly. */
static inline uint64_t number(size_t size) {
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

static inline uint64_t get(const uint8_t *p, size_t width) {
    uint64_t value = 0;
    memcpy(&value, p, width);
    return value;
}
static inline void set(uint8_t *p, uint64_t value, size_t width) { memcpy(p, &value, width); }

/* Replaces `old` bytes at `at` by `count` others. 0 when there is no room. */
static inline size_t splice(uint8_t *data, size_t size, size_t room, size_t at, size_t old, const uint8_t *bytes, size_t count) {
    if (at + old > size || size - old + count > room) return 0;
    memmove(data + at + count, data + at + old, size - at - old);
    if (count) memcpy(data + at, bytes, count);
    return size - old + count;
}

static uint8_t scratch[1 << 20];

/* libFuzzer's mutations on a part, which may grow. Returns the new size of everything, 0 when there is no room;
   *now: the new size of the part. */
static inline size_t mutate_part(uint8_t *data, size_t size, size_t room, size_t at, size_t count, size_t *now) {
    if (at + count > size || count > sizeof scratch / 2) return 0;
    memcpy(scratch, data + at, count);
    *now = LLVMFuzzerMutate(scratch, count, count + 64);
    return splice(data, size, room, at, count, scratch, *now);
}

#endif
