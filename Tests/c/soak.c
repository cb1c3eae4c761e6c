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
static int32_t stop_at_times(const char *piece, size_t length, void *user_data) {
    (void)piece; (void)length;
    return below(user_data, 30) == 0;
}
static int32_t stop_progress(double part, void *user_data) { (void)part; return below(user_data, 40) == 0; }

static void create(worker *w, int slot) {
    llama2_context_options o;
    uint32_t mask;
    llama2_context_options_init(&o);
    ONLY(w, llama2_kernels_available(&mask), LLAMA2_OK);
    o.context_length = 64 + (uint32_t)below(w, 200);
    o.max_sequences = 3;
    o.batch_size = (uint32_t)(1 + below(w, 64));
    o.threads = (uint32_t)(1 + (below(w, 4) == 0));
    o.flags = below(w, 2) ? LLAMA2_CONTEXT_KV_F32 : 0;
    o.kernels = (uint32_t)below(w, 4);
    if (o.kernels && !(mask >> o.kernels & 1)) o.kernels = 0;
    llama2_context_free(w->contexts[slot]);
    ALLOW(w, llama2_context_create(w->model, &o, &w->contexts[slot], NULL, 0), LLAMA2_E_NO_MEMORY, LLAMA2_E_THREAD);
}

static void load(worker *w) {
    llama2_model *model = NULL;
    llama2_model_options o;
    int way = below(w, 3), file;
    llama2_model_options_init(&o);
    o.flags = below(w, 2) ? LLAMA2_MODEL_COPY : 0;
    if (way == 0) ALLOW(w, llama2_model_load(model_path, &o, &model, NULL, 0), LLAMA2_E_NO_MEMORY);
    if (way == 1) ALLOW(w, llama2_model_load_memory(gguf, gguf_size, &o, &model, NULL, 0), LLAMA2_E_NO_MEMORY);
    if (way == 2) {
        file = open(model_path, O_RDONLY);
        ALLOW(w, llama2_model_load_fd(file, &o, &model, NULL, 0), LLAMA2_E_NO_MEMORY, LLAMA2_E_IO, LLAMA2_E_FORMAT);
        close(file);
    }
    if (model && way != 2) { llama2_model_free(w->model); w->model = model; } /* its contexts live on */
    else llama2_model_free(model);
}

static void tokenize(worker *w) {
    char text[200], back[2000];
    int32_t tokens[402];
    size_t length = (size_t)below(w, sizeof text), i, count = 0, size = 0;
    for (i = 0; i < length; i++) text[i] = (char)(below(w, 3) ? 'a' + below(w, 26) : below(w, 256));
    if (ALLOW(w, llama2_tokenize(w->model, text, length, 0, tokens, (size_t)below(w, 402), &count), LLAMA2_E_BUFFER_TOO_SMALL) != LLAMA2_OK) return;
    ALLOW(w, llama2_detokenize(w->model, tokens, count, 0, back, sizeof back, &size), LLAMA2_E_BUFFER_TOO_SMALL);
    for (i = 0; i + 2 < length; i++) if (!memcmp(text + i, "\xE2\x96\x81", 3)) return; /* a space for this vocabulary */
    if (size != length || memcmp(text, back, size)) wrong(w, "detokenize(tokenize(x)) is not x", 0);
}

static void eval(worker *w, llama2_context *c, int batch) {
    llama2_batch_entry entries[80];
    int32_t tokens[80];
    int i, count = 1 + below(w, 3) * below(w, 27);
    w->countdown = below(w, 3) ? 0 : 1 + below(w, 12);
    ALLOW(w, llama2_context_set_cancel(c, count_down, w), LLAMA2_E_BAD_HANDLE);
    for (i = 0; i < count; i++) {
        tokens[i] = entries[i].token = below(w, 512);
        entries[i].sequence = below(w, 3);
        entries[i].flags = (uint32_t)below(w, 2);
    }
    i = batch ? ALLOW(w, llama2_eval_batch(c, entries, (size_t)count), LLAMA2_E_CONTEXT_FULL, LLAMA2_E_CANCELLED, LLAMA2_E_NO_MEMORY)
              : ALLOW(w, llama2_eval(c, tokens, (size_t)count), LLAMA2_E_CONTEXT_FULL, LLAMA2_E_CANCELLED);
    ONLY(w, llama2_context_set_cancel(c, NULL, NULL), LLAMA2_OK);
    if (i == LLAMA2_E_CONTEXT_FULL) {
        if (below(w, 2)) ONLY(w, llama2_context_reset(c), LLAMA2_OK);
        else for (i = 0; i < 3; i++) ONLY(w, llama2_sequence_remove(c, i, 0), LLAMA2_OK);
    }
}

static void generate(worker *w, llama2_context *c) {
    llama2_generate_options o;
    llama2_text stop = {"the", 3};
    int32_t prompt[4];
    int i;
    llama2_generate_options_init(&o);
    for (i = 0; i < 4; i++) prompt[i] = 3 + below(w, 500);
    o.prompt = prompt;
    o.prompt_count = (size_t)below(w, 5);
    o.stops = &stop;
    o.stop_count = (size_t)below(w, 2);
    o.max_tokens = (uint64_t)(1 + below(w, 20));
    w->countdown = below(w, 2) ? 0 : 1 + below(w, 60);
    ONLY(w, llama2_context_set_cancel(c, count_down, w), LLAMA2_OK);
    ALLOW(w, llama2_generate(c, w->sampler, &o, stop_at_times, w), LLAMA2_E_CONTEXT_FULL, LLAMA2_E_CANCELLED, LLAMA2_E_NO_LOGITS);
    ONLY(w, llama2_context_set_cancel(c, NULL, NULL), LLAMA2_OK);
}

static void quantize(worker *w) {
    static const char *const types[] = {"Q4_0", "Q8_0", "F16", "BF16", "Q5_1"};
    llama2_quantize_options o;
    llama2_model *model;
    char path[300];
    snprintf(path, sizeof path, "%s/made-%d.gguf", folder, w->number);
    llama2_quantize_options_init(&o);
    o.threads = 1;
    o.type = types[below(w, 5)];
    o.progress = stop_progress;
    o.user_data = w;
    if (ALLOW(w, llama2_quantize(model_path, path, &o, NULL, 0), LLAMA2_E_CANCELLED, LLAMA2_E_NO_MEMORY) != LLAMA2_OK) return;
    if (ALLOW(w, llama2_model_load(path, NULL, &model, NULL, 0), LLAMA2_E_NO_MEMORY) == LLAMA2_OK) llama2_model_free(model);
    unlink(path);
}

/* A file with some bytes changed or the end cut off; what loads is evaluated for a token. */
static void hostile(worker *w) {
    llama2_model_options o;
    llama2_context_options small;
    llama2_model *model;
    llama2_context *context;
    unsigned char *copy = malloc(gguf_size);
    size_t size = gguf_size;
    int32_t token = 1;
    int i, count = 1 + below(w, 8), head = below(w, 4);
    if (!copy) return;
    memcpy(copy, gguf, size);
    for (i = 0; i < count; i++) copy[next(w) % (head ? 12000 : size)] = below(w, 3) ? (unsigned char)next(w) : 255;
    if (below(w, 4) == 0) size = next(w) % size;
    llama2_model_options_init(&o);
    llama2_context_options_init(&small);
    small.context_length = 16;
    small.threads = 1;
    if (ALLOW(w, llama2_model_load_memory(copy, size, &o, &model, NULL, 0), LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, LLAMA2_E_UNSUPPORTED, LLAMA2_E_NO_MEMORY,
              LLAMA2_E_INVALID_ARGUMENT) == LLAMA2_OK) {
        if (ALLOW(w, llama2_context_create(model, &small, &context, NULL, 0), LLAMA2_E_NO_MEMORY) == LLAMA2_OK) {
            ALLOW(w, llama2_eval(context, &token, 1), LLAMA2_E_INVALID_TOKEN, LLAMA2_E_UNSUPPORTED); /* a changed weight: a key that no F16 holds */
            llama2_context_free(context);
        }
        llama2_model_free(model);
    }
    free(copy);
}

static void wrong_argument(worker *w, llama2_context *c) {
    llama2_batch_entry entry = {1, 0, 0};
    llama2_context_options o;
    llama2_context *none = (llama2_context *)w;
    llama2_model *model;
    const float *logits;
    size_t n = 0;
    int32_t token = 1;
    llama2_context_options_init(&o);
    switch (below(w, 16)) {
    case 0: ONLY(w, llama2_eval(NULL, &token, 1), LLAMA2_E_NULL_ARGUMENT); break;
    case 1: ONLY(w, llama2_eval(c, NULL, 1), LLAMA2_E_NULL_ARGUMENT); break;
    case 2: ONLY(w, llama2_eval(c, &token, 0), LLAMA2_E_INVALID_ARGUMENT); break;
    case 3: token = -1; ONLY(w, llama2_eval_batch(c, &entry, (size_t)-1), LLAMA2_E_INVALID_ARGUMENT); break;
    case 4: ONLY(w, llama2_eval(c, &token, (size_t)1 << 40), LLAMA2_E_CONTEXT_FULL); break;
    case 5: ONLY(w, llama2_logits(c, (size_t)-1, &logits, &n), LLAMA2_E_NO_LOGITS); break;
    case 6: ONLY(w, llama2_sequence_remove(c, 3, 0), LLAMA2_E_OUT_OF_RANGE); break;
    case 7: ONLY(w, llama2_sequence_length(c, -1, &n), LLAMA2_E_OUT_OF_RANGE); break;
    case 8: ONLY(w, llama2_sample(c, (llama2_sampler *)c, &token), LLAMA2_E_BAD_HANDLE); break;
    case 9: ONLY(w, llama2_eval((llama2_context *)w->sampler, &token, 1), LLAMA2_E_BAD_HANDLE); break;
    case 10: ONLY(w, llama2_sampler_accept(w->sampler, -1), LLAMA2_E_INVALID_TOKEN); break;
    case 11: o.struct_size = 3; ONLY(w, llama2_context_create(w->model, &o, &none, NULL, 0), LLAMA2_E_STRUCT_SIZE); break;
    case 12: o.flags = 64; ONLY(w, llama2_context_create(w->model, &o, &none, NULL, 0), LLAMA2_E_INVALID_ARGUMENT); break;
    case 13: ONLY(w, llama2_model_load("/nowhere", NULL, &model, NULL, 0), LLAMA2_E_IO); break;
    case 14: ONLY(w, llama2_detokenize(w->model, (int32_t[]){512}, 1, 0, NULL, 0, &n), LLAMA2_E_INVALID_TOKEN); break;
    default: ONLY(w, llama2_perplexity(c, &token, 1, 4, NULL, NULL, NULL), LLAMA2_E_NULL_ARGUMENT); break;
    }
}

static void freed(worker *w) {
    llama2_context *c = w->contexts[1];
    llama2_sampler *s;
    int32_t token = 1;
    llama2_context_free(c); /* NULL does nothing */
    llama2_context_free(c);
    ONLY(w, llama2_eval(c, &token, 1), c ? LLAMA2_E_BAD_HANDLE : LLAMA2_E_NULL_ARGUMENT);
    w->contexts[1] = NULL;
    create(w, 1);
    if (ALLOW(w, llama2_sampler_create(NULL, &s, NULL, 0), LLAMA2_E_NO_MEMORY) != LLAMA2_OK) return;
    llama2_sampler_free(s);
    llama2_sampler_free(s);
    ONLY(w, llama2_sampler_reset(s), LLAMA2_E_BAD_HANDLE);
}

/* A context that all threads use without asking: each gets its turn or LLAMA2_E_BUSY. */
static void collide(worker *w) {
    llama2_context *c = shared_contexts[below(w, 2)];
    int32_t tokens[20], status;
    size_t n;
    int i;
    for (i = 0; i < 20; i++) tokens[i] = below(w, 512);
    switch (below(w, 5)) {
    case 0: status = ALLOW(w, llama2_context_reset(c), LLAMA2_E_BUSY); break;
    case 1: status = ALLOW(w, llama2_sequence_length(c, 0, &n), LLAMA2_E_BUSY); break;
    case 2: status = ALLOW(w, llama2_sample(c, w->sampler, tokens), LLAMA2_E_BUSY, LLAMA2_E_NO_LOGITS); break;
    default: status = ALLOW(w, llama2_eval(c, tokens, (size_t)(1 + below(w, 20))), LLAMA2_E_BUSY, LLAMA2_E_CONTEXT_FULL);
    }
    if (status == LLAMA2_E_BUSY) __atomic_add_fetch(&collisions, 1, __ATOMIC_RELAXED);
}

static void known_prompt(worker *w) {
    llama2_context_options o;
    llama2_context *c;
    const float *logits;
    size_t n;
    llama2_context_options_init(&o);
    o.context_length = 32;
    o.threads = 1;
    if (ALLOW(w, llama2_context_create(shared_model, &o, &c, NULL, 0), LLAMA2_E_NO_MEMORY) != LLAMA2_OK) return;
    ONLY(w, llama2_eval(c, known, sizeof known / sizeof *known), LLAMA2_OK);
    ONLY(w, llama2_logits(c, 0, &logits, &n), LLAMA2_OK);
    if (n != 512 || memcmp(logits, expected, sizeof expected)) wrong(w, "other logits", 0);
    llama2_context_free(c);
}

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
