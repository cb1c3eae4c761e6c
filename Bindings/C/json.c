/* A schema in, valid JSON out:  json MODEL 'PROMPT' 'SCHEMA' */
#include <llama2swift.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int32_t print_piece(const char *piece, size_t length, void *user_data) {
    (void)user_data;
    return fwrite(piece, 1, length, stdout) < length;
}

static void check(int32_t status, const char *what, const char *error) {
    if (status == LLAMA2_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, llama2_status_string(status), error[0] ? error : llama2_last_error());
    exit(1);
}

int main(int argc, char **argv) {
    char error[1024] = "";
    llama2_model *model;
    llama2_context *context;
    llama2_grammar *grammar;
    llama2_sampler *sampler;
    llama2_generate_options options;
    int32_t tokens[1024];
    size_t count;
    if (argc != 4) {
        fprintf(stderr, "usage: %s MODEL PROMPT SCHEMA\n", argv[0]);
        return 2;
    }
    check(llama2_model_load(argv[1], NULL, &model, error, sizeof error), "loading", error);
    check(llama2_context_create(model, NULL, &context, error, sizeof error), "context", error);
    check(llama2_grammar_create(model, LLAMA2_GRAMMAR_JSON_SCHEMA, argv[3], strlen(argv[3]), NULL, &grammar, error, sizeof error), "schema", error);
    check(llama2_sampler_create(NULL, &sampler, error, sizeof error), "sampler", error);
    check(llama2_sampler_set_grammar(sampler, grammar), "grammar", error);
    check(llama2_tokenize(model, argv[2], strlen(argv[2]), LLAMA2_TOKENIZE_DEFAULT_BOS, tokens, 1024, &count), "prompt", error);

    llama2_generate_options_init(&options);
    options.prompt = tokens;
    options.prompt_count = count;
    check(llama2_generate(context, sampler, &options, print_piece, NULL), "generating", error);
    printf("\n");

    llama2_sampler_free(sampler);
    llama2_grammar_free(grammar);
    llama2_context_free(context);
    llama2_model_free(model);
    return 0;
}
