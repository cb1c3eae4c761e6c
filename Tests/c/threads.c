/* Several threads, and callbacks that call back in: threads PART MODEL [COUNT] */
#define _POSIX_C_SOURCE 200809L
#include "host.h"
#include <pthread.h>
#include <sched.h>
#include <time.h>

/* ---- What a second caller gets: BUSY from each function of a context, and nothing has changed ---------------------- */

static void expect_busy(llama2_context *context, llama2_sampler *sampler) {
    const llama2_batch_entry entry = {1, 0, LLAMA2_BATCH_LOGITS};
    const int32_t tokens[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    llama2_context_info info;
    llama2_timings timings = {sizeof timings, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    llama2_perplexity_result result = {sizeof result, 0, 0, 0, 0, 0};
    const float *logits = NULL;
    float probability = 7;
    int32_t token = -5;
    size_t count = 99;
    uint64_t bytes = 99;
    llama2_struct_init(&info, sizeof info);
    EXPECT(llama2_eval(context, prompt, 1) == LLAMA2_E_BUSY);
    EXPECT(llama2_eval_batch(context, &entry, 1) == LLAMA2_E_BUSY);
    EXPECT(llama2_logits_rows(context, &count) == LLAMA2_E_BUSY && count == 99);
    EXPECT(llama2_logits(context, 0, &logits, &count) == LLAMA2_E_BUSY && logits == NULL);
    EXPECT(llama2_sequence_length(context, 0, &count) == LLAMA2_E_BUSY && count == 99);
    EXPECT(llama2_sequence_remove(context, 0, 0) == LLAMA2_E_BUSY);
    EXPECT(llama2_sequence_copy(context, 0, 1, 0) == LLAMA2_E_BUSY);
    EXPECT(llama2_sequence_shift(context, 0, 0, 0) == LLAMA2_E_BUSY);
    EXPECT(llama2_sequence_adopt(context, 0, tokens, 8, &count) == LLAMA2_E_BUSY && count == 99);
    EXPECT(llama2_state_size(context, 0, &bytes) == LLAMA2_E_BUSY && bytes == 99);
    EXPECT(llama2_state_save(context, 0, "/nowhere/state") == LLAMA2_E_BUSY);
    EXPECT(llama2_state_save_memory(context, 0, NULL, 0, &count) == LLAMA2_E_BUSY && count == 99);
    EXPECT(llama2_state_save_io(context, 0, NULL, NULL) == LLAMA2_E_BUSY);
    EXPECT(llama2_state_load(context, 0, "/nowhere/state") == LLAMA2_E_BUSY);
    EXPECT(llama2_state_load_memory(context, 0, tokens, sizeof tokens) == LLAMA2_E_BUSY);
    EXPECT(llama2_state_load_io(context, 0, NULL) == LLAMA2_E_BUSY);
    EXPECT(llama2_context_reset(context) == LLAMA2_E_BUSY);
    EXPECT(llama2_context_set_cancel(context, NULL, NULL) == LLAMA2_E_BUSY);
    EXPECT(llama2_context_get_info(context, &info) == LLAMA2_E_BUSY && info.threads == 0);
    EXPECT(llama2_context_timings(context, &timings) == LLAMA2_E_BUSY);
    EXPECT(llama2_sample(context, sampler, &token) == LLAMA2_E_BUSY && token == -5);
    EXPECT(llama2_generate(context, sampler, NULL, NULL, NULL) == LLAMA2_E_BUSY);
    EXPECT(llama2_perplexity(context, tokens, 8, 8, NULL, NULL, &result) == LLAMA2_E_BUSY);
    EXPECT(llama2_score(context, tokens, 1, tokens, 1, &probability, NULL) == LLAMA2_E_BUSY && probability == 7);
    EXPECT(llama2_embeddings(context, tokens, &count, 1, LLAMA2_POOLING_MEAN, 0, &probability, 1, &count) == LLAMA2_E_BUSY && probability == 7);
    EXPECT(llama2_importance(context, tokens, 8, 8, "/nowhere/at/all", NULL, NULL) == LLAMA2_E_BUSY);
    EXPECT(strstr(llama2_last_error(), "in use") != NULL);
    EXPECT(strcmp(llama2_context_last_error(context), "") == 0);
}

typedef struct {
    llama2_context *context;
    llama2_sampler *sampler;
    int calls;
} inside;

static int32_t cancel_calls_in(void *data) {
    inside *i = data;
    if (i->calls++ == 0) expect_busy(i->context, i->sampler);
    return 0;
}
static int32_t piece_calls_in(const char *piece, size_t length, void *data) {
    EXPECT(piece != NULL && length > 0);
    return cancel_calls_in(data);
}
static int32_t progress_calls_in(double part_done, void *data) {
    EXPECT(part_done >= 0 && part_done <= 1);
    return cancel_calls_in(data);
}
static int32_t perplexity_calls_in(const llama2_perplexity_result *so_far, size_t windows, void *data) {
    EXPECT(so_far->windows <= windows);
    return cancel_calls_in(data);
}

static void callbacks(char **arguments) {
    llama2_model *model = load(arguments[0]);
    llama2_generate_options options;
    llama2_perplexity_result result = {sizeof result, 0, 0, 0, 0, 0};
    inside i = {NULL, NULL, 0};
    uint64_t expected;
    uint32_t threads;
    for (threads = 1; threads <= 3; threads++) {
        i.context = make_context(model, threads);
        i.sampler = make_sampler(1);
        expected = answer(i.context);
        OK(llama2_context_set_cancel(i.context, cancel_calls_in, &i));
        i.calls = 0;
        EXPECT(answer(i.context) == expected && i.calls > 0);
        OK(llama2_context_set_cancel(i.context, NULL, NULL));
        llama2_generate_options_init(&options);
        options.max_tokens = 5;
        i.calls = 0;
        OK(llama2_generate(i.context, i.sampler, &options, piece_calls_in, &i));
        EXPECT(i.calls > 0);
        i.calls = 0;
        OK(llama2_perplexity(i.context, prompt, PROMPT, 5, perplexity_calls_in, &i, &result));
        EXPECT(i.calls == 2);
        i.calls = 0;
        OK(llama2_importance(i.context, prompt, PROMPT, 5, arguments[1], progress_calls_in, &i));
        EXPECT(i.calls == 2);
        EXPECT(answer(i.context) == expected);
        llama2_context_free(i.context);
        llama2_sampler_free(i.sampler);
    }
    llama2_model_free(model);
}

/* A callback that stays inside until it is told to go on: whatever happens meanwhile happens while an eval runs. */
typedef struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int entered, go_on;
    llama2_context *context;
    int32_t status;
} meeting;

static int32_t stay(void *data) {
    meeting *m = data;
    pthread_mutex_lock(&m->mutex);
    m->entered = 1;
    pthread_cond_broadcast(&m->changed);
    while (!m->go_on) pthread_cond_wait(&m->changed, &m->mutex);
    pthread_mutex_unlock(&m->mutex);
    return 0;
}

static void *eval_and_stay(void *data) {
    meeting *m = data;
    m->status = llama2_eval(m->context, prompt, PROMPT);
    return NULL;
}

static pthread_t begin(meeting *m, llama2_context *context) {
    pthread_t thread;
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->changed, NULL);
    m->entered = m->go_on = 0;
    m->context = context;
    OK(llama2_context_set_cancel(context, stay, m));
    EXPECT(pthread_create(&thread, NULL, eval_and_stay, m) == 0);
    pthread_mutex_lock(&m->mutex);
    while (!m->entered) pthread_cond_wait(&m->changed, &m->mutex);
    pthread_mutex_unlock(&m->mutex);
    return thread;
}

static void finish(meeting *m, pthread_t thread) {
    pthread_mutex_lock(&m->mutex);
    m->go_on = 1;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->mutex);
    pthread_join(thread, NULL);
    EXPECT(m->status == LLAMA2_OK);
}

static void second_thread(char **arguments) {
    llama2_model *model = load(arguments[0]);
    llama2_context *context = make_context(model, 2), *other = make_context(model, 2);
    llama2_sampler *sampler = make_sampler(1);
    uint64_t expected = answer(other);
    const float *logits;
    size_t count;
    meeting m;
    pthread_t thread = begin(&m, context);
    expect_busy(context, sampler);
    EXPECT(answer(other) == expected); /* another context is not held up */
    finish(&m, thread);
    OK(llama2_logits(context, 0, &logits, &count));
    EXPECT(fingerprint(logits, count * sizeof *logits) == expected);
    llama2_context_free(context);
    llama2_context_free(other);
    llama2_sampler_free(sampler);
    llama2_model_free(model);
}

static void freed_while_inside(char **arguments) {
    llama2_model *model = load(arguments[0]);
    llama2_context *context;
    meeting m;
    pthread_t thread;
    int i;
    for (i = 0; i < 20; i++) {
        context = make_context(model, 2);
        thread = begin(&m, context);
        llama2_context_free(context); /* returns at once, with the eval under way */
        EXPECT(llama2_eval(context, prompt, 1) == LLAMA2_E_BAD_HANDLE);
        if (i == 19) llama2_model_free(model);
        finish(&m, thread);
        EXPECT(llama2_context_reset(context) == LLAMA2_E_BAD_HANDLE);
    }
}

#include "threads_shared.h"

int main(int argc, char **argv) {
    const part parts[] = {
        {"callbacks", callbacks}, {"second-thread", second_thread}, {"freed-while-inside", freed_while_inside},
        {"shared-handles", shared_handles}, {"shared-model", shared_model}, {NULL, NULL}};
    return run_part(parts, argc, argv);
}
