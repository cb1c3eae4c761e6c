/* Hosts that are set up otherwise than most: environment PART MODEL OUTPUT
 * signals at 1 kHz, other floating-point modes, small stacks. */
#define _GNU_SOURCE
#include "host.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *path, *output;

/* ---- Everything once, to one number that stands for all results ---------------------------------------------------------- */

static int (*check_callback)(void); /* asked inside of callbacks */
static void inside(void) { EXPECT(!check_callback || check_callback()); }
static int32_t at_layer(void *data) { (void)data; inside(); return 0; }
static int32_t at_window(const llama2_perplexity_result *so_far, size_t windows, void *data) { (void)so_far; (void)windows; (void)data; inside(); return 0; }
static int32_t at_progress(double done, void *data) { (void)done; (void)data; inside(); return 0; }
static int32_t at_piece(const char *piece, size_t length, void *data) {
    uint64_t *hash = data;
    inside();
    *hash = *hash * 31 + fingerprint(piece, length);
    return 0;
}
static int32_t at_read(uint64_t offset, void *buffer, size_t length, void *data) {
    FILE *file = data;
    inside();
    return fseek(file, (long)offset, SEEK_SET) != 0 || fread(buffer, 1, length, file) != length;
}

static uint64_t of_file(const char *name) {
    FILE *file = fopen(name, "rb");
    static char buffer[1 << 21];
    size_t size;
    EXPECT(file != NULL);
    size = fread(buffer, 1, sizeof buffer, file);
    EXPECT(size > 100000 && size < sizeof buffer);
    fclose(file);
    return fingerprint(buffer, size);
}

static int (*check_call)(void); /* asked after each call */
#define STEP(call) do { OK(call); EXPECT(!check_call || check_call()); } while (0)

static uint64_t everything(void) {
    static const char *types[] = {"Q8_0", "Q4_0", "Q4_K_M"};
    static const uint32_t kernels[] = {LLAMA2_KERNELS_REFERENCE, LLAMA2_KERNELS_BEST};
    static char text[4096];
    uint64_t hash = 1;
    llama2_model_options model_options;
    llama2_context_options context_options;
    llama2_sampler_options sampler_options;
    llama2_generate_options generate;
    llama2_quantize_options quantize;
    llama2_perplexity_result result;
    llama2_io io;
    llama2_model *model, *read;
    llama2_context *context;
    llama2_sampler *sampler;
    llama2_decoder *decoder;
    FILE *file = fopen(path, "rb");
    int32_t tokens[64], i;
    float probabilities[4];
    const float *logits;
    size_t count, length, k;

    llama2_model_options_init(&model_options);
    model_options.flags = LLAMA2_MODEL_COPY;
    STEP(llama2_model_load(path, &model_options, &model, NULL, 0));
    memset(&io, 0, sizeof io);
    io.struct_size = sizeof io;
    EXPECT(file != NULL && fseek(file, 0, SEEK_END) == 0);
    io.size = (uint64_t)ftell(file);
    io.read = at_read;
    io.user_data = file;
    STEP(llama2_model_load_io(&io, NULL, &read, NULL, 0));
    fclose(file);
    llama2_model_free(read);
    STEP(llama2_tokenize(model, "Once upon a time, there was", 27, LLAMA2_TOKENIZE_BOS, tokens, 64, &count));
    hash = hash * 31 + fingerprint(tokens, count * sizeof *tokens);
    STEP(llama2_decoder_create(model, 0, &decoder, NULL, 0));
    for (k = 0; k < count; k++) {
        STEP(llama2_decoder_append(decoder, tokens[k], text, sizeof text, &length));
        hash = hash * 31 + fingerprint(text, length);
    }
    llama2_decoder_free(decoder);
    for (k = 0; k < 2; k++) {
        llama2_context_options_init(&context_options);
        context_options.threads = 2;
        context_options.context_length = 128;
        context_options.kernels = kernels[k];
        STEP(llama2_context_create(model, &context_options, &context, NULL, 0));
        STEP(llama2_context_set_cancel(context, at_layer, NULL));
        STEP(llama2_eval(context, tokens, count));
        STEP(llama2_logits(context, 0, &logits, &length));
        hash = hash * 31 + fingerprint(logits, length * sizeof *logits);
        llama2_sampler_options_init(&sampler_options);
        sampler_options.seed = 5;
        sampler_options.temperature = 1.3f;
        sampler_options.repetition_penalty = 1.1f;
        STEP(llama2_sampler_create(&sampler_options, &sampler, NULL, 0));
        for (i = 0; i < 20; i++) {
            int32_t token;
            STEP(llama2_sample(context, sampler, &token));
            STEP(llama2_eval(context, &token, 1));
            hash = hash * 31 + (uint64_t)token;
        }
        llama2_generate_options_init(&generate);
        generate.max_tokens = 20;
        STEP(llama2_generate(context, sampler, &generate, at_piece, &hash));
        memset(&result, 0, sizeof result);
        result.struct_size = sizeof result;
        STEP(llama2_perplexity(context, tokens, count, 4, at_window, NULL, &result));
        hash = hash * 31 + fingerprint(&result.perplexity, 3 * sizeof result.perplexity);
        STEP(llama2_score(context, tokens, 2, tokens + 2, 4, probabilities, NULL));
        hash = hash * 31 + fingerprint(probabilities, sizeof probabilities);
        llama2_sampler_free(sampler);
        llama2_context_free(context);
    }
    llama2_model_free(model);
    for (k = 0; k < sizeof types / sizeof *types; k++) {
        llama2_quantize_options_init(&quantize);
        quantize.type = types[k];
        quantize.threads = 2;
        quantize.progress = at_progress;
        STEP(llama2_quantize(path, output, &quantize, NULL, 0));
        hash = hash * 31 + of_file(output);
    }
    EXPECT(llama2_model_load("/nowhere", NULL, &model, NULL, 0) == LLAMA2_E_IO);
    EXPECT(!check_call || check_call());
    return hash;
}

/* ---- Signals ---------------------------------------------------------------------------------------------------------------- */

static __thread int is_host_thread;
static int handled, elsewhere; /* by several threads */
static void handler(int number) {
    int code = errno;
    (void)number;
    __atomic_add_fetch(&handled, 1, __ATOMIC_RELAXED);
    if (!is_host_thread) __atomic_add_fetch(&elsewhere, 1, __ATOMIC_RELAXED);
    errno = code;
}

static int sender_ends;
static pthread_barrier_t sender_is_known;
static void *send_signals(void *process) { /* to the process, so that any thread may get them that does not block them */
    struct timespec moment = {0, 1000000};
    is_host_thread = 1;
    pthread_barrier_wait(&sender_is_known);
    while (!__atomic_load_n(&sender_ends, __ATOMIC_RELAXED)) {
        pid_t pid = fork(); /* SIGCHLD */
        if (pid == 0) _exit(0);
        kill(*(pid_t *)process, SIGINT);
        nanosleep(&moment, NULL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    }
    return NULL;
}

static void signals(char **arguments) {
    static const int numbers[] = {SIGINT, SIGPROF, SIGALRM, SIGCHLD};
    struct itimerval kilohertz = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;
    uint64_t quiet = everything();
    pid_t self = getpid();
    pthread_t sender;
    size_t i;
    (void)arguments;
    is_host_thread = 1;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler; /* without SA_RESTART: system calls are interrupted */
    for (i = 0; i < sizeof numbers / sizeof *numbers; i++) EXPECT(sigaction(numbers[i], &action, NULL) == 0);
    EXPECT(pthread_barrier_init(&sender_is_known, NULL, 2) == 0);
    EXPECT(pthread_create(&sender, NULL, send_signals, &self) == 0);
    pthread_barrier_wait(&sender_is_known); /* no signal comes before the threads have said whose they are */
    EXPECT(setitimer(ITIMER_PROF, &kilohertz, NULL) == 0 && setitimer(ITIMER_REAL, &kilohertz, NULL) == 0);
    for (i = 0; i < 8 || __atomic_load_n(&handled, __ATOMIC_RELAXED) < 1000; i++) EXPECT(everything() == quiet);
    EXPECT(setitimer(ITIMER_PROF, &never, NULL) == 0 && setitimer(ITIMER_REAL, &never, NULL) == 0);
    __atomic_store_n(&sender_ends, 1, __ATOMIC_RELAXED);
    pthread_join(sender, NULL);
    printf("%d signals, %d of them on the library's threads, ", (int)handled, (int)elsewhere);
    EXPECT(elsewhere == 0);
}

/* ---- Floating-point modes --------------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
static uint32_t sse_mode;
static uint16_t x87_mode;
static void set_mode(void) { __asm__ volatile("ldmxcsr %0\n\tfldcw %1" : : "m"(sse_mode), "m"(x87_mode)); }
static int is_mode(void) {
    uint32_t sse;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse), "=m"(x87));
    return sse == sse_mode && x87 == x87_mode; /* the flags of exceptions too */
}

static void floats(char **arguments) {
    static const struct { const char *name; uint32_t sse; uint16_t x87; } modes[] = {
        {"flush to zero", 0x9f80, 0x37f}, {"denormals are zero", 0x1fc0, 0x37f}, {"both", 0x9fc0, 0x37f},
        {"down", 0x3f80, 0x77f}, {"up", 0x5f80, 0xb7f}, {"towards zero", 0x7f80, 0xf7f},
        {"single precision on the x87", 0x1f80, 0x07f}, {"all exceptions trap", 0x0000, 0x340},
        {"flags are set", 0x1fbf, 0x37f}};
    uint64_t usual = everything();
    size_t i;
    (void)arguments;
    check_call = check_callback = is_mode;
    for (i = 0; i < sizeof modes / sizeof *modes; i++) {
        uint64_t hash;
        sse_mode = modes[i].sse;
        x87_mode = modes[i].x87;
        set_mode();
        hash = everything();
        EXPECT(is_mode());
        sse_mode = 0x1f80;
        x87_mode = 0x37f;
        set_mode();
        if (hash != usual) { printf("%s: other bits\n", modes[i].name); exit(1); }
    }
}
#else
static void floats(char **arguments) { (void)arguments; }
#endif

/* ---- Stacks ------------------------------------------------------------------------------------------------------------------ */

#define STACK (64 * 1024)
static char *stack;

static void *on_small_stack(void *result) {
    *(uint64_t *)result = everything();
    return NULL;
}

static void stacks(char **arguments) {
    uint64_t usual = everything(), hash = 0;
    pthread_attr_t attributes;
    pthread_t thread;
    size_t untouched = 0;
    (void)arguments;
    EXPECT((stack = mmap(NULL, STACK + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) != MAP_FAILED);
    EXPECT(mprotect(stack, 4096, PROT_NONE) == 0);
    memset(stack + 4096, 0xa5, STACK);
    EXPECT(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack + 4096, STACK) == 0);
    EXPECT(pthread_create(&thread, &attributes, on_small_stack, &hash) == 0);
    pthread_join(thread, NULL);
    EXPECT(hash == usual);
    while (untouched < STACK && stack[4096 + untouched] == (char)0xa5) untouched++;
    printf("%lu of %d bytes of stack used, ", (unsigned long)(STACK - untouched), STACK);
}

int main(int argc, char **argv) {
    const part parts[] = {{"signals", signals}, {"floats", floats}, {"stacks", stacks}, {NULL, NULL}};
    if (argc != 4) return 2;
    path = argv[2];
    output = argv[3];
    return run_part(parts, argc, argv);
}
