/* A program of version 0.1: every function and every struct that its header had. Compiled against the header beside it,
 * linked with today's library. */
#include <llama2swift.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPECT(condition) \
    do { if (!(condition)) { printf("line %d: %s: %s\n", __LINE__, #condition, llama2_last_error()); exit(1); } } while (0)
#define OK(call) EXPECT((call) == LLAMA2_OK)

/* A struct with a guard behind it, which a library that has grown must not touch. */
#define GUARDED(type, name) struct { type value; unsigned char guard[64]; } name; memset(&name, 0xa5, sizeof name)
#define INTACT(name) EXPECT(guard_intact((name).guard))
#define FILLED(type, name) GUARDED(type, name); (name).value.struct_size = sizeof(type)

static int guard_intact(const unsigned char *guard) {
    int i;
    for (i = 0; i < 64; i++) if (guard[i] != 0xa5) return 0;
    return 1;
}

static int32_t keep_going(void *user_data) { ++*(int *)user_data; return 0; }

static int32_t collect(const char *piece, size_t length, void *user_data) {
    strncat(user_data, piece, length);
    return 0;
}

int main(int argc, char **argv) {
    static char text[65536], story[4096];
    static int32_t tokens[1024];
    llama2_model *model;
    llama2_context *context;
    llama2_sampler *sampler;
    llama2_decoder *decoder;
    llama2_batch_entry entries[2];
    llama2_message message;
    llama2_logit_bias bias;
    llama2_text stop;
    const float *logits;
    uint32_t mask;
    int32_t token, is_end;
    size_t count, needed, i, rows, written = 0;
    int calls = 0;
    char error[256];
    GUARDED(llama2_model_options, model_options);
    GUARDED(llama2_context_options, context_options);
    GUARDED(llama2_sampler_options, sampler_options);
    GUARDED(llama2_generate_options, generate_options);
    FILLED(llama2_generate_result, result);
    FILLED(llama2_hyperparameters, h);
    FILLED(llama2_special_tokens, special);
    FILLED(llama2_context_info, info);
    FILLED(llama2_timings, timings);
    FILLED(llama2_memory, memory);

    EXPECT(argc == 2);
    EXPECT(strlen(llama2_version()) >= 5);
    EXPECT(strcmp(llama2_status_string(LLAMA2_E_CONTEXT_FULL), "context full") == 0);
    OK(llama2_struct_size(LLAMA2_STRUCT_SAMPLER_OPTIONS, &count));
    EXPECT(count >= sizeof(llama2_sampler_options));
    OK(llama2_kernels_available(&mask));
    EXPECT(mask >> LLAMA2_KERNELS_REFERENCE & 1);

    /* options: _init writes no more than the struct had */
    llama2_model_options_init(&model_options.value);
    llama2_context_options_init(&context_options.value);
    llama2_sampler_options_init(&sampler_options.value);
    llama2_generate_options_init(&generate_options.value);
    INTACT(model_options); INTACT(context_options); INTACT(sampler_options); INTACT(generate_options);
    EXPECT(context_options.value.struct_size == sizeof context_options.value && context_options.value.reserved == 0);
    EXPECT(sampler_options.value.struct_size == sizeof sampler_options.value && sampler_options.value.logit_bias_count == 0);
    model_options.value.flags = LLAMA2_MODEL_COPY;
    context_options.value.context_length = 128;
    context_options.value.max_sequences = 2;
    context_options.value.kernels = LLAMA2_KERNELS_REFERENCE;

    /* model */
    OK(llama2_preflight(argv[1], &model_options.value, &context_options.value, &memory.value, error, sizeof error));
    EXPECT(memory.value.model_bytes > 1000000 && memory.value.kv_bytes > 0);
    OK(llama2_model_load(argv[1], &model_options.value, &model, error, sizeof error));
    OK(llama2_model_hyperparameters(model, &h.value));
    EXPECT(h.value.vocabulary_size == 512 && h.value.block_count == 5 && h.value.rope_base == 10000);
    OK(llama2_model_description(model, text, sizeof text, &needed));
    OK(llama2_model_metadata_count(model, &count));
    for (i = 0; i < count; i++) {
        size_t key_length;
        OK(llama2_model_metadata_key(model, i, text, sizeof text, &key_length));
        OK(llama2_model_metadata(model, text, key_length, NULL, 0, &needed) == LLAMA2_E_BUFFER_TOO_SMALL ? LLAMA2_OK : 1);
    }

    /* tokens */
    OK(llama2_tokenize(model, "Once upon a time", 16, LLAMA2_TOKENIZE_BOS, tokens, 1024, &count));
    EXPECT(count > 2 && tokens[0] == 1);
    OK(llama2_detokenize(model, tokens, count, 0, text, sizeof text, &needed));
    EXPECT(needed == 16 && memcmp(text, "Once upon a time", 16) == 0);
    OK(llama2_token_piece(model, tokens[1], LLAMA2_DETOKENIZE_SPECIAL, text, sizeof text, &needed));
    OK(llama2_token_is_end(model, 2, &is_end));
    OK(llama2_model_special_tokens(model, &special.value));
    EXPECT(is_end == 1 && special.value.bos == 1 && special.value.adds_bos == 1);
    message.role = "user"; message.role_length = 4;
    message.content = "hi"; message.content_length = 2;
    OK(llama2_chat_encode(model, &message, 1, 0, tokens + 512, 512, &needed));
    OK(llama2_chat_format(model, text, sizeof text, &needed));
    OK(llama2_decoder_create(model, LLAMA2_DECODER_TEXT_START, &decoder, NULL, 0));
    for (i = 0; i < count; i++) {
        OK(llama2_decoder_append(decoder, tokens[i], text + written, sizeof text - written, &needed));
        written += needed;
    }
    OK(llama2_decoder_finish(decoder, text + written, sizeof text - written, &needed));
    EXPECT(written == 16 && memcmp(text, "Once upon a time", 16) == 0);

    /* context */
    OK(llama2_context_create(model, &context_options.value, &context, error, sizeof error));
    OK(llama2_context_get_info(context, &info.value));
    EXPECT(info.value.context_length == 128 && info.value.kernels == LLAMA2_KERNELS_REFERENCE);
    OK(llama2_context_set_cancel(context, keep_going, &calls));
    OK(llama2_eval(context, tokens, count));
    EXPECT(calls > 0);
    entries[0].token = 5; entries[0].sequence = 1; entries[0].flags = LLAMA2_BATCH_LOGITS;
    entries[1].token = 6; entries[1].sequence = 1; entries[1].flags = LLAMA2_BATCH_LOGITS;
    OK(llama2_eval_batch(context, entries, 2));
    OK(llama2_logits_rows(context, &rows));
    OK(llama2_logits(context, 1, &logits, &needed));
    EXPECT(rows == 2 && needed == 512 && logits[0] == logits[0]);
    OK(llama2_sequence_length(context, 0, &needed));
    EXPECT(needed == count);
    OK(llama2_sequence_remove(context, 1, 0));
    EXPECT(llama2_logits(context, 0, &logits, &needed) == LLAMA2_E_NO_LOGITS);
    EXPECT(strlen(llama2_context_last_error(context)) > 0);
    OK(llama2_context_timings(context, &timings.value));
    EXPECT(timings.value.prefill_tokens == count + 2);
    OK(llama2_context_reset(context));

    /* sampler, and the loop */
    bias.token = 3; bias.bias = -1;
    sampler_options.value.flags = LLAMA2_SAMPLER_GREEDY;
    sampler_options.value.logit_bias = &bias;
    sampler_options.value.logit_bias_count = 1;
    OK(llama2_sampler_create(&sampler_options.value, &sampler, NULL, 0));
    OK(llama2_sampler_accept(sampler, 5));
    OK(llama2_sampler_reset(sampler));
    OK(llama2_eval(context, tokens, count));
    OK(llama2_sample(context, sampler, &token));
    OK(llama2_context_reset(context));
    stop.data = "Lily"; stop.length = 4;
    generate_options.value.prompt = tokens;
    generate_options.value.prompt_count = count;
    generate_options.value.stops = &stop;
    generate_options.value.stop_count = 1;
    generate_options.value.max_tokens = 60;
    generate_options.value.result = &result.value;
    OK(llama2_generate(context, sampler, &generate_options.value, collect, story));
    EXPECT(result.value.reason == LLAMA2_END_STOP && result.value.prompt_tokens == count);
    EXPECT(strcmp(story, ", there was a little girl named ") == 0);

    INTACT(memory); INTACT(h); INTACT(special); INTACT(info); INTACT(timings); INTACT(result);
    llama2_decoder_free(decoder);
    llama2_sampler_free(sampler);
    llama2_context_free(context);
    llama2_model_free(model);
    printf("all checks passed\n");
    return 0;
}
