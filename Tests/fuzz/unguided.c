/* Fuzzing without a build of its own: inputs that were kept, changed blindly, through the ordinary library. Nothing guides it and no sanitizer looks on,
   but in the same time it tries a hundred times as many as libFuzzer does with both. Traps, what MUST hold and slow inputs are found.

       unguided TARGET SECONDS DICTIONARY FOUND FILE...

   An input is in the file FOUND while it runs, and stays there when the process ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

enum { MOST = 1 << 16, MOST_WORDS = 1024, MOST_CHANGES = 6, SECONDS_AN_INPUT = 2 };

typedef struct bytes {
    uint8_t *data;
    size_t size;
} bytes;

static bytes words[MOST_WORDS], *inputs;
static size_t word_count, input_count;
static uint64_t state;

/* Below count, which is at least 1. Marsaglia's xorshift. */
static size_t below(size_t count) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % count;
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static size_t insert(uint8_t *data, size_t size, size_t room, size_t at, const uint8_t *what, size_t count) {
    static uint8_t copy[MOST]; /* what may lie in data */
    if (count > room - size) return size;
    memcpy(copy, what, count);
    memmove(data + at + count, data + at, size - at);
    memcpy(data + at, copy, count);
    return size + count;
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room) {
    static const char *const numbers[] = {"0", "1", "-1", "-0", "0.1", "1e308", "1000000", "2147483648", "4294967296", "9223372036854775808", "18446744073709551615"};
    if (size == 0) return room ? (data[0] = (uint8_t)below(256), 1) : 0;
    size_t at = below(size), other = below(size), count;
    uint8_t few[4];
    const bytes *piece;
    switch (below(10)) {
    case 0: data[at] ^= (uint8_t)(1u << below(8)); return size;
    case 1: data[at] = (uint8_t)below(256); return size;
    case 2: /* some go */
        count = 1 + below(smaller(size - at, 32));
        memmove(data + at, data + at + count, size - at - count);
        return size - count;
    case 3: /* some come */
        for (unsigned i = 0; i < 4; i++) few[i] = (uint8_t)below(256);
        return insert(data, size, room, at, few, 1 + below(4));
    case 4: /* a word of the dictionary, before what is there or over it */
    case 5:
        if (word_count == 0) return size;
        piece = &words[below(word_count)];
        if (below(3)) return insert(data, size, room, at, piece->data, piece->size);
        memcpy(data + at, piece->data, smaller(piece->size, size - at));
        return size;
    case 6: /* a piece of itself, again */ return insert(data, size, room, other, data + at, 1 + below(smaller(size - at, 200)));
    case 7: /* a piece of another input */
        piece = &inputs[below(input_count)];
        if (piece->size == 0) return size;
        other = below(piece->size);
        return insert(data, size, room, at, piece->data + other, 1 + below(smaller(piece->size - other, 300)));
    case 8: {
        const char *number = numbers[below(sizeof numbers / sizeof *numbers)];
        return insert(data, size, room, at, (const uint8_t *)number, strlen(number));
    }
    default: few[0] = data[at], data[at] = data[other], data[other] = few[0]; return size;
    }
}

/* Lines "..." with \xHH and \ before a letter, as libFuzzer has them. */
static void read_words(const char *path) {
    static char line[4096];
    FILE *file = fopen(path, "r");
    MUST(file);
    while (word_count < MOST_WORDS && fgets(line, sizeof line, file)) {
        const char *from = strchr(line, '"');
        if (line[0] == '#' || !from) continue;
        bytes word = {malloc(strlen(line)), 0};
        for (from++; *from && *from != '"'; from++) {
            if (*from == '\\' && from[1] == 'x') {
                word.data[word.size++] = (uint8_t)strtol((char[]){from[2], from[3], 0}, NULL, 16);
                from += 3;
            } else {
                from += *from == '\\';
                word.data[word.size++] = (uint8_t)*from;
            }
        }
        if (word.size) words[word_count++] = word;
    }
    fclose(file);
}

static void read_inputs(char **paths, size_t count) {
    inputs = calloc(count, sizeof *inputs);
    for (size_t i = 0; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");
        MUST(file);
        inputs[i].data = malloc(MOST);
        inputs[i].size = fread(inputs[i].data, 1, MOST, file);
        inputs[i].data = realloc(inputs[i].data, inputs[i].size + 1);
        fclose(file);
    }
    input_count = count;
}

static void too_slow(int number) {
    static const char text[] = "an input computes for more than 2 s\n";
    (void)number;
    if (write(2, text, sizeof text - 1) < 0) _exit(3);
    abort();
}

static double clock_of(clockid_t which) {
    struct timespec t;
    clock_gettime(which, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int count, char **arguments) {
    if (count < 6) return fprintf(stderr, "unguided TARGET SECONDS DICTIONARY FOUND FILE...\n"), 2;
    const target *chosen = find_target(arguments[1]);
    if (!chosen) return fprintf(stderr, "no target is called %s\n", arguments[1]), 2;
    read_words(arguments[3]);
    read_inputs(arguments + 5, (size_t)count - 5);
    int file = open(arguments[4], O_RDWR | O_CREAT | O_TRUNC, 0600);
    MUST(file >= 0);
    state = (uint64_t)(clock_of(CLOCK_REALTIME) * 1e6) * 2654435761u | 1;
    load_models();
    signal(SIGPROF, too_slow);
    double end = clock_of(CLOCK_MONOTONIC) + atof(arguments[2]), slowest = 0;
    unsigned long executions = 0;
    while (clock_of(CLOCK_MONOTONIC) < end) {
        static uint8_t data[MOST];
        const bytes *from = &inputs[below(input_count)];
        size_t size = from->size, changes = 1 + below(MOST_CHANGES);
        memcpy(data, from->data, size);
        for (size_t i = 0; i < changes; i++)
            size = chosen->mutate && below(4) ? chosen->mutate(data, size, MOST, (unsigned)below(1u << 31)) : LLVMFuzzerMutate(data, size, MOST);
        MUST(pwrite(file, data, size, 0) == (ssize_t)size && ftruncate(file, (off_t)size) == 0);
        struct itimerval limit = {.it_value.tv_sec = SECONDS_AN_INPUT};
        double begin = clock_of(CLOCK_PROCESS_CPUTIME_ID);
        setitimer(ITIMER_PROF, &limit, NULL);
        chosen->run(data, size);
        setitimer(ITIMER_PROF, &(struct itimerval){0}, NULL);
        double seconds = clock_of(CLOCK_PROCESS_CPUTIME_ID) - begin;
        if (seconds > slowest) slowest = seconds;
        executions++;
    }
    unlink(arguments[4]);
    printf("%s: %lu executions, the slowest computed for %.2f s\n", arguments[1], executions, slowest);
    return 0;
}
