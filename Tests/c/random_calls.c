/* Random calls of every function from several threads, on living, freed, foreign and made-up handles, most contexts of 1 to 8
 * positions, where ranges have no room: random_calls SECONDS THREADS SEED FOLDER MODEL...
 * Callbacks call back in, free what is in use and overwrite the arrays that the call around them was given.
 *
 * Ends with 1 when a status is none that the header names for the function, a sentence is no line, logits are not those
 * that the same tokens gave alone, or memory or threads stay behind; a trap in the library ends it with a signal. */
#define _GNU_SOURCE
#include <llama2swift.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16
#define TOKENS 200
enum { MODEL, CONTEXT, SAMPLER, DECODER, GRAMMAR, GRAMMAR_STATE, ADAPTER, SCHEDULER, KINDS };
static void *table[KINDS][SLOTS];
static llama2_model *kept; /* never freed, for what must be right */
static float known[4][512];
static const char *folder, *paths[16], *adapter_path;
static int path_count;
static double end;
static long calls, callbacks, answers, seen[128], bad;

typedef struct { uint64_t state; int depth, number; int32_t *tokens; llama2_batch_entry *entries; } worker;
static __thread worker *me;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static uint64_t next(void) { /* splitmix64 */
    uint64_t z = (me->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static int below(int n) { return (int)(next() % (uint64_t)n); }
static int once_in(int n) { return below(n) == 0; }
/* A number at an edge of its type, or a small one. */
static uint64_t edge(void) {
    static const uint64_t edges[] = {0, 1, 2, 3, 63, 64, 65, 511, 512, 1u << 31, 0x7fffffff, 0xffffffff, (uint64_t)1 << 32, (uint64_t)1 << 62,
                                     (uint64_t)1 << 63, ((uint64_t)1 << 63) - 1, UINT64_MAX, UINT64_MAX - 1};
    return once_in(2) ? edges[below(sizeof edges / sizeof *edges)] : (uint64_t)below(12);
}

static void fault(const char *what, int32_t status) {
    __atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "thread %d: %s gave %d: %s\n", me->number, what, (int)status, llama2_last_error());
}
/* OK, NULL_ARGUMENT, INVALID_ARGUMENT and BAD_HANDLE always; `more` up to 1 is what the header says besides. */
static void expect(const char *what, int32_t status, const int32_t *more) {
    const char *sentence = llama2_last_error();
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (status > 0 || status < -127) { fault(what, status); return; }
    __atomic_add_fetch(&seen[-status], 1, __ATOMIC_RELAXED);
    if (strlen(sentence) > 1023 || strchr(sentence, '\n') != NULL) fault("a sentence", status);
    if (status >= LLAMA2_E_BAD_HANDLE) return;
    for (; *more != 1; more++) if (*more == status) return;
    fault(what, status);
}
#define TRY(call, ...) expect(#call, call, (const int32_t[]){__VA_ARGS__, 1})
#define STRUCT LLAMA2_E_STRUCT_SIZE
#define RANGE LLAMA2_E_OUT_OF_RANGE
#define SMALL LLAMA2_E_BUFFER_TOO_SMALL
#define TOKEN LLAMA2_E_INVALID_TOKEN
#define NOMEM LLAMA2_E_NO_MEMORY
#define BUSY LLAMA2_E_BUSY
#define FULL LLAMA2_E_CONTEXT_FULL
#define CANCELLED LLAMA2_E_CANCELLED
#define UNSUPPORTED LLAMA2_E_UNSUPPORTED
#define NO_LOGITS LLAMA2_E_NO_LOGITS
#define NO_THREAD LLAMA2_E_THREAD
#define INOUT LLAMA2_E_IO
#define LOADING INOUT, NOMEM, LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, UNSUPPORTED, STRUCT
#define EVALUATING TOKEN, FULL, CANCELLED, NOMEM, UNSUPPORTED, BUSY

static void *pick(int kind) {
    void *h = __atomic_load_n(&table[kind][below(SLOTS)], __ATOMIC_RELAXED);
    switch (below(40)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)next();
    case 2: return __atomic_load_n(&table[below(KINDS)][below(SLOTS)], __ATOMIC_RELAXED);
    case 3: return (char *)h + below(33) - 16;
    case 4: return (void *)(uintptr_t)(1 + below(16));
    default: return h;
    }
}
static void discard(int kind, void *handle) {
    switch (kind) {
    case MODEL: llama2_model_free(handle); break;
    case CONTEXT: llama2_context_free(handle); break;
    case SAMPLER: llama2_sampler_free(handle); break;
    case DECODER: llama2_decoder_free(handle); break;
    case GRAMMAR: llama2_grammar_free(handle); break;
    case GRAMMAR_STATE: llama2_grammar_state_free(handle); break;
    case ADAPTER: llama2_adapter_free(handle); break;
    default: llama2_scheduler_free(handle); break;
    }
}
/* Into the table; what was there before is freed, or as a rule was. */
static void keep(int kind, void *handle) {
    void *before = __atomic_exchange_n(&table[kind][below(SLOTS)], handle, __ATOMIC_RELAXED);
    discard(kind, before);
}

static void act(void);

static void called_back(void) {
    int i, n;
    __atomic_add_fetch(&callbacks, 1, __ATOMIC_RELAXED);
    if (me->tokens != NULL && once_in(3)) for (i = 0; i < 8; i++) me->tokens[below(TOKENS)] = (int32_t)edge();
    if (me->entries != NULL && once_in(3)) for (i = 0; i < 4; i++) memset(&me->entries[below(40)], below(2) ? 0x7f : 0xff, sizeof *me->entries);
    if (me->depth >= 3) return;
    me->depth++;
    for (n = below(3); n > 0; n--) act();
    me->depth--;
}
static int32_t on_cancel(void *data) { (void)data; called_back(); return once_in(30); }
static int32_t on_piece(const char *piece, size_t length, void *data) {
    (void)piece; (void)data;
    if (length == 0) fault("an empty piece", 0);
    called_back();
    return once_in(8);
}
static int32_t on_progress(double part, void *data) {
    (void)data;
    if (!(part >= 0 && part <= 1)) fault("progress", (int32_t)part);
    called_back();
    return once_in(10);
}
static int32_t on_window(const llama2_perplexity_result *so_far, size_t windows, void *data) {
    (void)data;
    if (so_far->windows > windows) fault("windows", (int32_t)so_far->windows);
    called_back();
    return once_in(6);
}
static int32_t on_read(uint64_t offset, void *buffer, size_t length, void *data) {
    FILE *file = data;
    called_back();
    return once_in(20) || fseek(file, (long)offset, SEEK_SET) != 0 || fread(buffer, 1, length, file) != length;
}

#include "random_calls_parts.h"

#include "random_calls_act.h"

static void *body(void *argument) {
    me = argument;
    while (now() < end) act();
    return NULL;
}

static long status_of(const char *key) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long value = 0;
    while (file != NULL && fgets(line, sizeof line, file)) if (strncmp(line, key, strlen(key)) == 0) value = atol(line + strlen(key));
    if (file != NULL) fclose(file);
    return value;
}

int main(int count, char **v) {
    static worker workers[64];
    pthread_t threads[64];
    static const int32_t tokens[4] = {1, 403, 407, 261};
    llama2_context *context = NULL;
    const float *logits;
    size_t size;
    long i, n, waited;
    if (count < 6 || (n = atol(v[2])) < 1 || n > 64) return 2;
    folder = v[4];
    for (i = 5; i < count && path_count < 16; i++) {
        if (strstr(v[i], "adapter") != NULL) adapter_path = v[i];
        else paths[path_count++] = v[i];
    }
    /* the first is the one of the known answers */
    if (llama2_model_load(paths[0], NULL, &kept, NULL, 0) != LLAMA2_OK || llama2_context_create(kept, NULL, &context, NULL, 0) != LLAMA2_OK) return 2;
    for (i = 0; i < 4; i++) {
        if (llama2_eval(context, tokens + i, 1) != LLAMA2_OK || llama2_logits(context, 0, &logits, &size) != LLAMA2_OK || size != 512) return 2;
        memcpy(known[i], logits, sizeof known[i]);
    }
    llama2_context_free(context);
    end = now() + atof(v[1]);
    for (i = 0; i < n; i++) {
        workers[i] = (worker){strtoull(v[3], NULL, 10) * 1000 + (uint64_t)i, 0, (int)i, NULL, NULL};
        if (pthread_create(&threads[i], NULL, body, &workers[i]) != 0) return 2;
    }
    for (i = 0; i < n; i++) pthread_join(threads[i], NULL);
    me = &workers[0];
    for (i = 0; i < KINDS * SLOTS; i++) discard((int)(i / SLOTS), table[i / SLOTS][i % SLOTS]);
    llama2_model_free(kept);
    for (waited = 0; waited < 100 && status_of("Threads:") > 1; waited++) usleep(10000);
    if (status_of("Threads:") != 1) fault("threads that stay", (int32_t)status_of("Threads:"));
    malloc_trim(0);
    if (status_of("RssAnon:") > 64 << 10) fault("KiB that stay", (int32_t)status_of("RssAnon:"));
    printf("%ld calls, %ld callbacks, %ld known answers, %ld MB left; statuses", calls, callbacks, answers, status_of("RssAnon:") >> 10);
    for (i = 0; i < 128; i++) if (seen[i] != 0) printf(" %ld:%ld", -i, seen[i]);
    printf("\n%s\n", bad == 0 ? "all checks passed" : "failed");
    return bad != 0;
}
