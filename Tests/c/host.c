/* A host that does everything in the wrong order: host LIBRARY MODEL
 * The library is opened at run time, so that it can be closed and opened again. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <llama2swift.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks;
#define EXPECT(condition) \
    do { checks++; if (!(condition)) { printf("line %d: %s\n", __LINE__, #condition); exit(1); } } while (0)

/* The functions that are used, by their own names with a leading underscore. */
#define FUNCTION(result, name, parameters) static result (*_##name) parameters;
#define FUNCTIONS \
    FUNCTION(int32_t, llama2_model_load, (const char *, const llama2_model_options *, llama2_model **, char *, size_t)) \
    FUNCTION(void, llama2_model_free, (llama2_model *)) \
    FUNCTION(int32_t, llama2_context_create, (llama2_model *, const llama2_context_options *, llama2_context **, char *, size_t)) \
    FUNCTION(void, llama2_context_free, (llama2_context *)) \
    FUNCTION(int32_t, llama2_context_set_cancel, (llama2_context *, llama2_cancel_callback, void *)) \
    FUNCTION(int32_t, llama2_context_reset, (llama2_context *)) \
    FUNCTION(int32_t, llama2_eval, (llama2_context *, const int32_t *, size_t)) \
    FUNCTION(int32_t, llama2_logits, (const llama2_context *, size_t, const float **, size_t *)) \
    FUNCTION(int32_t, llama2_sampler_create, (const llama2_sampler_options *, llama2_sampler **, char *, size_t)) \
    FUNCTION(void, llama2_sampler_free, (llama2_sampler *)) \
    FUNCTION(int32_t, llama2_generate, (llama2_context *, llama2_sampler *, const llama2_generate_options *, llama2_piece_callback, void *)) \
    FUNCTION(void, llama2_generate_options_init, (llama2_generate_options *)) \
    FUNCTION(const char *, llama2_last_error, (void)) \
    FUNCTION(const char *, llama2_context_last_error, (const llama2_context *))
FUNCTIONS
#undef FUNCTION

static void *open_library(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) { printf("%s\n", dlerror()); exit(1); }
#define FUNCTION(result, name, parameters) *(void **)(&_##name) = dlsym(library, #name); EXPECT(_##name != NULL);
    FUNCTIONS
#undef FUNCTION
    return library;
}

static const int32_t prompt[] = {1, 403, 407, 261, 378};

static int32_t reenter(void *context) { return _llama2_context_reset(context) != LLAMA2_E_BUSY; }
static int32_t cancel(void *user_data) { (void)user_data; return 1; }

static int32_t free_inside(const char *piece, size_t length, void *user_data) {
    (void)piece; (void)length;
    _llama2_context_free(user_data);
    return 1;
}

typedef struct { llama2_model *model; const float *expected; size_t count; int failed; } job;

static void *use_model(void *argument) {
    job *j = argument;
    llama2_context *context;
    const float *logits;
    size_t count, i;
    for (i = 0; i < 20; i++) {
        if (_llama2_context_create(j->model, NULL, &context, NULL, 0) != LLAMA2_OK) { j->failed = 1; break; }
        if (_llama2_eval(context, prompt, 5) != LLAMA2_OK || _llama2_logits(context, 0, &logits, &count) != LLAMA2_OK
            || count != j->count || memcmp(logits, j->expected, count * sizeof *logits) != 0) j->failed = 1;
        _llama2_context_free(context);
    }
    return NULL;
}

int main(int argc, char **argv) {
    llama2_model *model, *again;
    llama2_context *context;
    llama2_sampler *sampler;
    llama2_generate_options options;
    llama2_generate_result result;
    const float *logits;
    float *expected;
    size_t count, i;
    pthread_t threads[8];
    job jobs[8];
    char error[40];
    void *library;

    EXPECT(argc == 3);
    for (i = 0; i < 3; i++) { /* opened, used, closed, opened again */
        library = open_library(argv[1]);
        EXPECT(_llama2_model_load(argv[2], NULL, &model, NULL, 0) == LLAMA2_OK);
        _llama2_model_free(model);
        EXPECT(dlclose(library) == 0);
    }
    library = open_library(argv[1]);

    /* errors are cut to the buffer and terminated */
    memset(error, 'x', sizeof error);
    EXPECT(_llama2_model_load("/nowhere/at/all/there/is/no/such/model.gguf", NULL, &model, error, sizeof error) == LLAMA2_E_IO);
    EXPECT(model == NULL && strlen(error) == sizeof error - 1);
    EXPECT(strstr(_llama2_last_error(), "No such file") != NULL);

    /* handles: freed twice, of another kind, made up */
    EXPECT(_llama2_model_load(argv[2], NULL, &model, NULL, 0) == LLAMA2_OK);
    EXPECT(_llama2_context_create(model, NULL, &context, NULL, 0) == LLAMA2_OK);
    EXPECT(_llama2_sampler_create(NULL, &sampler, NULL, 0) == LLAMA2_OK);
    EXPECT(_llama2_eval((llama2_context *)model, prompt, 5) == LLAMA2_E_BAD_HANDLE);
    EXPECT(_llama2_eval((llama2_context *)&count, prompt, 5) == LLAMA2_E_BAD_HANDLE);
    _llama2_context_free((llama2_context *)model); /* does nothing */
    EXPECT(_llama2_model_load(argv[2], NULL, &again, NULL, 0) == LLAMA2_OK);
    _llama2_model_free(again);
    _llama2_model_free(again);
    EXPECT(_llama2_context_create(again, NULL, &context, NULL, 0) == LLAMA2_E_BAD_HANDLE && context == NULL);
    EXPECT(_llama2_context_create(model, NULL, &context, NULL, 0) == LLAMA2_OK);

    /* calling back in, and cancel */
    EXPECT(_llama2_context_set_cancel(context, reenter, context) == LLAMA2_OK);
    EXPECT(_llama2_eval(context, prompt, 5) == LLAMA2_OK);
    EXPECT(_llama2_context_set_cancel(context, cancel, NULL) == LLAMA2_OK);
    EXPECT(_llama2_eval(context, prompt, 5) == LLAMA2_E_CANCELLED);
    EXPECT(strstr(_llama2_context_last_error(context), "cancelled") != NULL);
    EXPECT(_llama2_context_set_cancel(context, NULL, NULL) == LLAMA2_OK);
    EXPECT(_llama2_logits(context, 0, &logits, &count) == LLAMA2_OK && count == 512);
    expected = malloc(count * sizeof *expected);
    EXPECT(expected != NULL);
    memcpy(expected, logits, count * sizeof *expected);

    /* eight threads on one model, which is freed while they work */
    for (i = 0; i < 8; i++) {
        jobs[i].model = model; jobs[i].expected = expected; jobs[i].count = count; jobs[i].failed = 0;
        EXPECT(pthread_create(&threads[i], NULL, use_model, &jobs[i]) == 0);
    }
    for (i = 0; i < 8; i++) { pthread_join(threads[i], NULL); EXPECT(!jobs[i].failed); }
    _llama2_model_free(model);
    EXPECT(_llama2_eval(context, prompt, 5) == LLAMA2_OK);

    /* a context freed by its own callback ends when the call returns */
    _llama2_generate_options_init(&options);
    memset(&result, 0, sizeof result);
    result.struct_size = sizeof result;
    options.result = &result;
    EXPECT(_llama2_generate(context, sampler, &options, free_inside, context) == LLAMA2_OK);
    EXPECT(result.reason == LLAMA2_END_CALLBACK && result.tokens == 1);
    EXPECT(_llama2_eval(context, prompt, 5) == LLAMA2_E_BAD_HANDLE);
    _llama2_context_free(context);
    _llama2_sampler_free(sampler);
    _llama2_sampler_free(NULL);
    free(expected);
    EXPECT(dlclose(library) == 0);
    printf("%d checks\nall checks passed\n", checks);
    return 0;
}
