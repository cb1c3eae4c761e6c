/* Counts heap allocations of a step of decoding: allocations MODEL
 * The program's own malloc and calloc stand in front of the C library's, for the library too. */
#define _GNU_SOURCE
#include <llama2swift.h>
#include <stdio.h>
#include <stdlib.h>

static long allocations;
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
void *malloc(size_t size) { __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED); return __libc_malloc(size); }
void *calloc(size_t n, size_t size) { __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED); return __libc_calloc(n, size); }
void *realloc(void *p, size_t size) { __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED); return __libc_realloc(p, size); }
int posix_memalign(void **p, size_t alignment, size_t size) {
    __atomic_add_fetch(&allocations, 1, __ATOMIC_RELAXED);
    *p = __libc_memalign(alignment, size);
    return *p ? 0 : 12;
}

#define CHECK(call) if ((call) != LLAMA2_OK) { fprintf(stderr, "%s\n", llama2_last_error()); return 1; }

int main(int argc, char **argv) {
    llama2_model *model;
    llama2_context *context;
    llama2_sampler *sampler;
    int32_t token = 1;
    long before = 0;
    int i;
    if (argc != 2) return 2;
    CHECK(llama2_model_load(argv[1], NULL, &model, NULL, 0));
    CHECK(llama2_context_create(model, NULL, &context, NULL, 0));
    CHECK(llama2_sampler_create(NULL, &sampler, NULL, 0));
    if (allocations == 0) { printf("nothing is counted\n"); return 1; }
    for (i = 0; i < 110; i++) {
        if (i == 10) before = allocations; /* the sampler knows the vocabulary size by now */
        CHECK(llama2_eval(context, &token, 1));
        CHECK(llama2_sample(context, sampler, &token));
    }
    printf("%ld allocations in 100 steps\n", allocations - before);
    return 0;
}
