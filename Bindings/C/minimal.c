/* Goes on with a text, greedily: minimal MODEL "Once upon a time" */
#include <llama2swift.h>
#include <stdio.h>
#include <string.h>

#define CHECK(call) if ((call) != LLAMA2_OK) { fprintf(stderr, "%s\n", llama2_last_error()); return 1; }

int main(int argc, char **argv) {
    llama2_model *model;
    llama2_context *context;
    llama2_sampler *sampler;
    llama2_decoder *decoder;
    llama2_sampler_options greedy;
    int32_t tokens[1024], token, end;
    size_t count, length, i;
    char text[256];

    if (argc != 3) { fprintf(stderr, "usage: %s MODEL TEXT\n", argv[0]); return 2; }
    CHECK(llama2_model_load(argv[1], NULL, &model, NULL, 0));
    CHECK(llama2_context_create(model, NULL, &context, NULL, 0));
    llama2_sampler_options_init(&greedy);
    greedy.flags = LLAMA2_SAMPLER_GREEDY;
    CHECK(llama2_sampler_create(&greedy, &sampler, NULL, 0));
    CHECK(llama2_decoder_create(model, 0, &decoder, NULL, 0));

    CHECK(llama2_tokenize(model, argv[2], strlen(argv[2]), LLAMA2_TOKENIZE_DEFAULT_BOS, tokens, 1024, &count));
    CHECK(llama2_eval(context, tokens, count));
    fputs(argv[2], stdout);
    for (i = 0; i < 100; i++) {
        CHECK(llama2_sample(context, sampler, &token));
        CHECK(llama2_token_is_end(model, token, &end));
        if (end) break;
        CHECK(llama2_decoder_append(decoder, token, text, sizeof text, &length));
        fwrite(text, 1, length, stdout);
        fflush(stdout);
        CHECK(llama2_eval(context, &token, 1));
    }
    putchar('\n');
    llama2_decoder_free(decoder);
    llama2_sampler_free(sampler);
    llama2_context_free(context);
    llama2_model_free(model);
    return 0;
}
