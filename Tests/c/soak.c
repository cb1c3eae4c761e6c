/* Eight threads do everything at random, right and wrong, under a memory limit: soak MODEL FOLDER SECONDS SEED
 * MODEL: stories260K.bin. FOLDER: for temporary files. Exits with 1 when a status was not one that the header allows,
 * when the answer to a known prompt changed, or when memory, descriptors, mappings or threads were not given back.
 *
 * The time is cut into ten parts. Between two of them all threads have ended and all handles are freed, so that what is
 * measured there has to be the same after the first part and after the last. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <llama2swift.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define LIMIT ((size_t)1300 << 20)  /* bytes of address space */
#define LARGE 286720                /* positions of 2560 bytes: 700 MiB, of which only one fits */
#define HEAP_NOISE 65536            /* the table of handles grows to the most handles there ever were */
#define RESIDENT_NOISE (8 << 20)    /* holes in the heap, which malloc_trim does not return */

enum { LOAD, CREATE, LARGE_CREATE, TOKENIZE, EVAL, BATCH, SAMPLE, GENERATE, QUANTIZE, HOSTILE, WRONG, FREED, COLLIDE, KNOWN, KINDS };
static const char *const names[KINDS] = {"load", "create", "create, large", "tokenize", "eval", "batch", "sample", "generate", "quantize",
                                         "hostile file", "wrong argument", "freed handle", "shared context", "known prompt"};
static const int weights[KINDS] = {3, 3, 1, 8, 14, 10, 10, 6, 1, 8, 14, 4, 14, 4};

static const char *model_path, *folder;
static unsigned char *gguf;
static size_t gguf_size;
static float expected[512];
static const int32_t known[] = {1, 403, 407, 261, 378, 9, 8, 7};
static llama2_model *shared_model;
static llama2_context *shared_contexts[2];
static double end_of_part;
static long operations[KINDS], refusals[128], unexpected, collisions;

typedef struct {
    uint64_t random;
    int number, kind;
    llama2_model *model;
    llama2_context *contexts[2];
    llama2_sampler *sampler;
    int countdown;
} worker;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t next(worker *w) { /* splitmix64 */
    uint64_t z = (w->random += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static int below(worker *w, int n) { return (int)(next(w) % (uint64_t)n); }

static void wrong(worker *w, const char *what, int32_t status) {
    __atomic_add_fetch(&unexpected, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "thread %d, %s: %s gave %d, %s: %s\n", w->number, names[w->kind], what, (int)status, llama2_status_string(status), llama2_last_error());
}

/* Counts a refusal; one that is not among `allowed` (ended by 1) is an unexpected error. */
static int32_t expect(worker *w, const char *what, int32_t status, const int32_t *allowed) {
    if (status == LLAMA2_OK) return status;
    if (status < 0 && status > -128) __atomic_add_fetch(&refusals[-status], 1, __ATOMIC_RELAXED);
    for (; *allowed != 1; allowed++) if (*allowed == status) return status;
    wrong(w, what, status);
    return status;
}
#define ALLOW(w, call, ...) expect(w, #call, call, (const int32_t[]){__VA_ARGS__, 1})
#define ONLY(w, call, status) do { int32_t s_ = (call); if (s_ != (status)) wrong(w, #call, s_); else if (s_ < 0) __atomic_add_fetch(&refusals[-s_], 1, __ATOMIC_RELAXED); } while (0)

static int32_t count_down(void *user_data) { return --((worker *)user_data)->countdown == 0; }
#include "soak_calls.h"

static void *work(void *argument) {
    worker *w = argument;
    llama2_context_options large;
    llama2_context *c;
    llama2_sampler_options sampling;
    int slot, k, total = 0;
    for (k = 0; k < KINDS; k++) total += weights[k];
    llama2_sampler_options_init(&sampling);
    sampling.seed = next(w);
    sampling.repetition_penalty = 1.1f;
    w->kind = LOAD;
    ALLOW(w, llama2_model_load(model_path, NULL, &w->model, NULL, 0), 1);
    ALLOW(w, llama2_sampler_create(&sampling, &w->sampler, NULL, 0), 1);
    while (now() < end_of_part) {
        int pick = below(w, total);
        for (k = 0; pick >= weights[k]; k++) pick -= weights[k];
        w->kind = k;
        __atomic_add_fetch(&operations[k], 1, __ATOMIC_RELAXED);
        slot = below(w, 2);
        if (!w->contexts[slot]) create(w, slot);
        c = w->contexts[slot];
        if (!c) continue;
        switch (k) {
        case LOAD: load(w); break;
        case CREATE: create(w, slot); break;
        case LARGE_CREATE:
            llama2_context_options_init(&large);
            large.flags = LLAMA2_CONTEXT_KV_F32;
            large.context_length = below(w, 4) ? LARGE : 1 << 24;
            large.threads = 1;
            if (ALLOW(w, llama2_context_create(w->model, &large, &c, NULL, 0), LLAMA2_E_NO_MEMORY) == LLAMA2_OK) {
                ONLY(w, llama2_eval(c, known, 3), LLAMA2_OK);
                llama2_context_free(c);
            }
            break;
        case TOKENIZE: tokenize(w); break;
        case EVAL: eval(w, c, 0); break;
        case BATCH: eval(w, c, 1); break;
        case SAMPLE: { int32_t token; ALLOW(w, llama2_sample(c, w->sampler, &token), LLAMA2_E_NO_LOGITS); break; }
        case GENERATE: generate(w, c); break;
        case QUANTIZE: quantize(w); break;
        case HOSTILE: hostile(w); break;
        case WRONG: wrong_argument(w, c); break;
        case FREED: freed(w); break;
        case COLLIDE: collide(w); break;
        default: known_prompt(w);
        }
    }
    llama2_model_free(w->model);
    for (slot = 0; slot < 2; slot++) llama2_context_free(w->contexts[slot]);
    llama2_sampler_free(w->sampler);
    return NULL;
}

/* What the process has: bytes in use on the heap, resident bytes, descriptors, threads, mappings of files in the folder. */
typedef struct { long heap, resident, files, threads, mapped; } figures;

static long entries_of(const char *path) {
    DIR *d = opendir(path);
    long n = 0;
    if (!d) return -1;
    while (readdir(d)) n++;
    closedir(d);
    return n;
}

static figures measure(void) {
    figures f = {0, 0, 0, 0, 0};
    struct mallinfo2 m;
    long pages = 0, resident = 0;
    char line[600];
    FILE *file;
    int i;
    malloc_trim(0);
    for (i = 0; i < 100 && entries_of("/proc/self/task") > 3; i++) usleep(10000); /* threads that were joined leave the list a little later */
    if ((file = fopen("/proc/self/maps", "r"))) {
        while (fgets(line, sizeof line, file)) if (strstr(line, folder) || strstr(line, ".bin")) f.mapped++;
        fclose(file);
    }
    if ((file = fopen("/proc/self/statm", "r"))) {
        if (fscanf(file, "%ld %ld", &pages, &resident) == 2) f.resident = resident * sysconf(_SC_PAGESIZE);
        fclose(file);
    }
    m = mallinfo2();
    f.heap = (long)(m.uordblks + m.hblkhd);
    f.files = entries_of("/proc/self/fd");
    f.threads = entries_of("/proc/self/task") - 2;
    return f;
}

#define MUST(call) do { if ((call) != LLAMA2_OK) { fprintf(stderr, "%s: %s\n", #call, llama2_last_error()); return 1; } } while (0)

int main(int argc, char **argv) {
    pthread_t threads[THREADS];
    worker workers[THREADS];
    pthread_attr_t stacks;
    struct rlimit limit = {LIMIT, LIMIT};
    figures first = {0, 0, 0, 0, 0}, last = first;
    llama2_quantize_options q;
    llama2_context_options o;
    llama2_context *context;
    const float *logits;
    char path[300];
    struct stat information;
    size_t n;
    double start = now(), seconds;
    uint64_t seed;
    long sum = 0, bad;
    int part, i;
    FILE *file;
    if (argc != 5) return 2;
    model_path = argv[1];
    folder = argv[2];
    seconds = atof(argv[3]);
    seed = strtoull(argv[4], NULL, 10);
    mallopt(M_ARENA_MAX, 4); /* each arena reserves 64 MiB of the limit */
    pthread_attr_init(&stacks);
    pthread_attr_setstacksize(&stacks, 1 << 20);
    pthread_setattr_default_np(&stacks);
    if (setrlimit(RLIMIT_AS, &limit)) return 2;
    printf("seed %llu\n", (unsigned long long)seed);

    /* a GGUF file to mutate, and the answer to the known prompt */
    snprintf(path, sizeof path, "%s/base.gguf", folder);
    llama2_quantize_options_init(&q);
    q.type = "Q8_0";
    q.threads = 1;
    MUST(llama2_quantize(model_path, path, &q, NULL, 0));
    if (!(file = fopen(path, "rb")) || fstat(fileno(file), &information)) return 2;
    gguf_size = (size_t)information.st_size;
    gguf = malloc(gguf_size);
    if (!gguf || fread(gguf, 1, gguf_size, file) != gguf_size) return 2;
    fclose(file);

    for (part = 0; part < 10; part++) {
        MUST(llama2_model_load(model_path, NULL, &shared_model, NULL, 0));
        llama2_context_options_init(&o);
        o.context_length = 200;
        o.threads = 2;
        for (i = 0; i < 2; i++) MUST(llama2_context_create(shared_model, &o, &shared_contexts[i], NULL, 0));
        if (part == 0) {
            MUST(llama2_context_create(shared_model, NULL, &context, NULL, 0));
            MUST(llama2_eval(context, known, sizeof known / sizeof *known));
            MUST(llama2_logits(context, 0, &logits, &n));
            if (n != 512) return 2;
            memcpy(expected, logits, sizeof expected);
            llama2_context_free(context);
        }
        end_of_part = start + seconds * (part + 1) / 10;
        memset(workers, 0, sizeof workers);
        for (i = 0; i < THREADS; i++) {
            workers[i].number = i;
            workers[i].random = seed * 1000 + (uint64_t)(part * THREADS + i);
            if (pthread_create(&threads[i], NULL, work, &workers[i])) return 2;
        }
        for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        for (i = 0; i < 2; i++) llama2_context_free(shared_contexts[i]);
        llama2_model_free(shared_model);
        last = measure();
        if (part == 0) first = last;
        fprintf(stderr, "%3d %%: heap %ld, resident %ld, descriptors %ld, threads %ld, mappings %ld\n", 10 * (part + 1), last.heap, last.resident,
                last.files, last.threads, last.mapped);
    }

    for (i = 0; i < KINDS; i++) { printf("%9ld %s\n", operations[i], names[i]); sum += operations[i]; }
    for (i = 1; i < 128; i++) if (refusals[i]) printf("%9ld refused: %s\n", refusals[i], llama2_status_string(-i));
    bad = unexpected;
    if (labs(last.heap - first.heap) > HEAP_NOISE || last.resident - first.resident > RESIDENT_NOISE) { printf("memory drifts\n"); bad++; }
    if (last.files != first.files || last.threads != 1 || last.mapped != first.mapped || last.mapped != 0) { printf("something was not given back\n"); bad++; }
    for (i = 0; i < KINDS; i++) if (operations[i] == 0 && seconds >= 5) { printf("%s was never done\n", names[i]); bad++; }
    if (seconds >= 5 && (!collisions || !refusals[-LLAMA2_E_NO_MEMORY])) { printf("no collisions, or memory never ran out\n"); bad++; }
    printf("%ld operations by %d threads in %.0f s under %zu MiB, %ld errors unexpected, drift: heap %ld bytes, resident %ld KiB, descriptors %ld, threads %ld; seed %llu\n",
           sum, THREADS, now() - start, LIMIT >> 20, unexpected, last.heap - first.heap, (last.resident - first.resident) / 1024,
           last.files - first.files, last.threads - 1, (unsigned long long)seed);
    free(gguf);
    return bad != 0;
}
