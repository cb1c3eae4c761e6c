/* The operations of faults.c that write no file. */
#ifndef TEST_FAULTS_CALLS_H
#define TEST_FAULTS_CALLS_H

static void make_context(llama2_context **out) {
    llama2_context_options o;
    llama2_context_options_init(&o);
    o.context_length = 64, o.threads = 2, o.max_sequences = 2, o.batch_size = 16;
    NEED(llama2_context_create(model, &o, out, NULL, 0));
}

static int32_t load_with(uint32_t flags) {
    llama2_model_options o;
    llama2_model *m = NULL;
    int32_t status;
    llama2_model_options_init(&o);
    o.flags = flags;
    UNDER_TEST(llama2_model_load(paths[0], &o, &m, NULL, 0));
    if ((status == LLAMA2_OK) != (m != NULL)) die("a model without OK, or OK without a model", status);
    llama2_model_free(m);
    return status;
}
static int32_t load(void) { return load_with(0); }
static int32_t load_copy(void) { return load_with(LLAMA2_MODEL_COPY); }
static int32_t load_interleaved(void) { return load_with(LLAMA2_MODEL_INTERLEAVE); }

static int32_t create(void) {
    llama2_context_options o;
    llama2_context *c = NULL;
    int32_t status;
    llama2_context_options_init(&o);
    o.context_length = 64, o.threads = 3, o.max_sequences = 2;
    UNDER_TEST(llama2_context_create(model, &o, &c, NULL, 0));
    if ((status == LLAMA2_OK) != (c != NULL)) die("a context without OK, or OK without a context", status);
    llama2_context_free(c);
    return status;
}

static int32_t create_sampler(void) {
    static llama2_logit_bias bias[20000];
    llama2_sampler_options o;
    llama2_sampler *s = NULL;
    int32_t status, i;
    for (i = 0; i < 20000; i++) bias[i].token = i % 512, bias[i].bias = -1;
    llama2_sampler_options_init(&o);
    o.repetition_penalty = 1.1f, o.penalty_last_n = -1, o.logit_bias = bias, o.logit_bias_count = 20000;
    UNDER_TEST(llama2_sampler_create(&o, &s, NULL, 0));
    if ((status == LLAMA2_OK) != (s != NULL)) die("a sampler without OK, or OK without a sampler", status);
    llama2_sampler_free(s);
    return status;
}

static int32_t create_decoder(void) {
    llama2_decoder *d = NULL;
    int32_t status;
    UNDER_TEST(llama2_decoder_create(model, 0, &d, NULL, 0));
    if ((status == LLAMA2_OK) != (d != NULL)) die("a decoder without OK, or OK without a decoder", status);
    llama2_decoder_free(d);
    return status;
}

static int32_t decode(void) {
    char text[256];
    size_t length;
    int32_t status, token;
    begin();
    for (token = 0, status = LLAMA2_OK; status == LLAMA2_OK && token < 300; token++)
        status = llama2_decoder_append(decoder, token, text, sizeof text, &length);
    if (status == LLAMA2_OK) status = llama2_decoder_finish(decoder, text, sizeof text, &length);
    end();
    return status;
}

static int32_t prompt[12] = {1, 403, 407, 261, 378, 300, 301, 302, 303, 304, 305, 306};

static int32_t eval(void) {
    size_t length;
    int32_t status;
    NEED(llama2_context_reset(context));
    UNDER_TEST(llama2_eval(context, prompt, 12));
    NEED(llama2_sequence_length(context, 0, &length));
    if (length != (status == LLAMA2_OK ? 12u : 0u)) die("positions after eval", status);
    return status;
}

/* More rows of logits than any eval of this context before. */
static int32_t eval_batch(void) {
    llama2_batch_entry entries[40];
    llama2_context *c;
    size_t length, rows;
    int32_t status, i;
    for (i = 0; i < 40; i++) entries[i].token = 300 + i, entries[i].sequence = i % 2, entries[i].flags = LLAMA2_BATCH_LOGITS;
    make_context(&c);
    NEED(llama2_eval(c, prompt, 3));
    UNDER_TEST(llama2_eval_batch(c, entries, 40));
    NEED(llama2_sequence_length(c, 0, &length));
    NEED(llama2_logits_rows(c, &rows));
    if (length != (status == LLAMA2_OK ? 23u : 3u) || rows != (status == LLAMA2_OK ? 40u : 1u)) die("positions and rows after eval_batch", status);
    if (status != LLAMA2_OK) NEED(llama2_eval_batch(c, entries, 40));
    llama2_context_free(c);
    return status;
}

/* The first of a sampler, which learns the size of the vocabulary. */
static int32_t sample(void) {
    llama2_sampler *s;
    int32_t status, token;
    NEED(llama2_context_reset(context));
    NEED(llama2_eval(context, prompt, 4));
    NEED(llama2_sampler_create(NULL, &s, NULL, 0));
    UNDER_TEST(llama2_sample(context, s, &token));
    if (status != LLAMA2_OK) NEED(llama2_sample(context, s, &token));
    llama2_sampler_free(s);
    return status;
}

static int32_t generate(void) {
    static const llama2_text stops[2] = {{"never to be found", 17}, {"nor this", 8}};
    llama2_generate_options o;
    NEED(llama2_context_reset(context));
    llama2_generate_options_init(&o);
    o.prompt = prompt, o.prompt_count = 5, o.max_tokens = 20, o.stops = stops, o.stop_count = 2;
    int32_t status;
    UNDER_TEST(llama2_generate(context, sampler, &o, NULL, NULL));
    return status;
}

#define TEXT_BYTES 60000
static char text[TEXT_BYTES];
static int32_t tokens[4 * TEXT_BYTES];
static size_t token_count;

static int32_t tokenize(void) {
    int32_t status;
    UNDER_TEST(llama2_tokenize(model, text, TEXT_BYTES, LLAMA2_TOKENIZE_SPECIAL, tokens, sizeof tokens / sizeof *tokens, &token_count));
    return status;
}

static int32_t detokenize(void) {
    static char out[2 * TEXT_BYTES];
    size_t length;
    int32_t status;
    if (token_count == 0) NEED(tokenize());
    UNDER_TEST(llama2_detokenize(model, tokens, token_count, 0, out, sizeof out, &length));
    return status;
}

static int32_t talk(size_t count, size_t longest) {
    static llama2_message messages[2001];
    size_t needed, i;
    int32_t status;
    for (i = 0; i < count; i++) {
        messages[i].role = i % 2 ? "assistant" : "user";
        messages[i].role_length = i % 2 ? 9 : 4;
        messages[i].content = text, messages[i].content_length = i == count / 2 ? longest : 10;
    }
    UNDER_TEST(llama2_chat_encode(model, messages, count, 0, tokens, sizeof tokens / sizeof *tokens, &needed));
    return status;
}

static int32_t chat(void) { return talk(21, 400); }

/* What is covered for messages is enough for many of them; each of its 60,000 allocations would take hours. */
static int32_t chat_long(void) { return talk(2001, 20000); }

static int32_t metadata(void) {
    char out[4096], key[256];
    size_t count = 0, i, needed;
    int32_t status;
    begin();
    status = llama2_model_metadata_count(model, &count);
    for (i = 0; status == LLAMA2_OK && i < count; i++) {
        status = llama2_model_metadata_key(model, i, key, sizeof key, &needed);
        if (status == LLAMA2_OK) status = llama2_model_metadata(model, key, needed, out, sizeof out, &needed);
        if (status == LLAMA2_E_BUFFER_TOO_SMALL) status = LLAMA2_OK; /* a template */
    }
    if (status == LLAMA2_OK) status = llama2_model_description(model, out, sizeof out, &needed);
    end();
    return status;
}

static int32_t preflight(void) {
    llama2_memory memory;
    int32_t status;
    memory.struct_size = sizeof memory;
    UNDER_TEST(llama2_preflight(paths[0], NULL, NULL, &memory, NULL, 0));
    return status;
}

static int32_t perplexity(void) {
    llama2_perplexity_result result;
    int32_t status;
    result.struct_size = sizeof result;
    UNDER_TEST(llama2_perplexity(context, prompt, 12, 6, NULL, NULL, &result));
    return status;
}

static int32_t score(void) {
    float values[8];
    int32_t status;
    UNDER_TEST(llama2_score(context, prompt, 4, prompt + 4, 8, values, NULL));
    return status;
}

static int32_t embeddings(void) {
    float values[3 * 64];
    size_t lengths[3] = {4, 1, 3}, needed;
    int32_t status;
    UNDER_TEST(llama2_embeddings(context, prompt, lengths, 3, LLAMA2_POOLING_MEAN, 0, values, 3 * 64, &needed));
    return status;
}

#endif
