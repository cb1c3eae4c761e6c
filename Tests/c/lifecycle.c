/* Beginning and end of things: lifecycle PART MODEL [COUNT] */
#define _GNU_SOURCE
#include "host.h"
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *path;
static uint64_t expected;

static void wait_a_moment(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {}
}

/* ---- Many lives: memory, descriptors and threads as at the start --------------------------------------------------- */

static long entries_of(const char *folder) {
    DIR *directory = opendir(folder);
    long count = 0;
    EXPECT(directory != NULL);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

/* KiB. What the allocator keeps for later is given back first: how much that is, is chance. (statm counts late.) */
static long resident(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long size = -1;
    malloc_trim(0);
    EXPECT(file != NULL);
    while (fgets(line, sizeof line, file) && size < 0) (void)sscanf(line, "Rss: %ld kB", &size);
    fclose(file);
    EXPECT(size > 0);
    return size;
}

static void live_once(void) {
    llama2_model *model = load(path), *none;
    llama2_context *context = make_context(model, 2);
    llama2_sampler *sampler = make_sampler(3);
    llama2_decoder *decoder;
    int32_t token;
    size_t length;
    char text[64];
    OK(llama2_decoder_create(model, 0, &decoder, NULL, 0));
    llama2_model_free(model); /* the others keep what they need of it */
    EXPECT(answer(context) == expected);
    OK(llama2_sample(context, sampler, &token));
    OK(llama2_decoder_append(decoder, token, text, sizeof text, &length));
    EXPECT(llama2_eval(context, prompt, 1000) == LLAMA2_E_CONTEXT_FULL); /* failures leave nothing behind either */
    EXPECT(llama2_model_load("/nowhere", NULL, &none, NULL, 0) == LLAMA2_E_IO);
    llama2_decoder_free(decoder);
    llama2_sampler_free(sampler);
    llama2_context_free(context);
}

/* COUNT and the KiB that memory may have grown by in the end */
static void cycles(char **arguments) {
    long count = atol(arguments[1]), limit = atol(arguments[2]), i, memory = 0, descriptors = 0, tasks = 0, patience;
    llama2_model *model = load(path);
    llama2_context *context = make_context(model, 1);
    expected = answer(context);
    llama2_context_free(context);
    llama2_model_free(model);
    for (i = 0; i < count + 100; i++) {
        if (i == 100) { /* the allocator has its pools by now */
            memory = resident();
            descriptors = entries_of("/proc/self/fd");
            tasks = entries_of("/proc/self/task");
        }
        live_once();
    }
    /* a joined thread may be listed for a moment longer */
    for (patience = 0; entries_of("/proc/self/task") > tasks && patience < 100; patience++) wait_a_moment(20);
    EXPECT(entries_of("/proc/self/task") == tasks);
    EXPECT(entries_of("/proc/self/fd") == descriptors);
    printf("%ld lives, %+ld KiB resident, ", count, resident() - memory);
    EXPECT(resident() - memory <= limit);
}

/* ---- Fork ------------------------------------------------------------------------------------------------------------ */

/* The child's exit code; a child that hangs is killed by its alarm. */
static int child(int (*body)(void *), void *argument) {
    int status;
    pid_t pid;
    fflush(stdout);
    pid = fork();
    EXPECT(pid >= 0);
    if (pid == 0) {
        alarm(60);
        _exit(body(argument));
    }
    while (waitpid(pid, &status, 0) < 0) EXPECT(errno == EINTR);
    if (WIFSIGNALED(status)) { fprintf(stderr, "the child ended by signal %d\n", WTERMSIG(status)); return -1; }
    return WEXITSTATUS(status);
}

typedef struct {
    llama2_model *model;
    llama2_context *context;
    llama2_sampler *sampler;
    llama2_decoder *decoder;
} world;

/* What a child may do, on what its parent has made. */
static int in_child(void *argument) {
    world *w = argument;
    llama2_batch_entry entry = {1, 0, 1};
    llama2_context_info info;
    const float *logits = NULL;
    int32_t token = -5, tokens[64];
    size_t count = 0, length;
    char text[64];
    llama2_context *fresh;
    int i;
    llama2_struct_init(&info, sizeof info);
    /* the context from before: a status from every function, and no hang */
    EXPECT(llama2_eval(w->context, prompt, 1) == LLAMA2_E_FORKED);
    EXPECT(strstr(llama2_last_error(), "before a fork") != NULL);
    EXPECT(strcmp(llama2_status_string(LLAMA2_E_FORKED), "made before a fork") == 0);
    EXPECT(llama2_eval_batch(w->context, &entry, 1) == LLAMA2_E_FORKED);
    EXPECT(llama2_logits(w->context, 0, &logits, &count) == LLAMA2_E_FORKED && logits == NULL);
    EXPECT(llama2_context_reset(w->context) == LLAMA2_E_FORKED);
    EXPECT(llama2_context_get_info(w->context, &info) == LLAMA2_E_FORKED);
    EXPECT(llama2_sample(w->context, w->sampler, &token) == LLAMA2_E_FORKED && token == -5);
    EXPECT(llama2_generate(w->context, w->sampler, NULL, NULL, NULL) == LLAMA2_E_FORKED);
    EXPECT(llama2_context_last_error(w->context) != NULL);
    /* all else works */
    OK(llama2_tokenize(w->model, "Once upon", 9, 0, tokens, 64, &count));
    OK(llama2_decoder_append(w->decoder, tokens[0], text, sizeof text, &length));
    fresh = make_context(w->model, 3);
    EXPECT(answer(fresh) == expected);
    OK(llama2_sample(fresh, w->sampler, &token));
    llama2_context_free(w->context);
    EXPECT(llama2_context_reset(w->context) == LLAMA2_E_BAD_HANDLE);
    llama2_model_free(w->model);
    EXPECT(answer(fresh) == expected);
    llama2_context_free(fresh);
    llama2_sampler_free(w->sampler);
    llama2_decoder_free(w->decoder);
    for (i = 0; i < 3; i++) live_once();
    return 42;
}

static int two_generations(void *argument) {
    world *w = argument;
    llama2_context *mine = make_context(w->model, 2);
    world of_child = *w;
    EXPECT(answer(mine) == expected);
    of_child.context = mine;
    EXPECT(child(in_child, &of_child) == 42); /* a context of the child's is its own child's from before */
    EXPECT(answer(mine) == expected);
    return in_child(w);
}

static world make_world(void) {
    world w;
    w.model = load(path);
    w.context = make_context(w.model, 2);
    w.sampler = make_sampler(1);
    OK(llama2_decoder_create(w.model, 0, &w.decoder, NULL, 0));
    expected = answer(w.context);
    return w;
}

static int leave_with_exit(void *argument) { (void)argument; exit(43); }

static void forks(char **arguments) {
    world w = make_world();
    (void)arguments;
    EXPECT(child(in_child, &w) == 42);
    wait_a_moment(50); /* the pool's threads sleep on their condition variable now */
    EXPECT(child(in_child, &w) == 42);
    EXPECT(child(two_generations, &w) == 42);
    EXPECT(child(leave_with_exit, &w) == 43); /* destructors and all */
    EXPECT(answer(w.context) == expected); /* nothing has happened to the parent */
    llama2_context_free(w.context);
}

/* A callback forks; its child comes back from it. */
static pid_t child_of_callback;
static int32_t fork_once(void *data) {
    (void)data;
    if (child_of_callback == 0 && (child_of_callback = fork()) == 0) { child_of_callback = -1; alarm(60); }
    return 0;
}
static int32_t fork_at_piece(const char *piece, size_t length, void *data) { (void)piece; (void)length; return fork_once(data); }
static int32_t fork_at_window(const llama2_perplexity_result *so_far, size_t windows, void *data) { (void)so_far; (void)windows; return fork_once(data); }
static int32_t fork_at_progress(double done, void *data) { (void)done; return fork_once(data); }

static void parent_or_child(int32_t status) {
    int code;
    if (child_of_callback == -1) _exit(status == LLAMA2_E_FORKED ? 42 : 1);
    OK(status);
    EXPECT(waitpid(child_of_callback, &code, 0) == child_of_callback && WIFEXITED(code) && WEXITSTATUS(code) == 42);
    child_of_callback = 0;
}

static void forks_in_callbacks(char **arguments) {
    world w = make_world();
    llama2_generate_options options;
    llama2_quantize_options quantize;
    llama2_perplexity_result result = {sizeof result, 0, 0, 0, 0, 0};
    uint32_t threads;
    for (threads = 1; threads <= 3; threads += 2) {
        w.context = make_context(w.model, threads);
        OK(llama2_context_set_cancel(w.context, fork_once, NULL));
        parent_or_child(llama2_eval(w.context, prompt, PROMPT));
        OK(llama2_context_set_cancel(w.context, NULL, NULL));
        llama2_generate_options_init(&options);
        options.max_tokens = 9;
        parent_or_child(llama2_generate(w.context, w.sampler, &options, fork_at_piece, NULL));
        parent_or_child(llama2_perplexity(w.context, prompt, PROMPT, 5, fork_at_window, NULL, &result));
        llama2_quantize_options_init(&quantize);
        quantize.type = "Q8_0";
        quantize.threads = threads;
        quantize.progress = fork_at_progress;
        parent_or_child(llama2_quantize(path, arguments[1], &quantize, NULL, 0));
        llama2_model_free(load(arguments[1])); /* the parent's file is whole */
    }
}

/* Forks at any moment, while other threads are inside of everything. */
static int storm_ends;
static void *storm(void *argument) {
    (void)argument;
    while (!__atomic_load_n(&storm_ends, __ATOMIC_RELAXED)) {
        llama2_model *model = load(path);
        llama2_context *context = make_context(model, 2);
        llama2_sampler *sampler = make_sampler(1);
        int i;
        for (i = 0; i < 200; i++) { llama2_sampler_free(sampler); sampler = make_sampler(1); OK(llama2_sampler_accept(sampler, i)); }
        EXPECT(answer(context) == expected);
        llama2_context_free(context);
        llama2_model_free(model);
        llama2_sampler_free(sampler);
    }
    return NULL;
}

static void fork_storm(char **arguments) {
    long count = atol(arguments[1]), i;
    pthread_t threads[3];
    world w = make_world();
    live_once(); /* every kind of call has returned once */
    for (i = 0; i < 3; i++) EXPECT(pthread_create(&threads[i], NULL, storm, NULL) == 0);
    for (i = 0; i < count; i++) EXPECT(child(in_child, &w) == 42);
    __atomic_store_n(&storm_ends, 1, __ATOMIC_RELAXED);
    for (i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    printf("%ld forks, ", count);
}

/* ---- Exit -------------------------------------------------------------------------------------------------------------- */

static void *eval_for_ever(void *argument) {
    llama2_context *context = argument;
    for (;;) (void)answer(context);
    return NULL;
}

static int exit_idle(void *argument) {
    world w = make_world();
    (void)argument; (void)w;
    exit(7);
}

static int exit_while_evals_run(void *argument) {
    world w = make_world();
    pthread_t thread;
    int i;
    (void)argument;
    for (i = 0; i < 3; i++) EXPECT(pthread_create(&thread, NULL, eval_for_ever, make_context(w.model, 2)) == 0);
    wait_a_moment(20);
    exit(7);
}

static int32_t exit_now(void *data) { (void)data; exit(7); }
static int exit_inside_callback(void *argument) {
    world w = make_world();
    pthread_t thread;
    (void)argument;
    EXPECT(pthread_create(&thread, NULL, eval_for_ever, make_context(w.model, 2)) == 0);
    OK(llama2_context_set_cancel(w.context, exit_now, NULL));
    EXPECT(pthread_create(&thread, NULL, eval_for_ever, w.context) == 0);
    for (;;) wait_a_moment(1000);
}

static void exits(char **arguments) {
    long count = atol(arguments[1]), i;
    for (i = 0; i < count; i++) {
        EXPECT(child(exit_idle, NULL) == 7);
        EXPECT(child(exit_while_evals_run, NULL) == 7);
        EXPECT(child(exit_inside_callback, NULL) == 7);
    }
}

int main(int argc, char **argv) {
    const part parts[] = {
        {"cycles", cycles}, {"fork", forks}, {"fork-in-callbacks", forks_in_callbacks}, {"fork-storm", fork_storm},
        {"exit", exits}, {NULL, NULL}};
    if (argc > 2) path = argv[2];
    return run_part(parts, argc, argv);
}
