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

/* ---- Handles that all threads use and free at once: only the statuses that are promised ----------------------------- */

#define THREADS 8
#define SHARED 4
static llama2_model *model_of_all;
static llama2_context *contexts[SHARED];
static llama2_sampler *samplers[SHARED];
static llama2_decoder *decoders[SHARED];
static uint64_t expected_of_all;
static long rounds, served, refused;

static uint32_t dice(uint32_t *state) { return (*state = *state * 1664525u + 1013904223u) >> 8; }
static int counted(int32_t status) {
    EXPECT(status == LLAMA2_OK || status == LLAMA2_E_BUSY || status == LLAMA2_E_BAD_HANDLE || status == LLAMA2_E_NO_LOGITS
        || status == LLAMA2_E_CONTEXT_FULL);
    __atomic_add_fetch(status == LLAMA2_OK ? &served : &refused, 1, __ATOMIC_RELAXED);
    return status == LLAMA2_OK;
}
#define HANDLE(table) __atomic_load_n(&table[slot], __ATOMIC_RELAXED)

static void *use_and_free(void *argument) {
    uint32_t state = (uint32_t)(uintptr_t)argument * 7919;
    llama2_context *context;
    llama2_sampler *sampler;
    llama2_decoder *decoder;
    size_t length;
    char text[64];
    int32_t token;
    long i;
    for (i = 0; i < rounds; i++) {
        int slot = (int)(dice(&state) % SHARED);
        switch (dice(&state) % 12) {
        case 0: context = make_context(model_of_all, 1 + dice(&state) % 2);
            llama2_context_free(__atomic_exchange_n(&contexts[slot], context, __ATOMIC_ACQ_REL)); break;
        case 1: sampler = make_sampler(dice(&state));
            llama2_sampler_free(__atomic_exchange_n(&samplers[slot], sampler, __ATOMIC_ACQ_REL)); break;
        case 2: OK(llama2_decoder_create(model_of_all, 0, &decoder, NULL, 0));
            llama2_decoder_free(__atomic_exchange_n(&decoders[slot], decoder, __ATOMIC_ACQ_REL)); break;
        case 3: case 4: counted(llama2_decoder_append(HANDLE(decoders), 300 + (int32_t)(dice(&state) % 200), text, sizeof text, &length)); break;
        case 5: counted(llama2_sampler_accept(HANDLE(samplers), 5)); break;
        case 6: counted(llama2_sampler_reset(HANDLE(samplers))); break;
        case 7: counted(llama2_context_reset(HANDLE(contexts))); break;
        case 8: counted(llama2_sample(HANDLE(contexts), HANDLE(samplers), &token)); break;
        case 9: context = make_context(model_of_all, 2); /* nobody else's: the answer is exact whatever goes on */
            EXPECT(answer(context) == expected_of_all);
            llama2_context_free(context); break;
        default: counted(llama2_eval(HANDLE(contexts), prompt, 1 + dice(&state) % PROMPT)); break;
        }
    }
    return NULL;
}

static void shared_handles(char **arguments) {
    pthread_t threads[THREADS];
    int i;
    rounds = atol(arguments[1]);
    model_of_all = load(arguments[0]);
    for (i = 0; i < SHARED; i++) {
        contexts[i] = make_context(model_of_all, 1 + (uint32_t)i % 2);
        samplers[i] = make_sampler(1);
        OK(llama2_decoder_create(model_of_all, 0, &decoders[i], NULL, 0));
    }
    expected_of_all = answer(contexts[0]);
    for (i = 0; i < THREADS; i++) EXPECT(pthread_create(&threads[i], NULL, use_and_free, (void *)(uintptr_t)(i + 1)) == 0);
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (i = 0; i < SHARED; i++) {
        llama2_context_free(contexts[i]);
        llama2_sampler_free(samplers[i]);
        llama2_decoder_free(decoders[i]);
    }
    llama2_model_free(model_of_all);
    EXPECT(served > 0);
    printf("%ld calls served, %ld refused, ", served, refused);
}

/* ---- One model, 8 contexts on 8 threads, made and freed in any order -------------------------------------------------- */

static pthread_barrier_t together;
static llama2_context *own[THREADS];

static void *use_own(void *argument) {
    uint32_t index = (uint32_t)(uintptr_t)argument, state = index + 1;
    struct timespec moment = {0, 0};
    long i;
    for (i = 0; i < rounds; i++) {
        moment.tv_nsec = (long)(dice(&state) % 300000);
        nanosleep(&moment, NULL);
        own[index] = make_context(model_of_all, 1 + dice(&state) % 3);
        EXPECT(answer(own[index]) == expected_of_all);
        pthread_barrier_wait(&together);
        /* every context has an answer now; each is freed by another thread than its own */
        llama2_context_free(own[(index + 1 + (uint32_t)i % (THREADS - 1)) % THREADS]);
        pthread_barrier_wait(&together);
        EXPECT(llama2_eval(own[index], prompt, 1) == LLAMA2_E_BAD_HANDLE);
    }
    own[index] = make_context(model_of_all, 2);
    pthread_barrier_wait(&together);
    if (index == 3) llama2_model_free(model_of_all); /* the contexts keep what they need */
    EXPECT(answer(own[index]) == expected_of_all);
    llama2_context_free(own[index]);
    return NULL;
}

static void shared_model(char **arguments) {
    pthread_t threads[THREADS];
    llama2_context *context;
    int i;
    rounds = atol(arguments[1]);
    model_of_all = load(arguments[0]);
    context = make_context(model_of_all, 1);
    expected_of_all = answer(context);
    llama2_context_free(context);
    pthread_barrier_init(&together, NULL, THREADS);
    for (i = 0; i < THREADS; i++) EXPECT(pthread_create(&threads[i], NULL, use_own, (void *)(uintptr_t)i) == 0);
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    EXPECT(llama2_context_create(model_of_all, NULL, &context, NULL, 0) == LLAMA2_E_BAD_HANDLE);
}

int main(int argc, char **argv) {
    const part parts[] = {
        {"callbacks", callbacks}, {"second-thread", second_thread}, {"freed-while-inside", freed_while_inside},
        {"shared-handles", shared_handles}, {"shared-model", shared_model}, {NULL, NULL}};
    return run_part(parts, argc, argv);
}
