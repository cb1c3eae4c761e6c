/* Libraries in one process: side_by_side MODEL LIBRARY OTHER [LIBLLAMA]
 * Two of ours, with handles of their own; and llama.cpp's, whose names are global to everybody. */
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <llama2swift.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition) \
    do { if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, #condition); exit(1); } } while (0)

typedef struct {
    const char *(*version)(void);
    int32_t (*load)(const char *, const llama2_model_options *, llama2_model **, char *, size_t);
    int32_t (*create)(llama2_model *, const llama2_context_options *, llama2_context **, char *, size_t);
    int32_t (*eval)(llama2_context *, const int32_t *, size_t);
    int32_t (*logits)(const llama2_context *, size_t, const float **, size_t *);
    void (*context_free)(llama2_context *);
    void (*model_free)(llama2_model *);
    void *handle;
    llama2_model *model;
    llama2_context *context;
    const float *values;
    size_t count;
} library;

static void *find(void *handle, const char *name) {
    void *symbol = dlsym(handle, name);
    EXPECT(symbol != NULL);
    return symbol;
}

static library open_library(const char *path) {
    library l;
    memset(&l, 0, sizeof l);
    l.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!l.handle) { fprintf(stderr, "%s\n", dlerror()); exit(1); }
#define FIND(field, name) *(void **)&l.field = find(l.handle, "llama2_" name)
    FIND(version, "version"); FIND(load, "model_load"); FIND(create, "context_create"); FIND(eval, "eval");
    FIND(logits, "logits"); FIND(context_free, "context_free"); FIND(model_free, "model_free");
    return l;
}

static void begin(library *l, const char *path) {
    static const int32_t prompt[] = {1, 403, 407, 261, 378};
    EXPECT(l->load(path, NULL, &l->model, NULL, 0) == LLAMA2_OK);
    EXPECT(l->create(l->model, NULL, &l->context, NULL, 0) == LLAMA2_OK);
    EXPECT(l->eval(l->context, prompt, 5) == LLAMA2_OK);
    EXPECT(l->logits(l->context, 0, &l->values, &l->count) == LLAMA2_OK && l->count == 512);
}

int main(int argc, char **argv) {
    library one, two;
    void (*backend_init)(void) = NULL, (*backend_free)(void) = NULL;
    const char *(*system_info)(void) = NULL;
    void *llama = NULL;
    EXPECT(argc == 4 || argc == 5);
    if (argc == 5) {
        llama = dlopen(argv[4], RTLD_NOW | RTLD_GLOBAL);
        if (!llama) { fprintf(stderr, "%s\n", dlerror()); return 1; }
        *(void **)&backend_init = find(llama, "llama_backend_init");
        *(void **)&backend_free = find(llama, "llama_backend_free");
        *(void **)&system_info = find(llama, "llama_print_system_info");
        backend_init();
    }
    one = open_library(argv[2]);
    two = open_library(argv[3]);
    EXPECT(one.handle != two.handle && one.version != two.version && one.eval != two.eval);
    begin(&one, argv[1]);
    begin(&two, argv[1]);
    EXPECT(memcmp(one.values, two.values, one.count * sizeof *one.values) == 0);
    one.context_free(one.context);
    one.model_free(one.model);
    EXPECT(dlclose(one.handle) == 0);
    begin(&two, argv[1]); /* the other one does not notice */
    one = open_library(argv[2]);
    begin(&one, argv[1]);
    EXPECT(memcmp(one.values, two.values, one.count * sizeof *one.values) == 0);
    if (llama) { EXPECT(strlen(system_info()) > 0); backend_free(); }
    printf("side by side: as it should be\n");
    return 0;
}
