/* What the C hosts of the tests share: checks, a model, a context, the fingerprint of its logits. */
#ifndef TEST_HOST_H
#define TEST_HOST_H
#include <llama2swift.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition) \
    do { if (!(condition)) { fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, llama2_last_error()); exit(1); } } while (0)
#define OK(call) EXPECT((call) == LLAMA2_OK)

static const int32_t prompt[] = {1, 403, 407, 261, 378, 432, 383, 286, 261, 376};
#define PROMPT (sizeof prompt / sizeof *prompt)

static inline llama2_model *load(const char *path) {
    llama2_model *model;
    OK(llama2_model_load(path, NULL, &model, NULL, 0));
    return model;
}

static inline llama2_context *make_context(llama2_model *model, uint32_t threads) {
    llama2_context_options options;
    llama2_context *context;
    llama2_context_options_init(&options);
    options.threads = threads;
    options.context_length = 128;
    OK(llama2_context_create(model, &options, &context, NULL, 0));
    return context;
}

static inline llama2_sampler *make_sampler(uint64_t seed) {
    llama2_sampler_options options;
    llama2_sampler *sampler;
    llama2_sampler_options_init(&options);
    options.seed = seed;
    OK(llama2_sampler_create(&options, &sampler, NULL, 0));
    return sampler;
}

/* FNV-1a */
static inline uint64_t fingerprint(const void *data, size_t size) {
    const unsigned char *p = data;
    uint64_t hash = 14695981039346656037u;
    while (size--) hash = (hash ^ *p++) * 1099511628211u;
    return hash;
}

/* Evaluates the prompt in an empty context; the fingerprint of the logits. */
static inline uint64_t answer(llama2_context *context) {
    const float *logits;
    size_t count;
    OK(llama2_context_reset(context));
    OK(llama2_eval(context, prompt, PROMPT));
    OK(llama2_logits(context, 0, &logits, &count));
    return fingerprint(logits, count * sizeof *logits);
}

/* A program of these is `PROGRAM PART ARGUMENT...`; each part is a function with the arguments. */
typedef struct { const char *name; void (*run)(char **arguments); } part;

static inline int run_part(const part *parts, int argc, char **argv) {
    for (; parts->name; parts++) {
        if (argc > 2 && strcmp(argv[1], parts->name) == 0) { parts->run(argv + 2); printf("%s: as it should be\n", argv[1]); return 0; }
    }
    fprintf(stderr, "no part %s\n", argc > 1 ? argv[1] : "given");
    return 2;
}
#endif
