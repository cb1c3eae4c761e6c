/* A part of lifecycle.c: fork, at any moment, also inside of callbacks and while other threads work. */
#ifndef TEST_LIFECYCLE_FORKS_H
#define TEST_LIFECYCLE_FORKS_H

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

#endif
