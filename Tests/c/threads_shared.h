/* A part of threads.c: handles that all threads use and free at once, with only the statuses that are promised; one model with eight contexts on eight threads. */
#ifndef TEST_THREADS_SHARED_H
#define TEST_THREADS_SHARED_H

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

#endif
