/* Counts heap allocations of evaluating, sampling, decoding text and following a schema: allocations MODEL
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

static long first_piece, last_piece;

static int32_t piece(const char *text, size_t length, void *user_data) {
    (void)text; (void)length; (void)user_data;
    if (first_piece == 0) first_piece = allocations;
    last_piece = allocations;
    return 0;
}

enum { STEPS = 400, WORDS = 1 << 13 };

/* Masks and tokens of a text under a schema, the second time that it is written: every state is known, and nothing is left to allocate. */
static int follow_schema(llama2_model *model) {
    static const char schema[] =
        "{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":9},"
        "\"kind\":{\"enum\":[\"sun\",\"moon\"]},\"size\":{\"type\":\"number\"}},\"required\":[\"name\",\"kind\"]},\"minItems\":40}";
    static uint32_t mask[WORDS];
    static int32_t tokens[STEPS];
    llama2_grammar *grammar;
    llama2_grammar_state *state;
    size_t words, i, t;
    long before = 0;
    int round;
    CHECK(llama2_grammar_create(model, LLAMA2_GRAMMAR_JSON_SCHEMA, schema, sizeof schema - 1, NULL, &grammar, NULL, 0));
    CHECK(llama2_grammar_start(grammar, &state, NULL, 0));
    for (round = 0; round < 2; round++) {
        CHECK(llama2_grammar_state_reset(state));
        before = allocations;
        for (i = 0; i < STEPS; i++) {
            CHECK(llama2_grammar_state_allowed(state, mask, WORDS, &words));
            /* the first that may come, from a place that moves: of strings, numbers and what stands between them */
            for (t = 0; round == 0 && t < 32 * words; t++) {
                tokens[i] = (int32_t)((i * 7919 + t) % (32 * words));
                if (mask[tokens[i] / 32] >> (tokens[i] % 32) & 1) break;
            }
            CHECK(llama2_grammar_state_accept(state, tokens[i]));
        }
        if (round == 0 && allocations == before) { printf("nothing is counted\n"); return 1; }
    }
    printf("%ld allocations in %d tokens under a schema\n", allocations - before, STEPS);
    llama2_grammar_state_free(state);
    llama2_grammar_free(grammar);
    return 0;
}

int main(int argc, char **argv) {
    llama2_model *model;
    llama2_context *context;
    llama2_sampler *sampler;
    llama2_decoder *decoder;
    llama2_generate_options options;
    llama2_batch_entry entries[8];
    int32_t token = 1, prompt[200];
    char text[1024];
    size_t length;
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

    CHECK(llama2_decoder_create(model, 0, &decoder, NULL, 0));
    before = allocations;
    for (token = 3; token < 400; token++) CHECK(llama2_decoder_append(decoder, token, text, sizeof text, &length));
    CHECK(llama2_decoder_finish(decoder, text, sizeof text, &length));
    printf("%ld allocations in 397 tokens of a decoder\n", allocations - before);

    for (i = 0; i < 200; i++) prompt[i] = 3 + i;
    CHECK(llama2_context_reset(context));
    before = allocations;
    CHECK(llama2_eval(context, prompt, 200));
    printf("%ld allocations in the eval of a prompt\n", allocations - before);

    for (i = 0; i < 8; i++) { entries[i].token = 300 + i; entries[i].sequence = 0; entries[i].flags = LLAMA2_BATCH_LOGITS; }
    /* room for 8 rows, twice: a failed eval leaves the logits of the one before */
    for (i = 0; i < 2; i++) CHECK(llama2_eval_batch(context, entries, 8));
    before = allocations;
    CHECK(llama2_eval_batch(context, entries, 8));
    printf("%ld allocations in a batch of as many rows as before\n", allocations - before);

    CHECK(llama2_context_reset(context));
    llama2_generate_options_init(&options);
    options.prompt = prompt; options.prompt_count = 5; options.max_tokens = 100;
    CHECK(llama2_generate(context, sampler, &options, piece, NULL));
    printf("%ld allocations between the first and the last piece\n", last_piece - first_piece);
    return follow_schema(model);
}
