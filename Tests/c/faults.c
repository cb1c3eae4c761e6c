/* Walks through the faults of a call: faults OPERATION KINDS MODE ERROR STEP PATHS...     (run with inject.so preloaded)
 *     or loads models without any malloc: faults hostile PATHS...
 *
 * For n = 1, 2, ... the nth allocation or system call of OPERATION fails, until it is over before the nth comes. After each
 * the status is one that the header promises, what was allocated is given back, and the same call succeeds.
 * KINDS: a number of inject.h's. MODE: one, from, every. ERROR: an errno, -1 for short transfers, 0 for none.
 * STEP: percent by which n grows (0: every n). Prints: faults, most bytes refused at once, statuses.
 * Exit: 0, or 1 after a sentence. */
#define _GNU_SOURCE
#include "inject.h"
#include <dirent.h>
#include <errno.h>
#include <llama2swift.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *paths[4];
static unsigned kinds;
static int mode, code, armed;
static long n, hits;

static void die(const char *what, int32_t status) {
    printf("n = %ld: %s: %d (%s): %s\n", n, what, status, llama2_status_string(status), llama2_last_error());
    exit(1);
}

/* Surrounds the call under test. */
static void begin(void) { if (armed) inject_arm(kinds, mode, n, code, 0); }
static void end(void) { if (armed) hits = inject_disarm(); }
#define UNDER_TEST(call) do { begin(); status = (call); end(); } while (0)
#define NEED(call) do { int32_t code_ = (call); if (code_ != LLAMA2_OK) die(#call, code_); } while (0)

static llama2_model *model;
static llama2_context *context; /* two threads, room for 64 tokens */
static llama2_sampler *sampler;
static llama2_decoder *decoder;

#include "faults_calls.h"

/* ---- Files: paths[1] is the output, which exists before; its folder holds nothing else --------- */

static char *slurp(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *all;
    if (!file) { *size = 0; return NULL; }
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    all = malloc(*size + 1);
    if (!all || fread(all, 1, *size, file) != *size) exit(2);
    fclose(file);
    return all;
}

static char *complete; /* what the operation writes when nothing fails */
static size_t complete_size;

static void put_old(void) {
    FILE *file = fopen(paths[1], "wb");
    if (!file || fwrite("the old file", 1, 12, file) != 12 || fclose(file)) exit(2);
}

/* The old file or the complete new one, and nothing beside it. */
static void check_output(int32_t status) {
    char folder[4096], *now, *slash;
    size_t size;
    DIR *listing;
    int files = 0;
    struct dirent *entry;
    now = slurp(paths[1], &size);
    if (!now) die("the output is gone", status);
    if (!complete) {
        complete = now, complete_size = size;
    } else {
        int is_new = size == complete_size && memcmp(now, complete, size) == 0;
        int is_old = size == 12 && memcmp(now, "the old file", 12) == 0;
        if (!is_new && !is_old) die("the output is neither old nor complete", status);
        if (status == LLAMA2_OK && !is_new) die("OK, but the output is old", status);
        if (status != LLAMA2_OK && is_new) die("a failure, but the output is new", status);
        free(now);
    }
    snprintf(folder, sizeof folder, "%s", paths[1]);
    slash = strrchr(folder, '/');
    *slash = 0;
    listing = opendir(folder);
    while ((entry = readdir(listing))) files += entry->d_name[0] != '.';
    closedir(listing);
    if (files != 1) die("temporary files are left", status);
}

static int32_t quantize(void) {
    llama2_quantize_options o;
    int32_t status;
    llama2_quantize_options_init(&o);
    o.type = "Q8_0", o.threads = 2, o.importance = paths[2];
    put_old();
    UNDER_TEST(llama2_quantize(paths[0], paths[1], &o, NULL, 0));
    check_output(status);
    return status;
}

static int32_t convert(void) {
    llama2_quantize_options o;
    int32_t status;
    llama2_quantize_options_init(&o);
    o.type = "F32", o.threads = 1;
    put_old();
    UNDER_TEST(llama2_convert(paths[0], paths[1], &o, NULL, 0));
    check_output(status);
    return status;
}

static int32_t importance(void) {
    int32_t status;
    put_old();
    UNDER_TEST(llama2_importance(context, prompt, 12, 6, paths[1], NULL, NULL));
    check_output(status);
    return status;
}

static const struct { const char *name; int32_t (*run)(void); } operations[] = {
    {"load", load}, {"load_copy", load_copy}, {"load_interleaved", load_interleaved}, {"create", create}, {"create_sampler", create_sampler},
    {"create_decoder", create_decoder}, {"decode", decode}, {"eval", eval}, {"eval_batch", eval_batch}, {"sample", sample},
    {"generate", generate}, {"tokenize", tokenize}, {"detokenize", detokenize}, {"chat", chat}, {"chat_long", chat_long}, {"metadata", metadata},
    {"preflight", preflight}, {"perplexity", perplexity}, {"score", score}, {"embeddings", embeddings}, {"quantize", quantize}, {"convert", convert},
    {"importance", importance},
};

static int open_descriptors(void) {
    DIR *listing = opendir("/proc/self/fd");
    int count = 0;
    while (listing && readdir(listing)) count++;
    if (listing) closedir(listing);
    return count;
}

/* Whether the header allows this status for what failed. */
static int is_promised(int32_t status) {
    if (status == LLAMA2_OK) return 1;
    if (code == INJECT_SHORT || code == EINTR) return 0; /* invisible */
    if (kinds & INJECT_MEMORY && status == LLAMA2_E_NO_MEMORY) return 1;
    if (kinds & INJECT_THREAD && status == LLAMA2_E_THREAD) return 1;
    return kinds & INJECT_FILES && status == LLAMA2_E_IO;
}

/* Loads each path with every malloc refused: all of Swift's values come from what the load has covered, or it ends as
 * out of memory. A cover that is too small for the file ends the process. */
static int hostile(int argc, char **argv) {
    int i;
    for (i = 0; i < argc; i++) {
        llama2_model *m;
        int32_t expected, status;
        long before, failed;
        int round;
        for (round = 0; round < 2; round++) {
            expected = llama2_model_load(argv[i], NULL, &m, NULL, 0);
            llama2_model_free(m);
        }
        before = inject_live();
        inject_arm(INJECT_MALLOC, INJECT_FROM, 1, 0, 0);
        status = llama2_model_load(argv[i], NULL, &m, NULL, 0);
        failed = inject_disarm();
        llama2_model_free(m);
        if (status != expected && status != LLAMA2_E_NO_MEMORY) die(argv[i], status);
        if (inject_live() != before) { printf("%s: %ld bytes were not given back\n", argv[i], inject_live() - before); return 1; }
        if (llama2_model_load(argv[i], NULL, &m, NULL, 0) != expected) die(argv[i], expected);
        llama2_model_free(m);
        printf("%s: %s, refused %ld allocations: %s\n", argv[i], llama2_status_string(expected), failed, llama2_status_string(status));
    }
    return 0;
}

/* The runtime's tables are made at some time and kept, and the C library keeps the stack of a thread that has ended with its
 * thread-local blocks until the next thread takes it, so what is live moves by some KiB with the order in which threads end.
 * What is lost comes back each time: over many runs a leak of 128 bytes passes what these can move. */
static void check_growth(int32_t (*run)(void), long first) {
    enum { RUNS = 64, KEPT = 8192 };
    int i;
    armed = 1;
    for (i = 0; i < RUNS; i++) {
        int32_t status = run();
        if (!is_promised(status)) die("not the status that was promised", status);
    }
    armed = 0;
    if (inject_live() - first < KEPT) return;
    printf("n = %ld: %ld bytes were not given back in %d runs\n", n, inject_live() - first, RUNS);
    exit(1);
}

int main(int argc, char **argv) {
    int32_t (*run)(void) = NULL;
    size_t i;
    long faults = 0, refused = 0, oks = 0;
    size_t largest = 0;
    int step;
    size_t none;
    setvbuf(stdout, NULL, _IOLBF, 1 << 12);
    llama2_struct_size(0, &none); /* fails: from here on this thread has its page for sentences */
    if (argc > 2 && !strcmp(argv[1], "hostile")) return hostile(argc - 2, argv + 2);
    if (argc < 7) return 2;
    for (i = 0; i < sizeof operations / sizeof *operations; i++)
        if (!strcmp(argv[1], operations[i].name)) run = operations[i].run;
    if (!run) return 2;
    kinds = (unsigned)strtoul(argv[2], NULL, 0);
    mode = !strcmp(argv[3], "one") ? INJECT_ONE : !strcmp(argv[3], "from") ? INJECT_FROM : INJECT_EVERY;
    code = atoi(argv[4]), step = atoi(argv[5]);
    for (i = 0; i < 4 && (int)i + 6 < argc; i++) paths[i] = argv[i + 6];
    for (i = 0; i < TEXT_BYTES; i++) text[i] = "Once upon a time, 12 \xc3\xa9t\xc3\xa9s.\n<s>"[i % 31];

    NEED(llama2_model_load(paths[0], NULL, &model, NULL, 0));
    make_context(&context);
    NEED(llama2_sampler_create(NULL, &sampler, NULL, 0));
    if (llama2_decoder_create(model, 0, &decoder, NULL, 0) != LLAMA2_OK) decoder = NULL; /* no vocabulary */
    for (i = 0; i < 3; i++) { /* what is made once and kept by C and Swift */
        int32_t status = run();
        if (status != LLAMA2_OK) die("without a fault", status);
    }
    for (n = mode == INJECT_EVERY ? 2 : 1;;) {
        long before = inject_live(), after;
        int descriptors = open_descriptors();
        int32_t status;
        hits = 0, armed = 1;
        status = run();
        armed = 0;
        if (hits == 0) {
            if (status != LLAMA2_OK) die("nothing failed", status);
            break;
        }
        faults += hits;
        if (inject_largest() > largest) largest = inject_largest();
        if (!is_promised(status)) die("not the status that was promised", status);
        if (status == LLAMA2_OK) oks++; else refused++;
        after = inject_live();
        if (after != before) check_growth(run, after);
        if (open_descriptors() != descriptors) die("descriptors are left open", status);
        status = run();
        if (status != LLAMA2_OK) die("the same call afterwards", status);
        n += 1 + n * step / 100;
    }
    printf("%s: %ld walked, %ld faults, %ld refused, %ld survived, largest %zu bytes\n", argv[1], n - 1, faults, refused, oks, largest);
    llama2_decoder_free(decoder);
    llama2_sampler_free(sampler);
    llama2_context_free(context);
    llama2_model_free(model);
    return 0;
}
