/* Options of samplers, and grammars. */
#include "fuzz.h"

static float take_float(input *in) {
    uint32_t bits = take_u32(in);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static int32_t count_piece(const char *piece, size_t length, void *user_data) {
    MUST(length > 0 && is_utf8((const uint8_t *)piece, length));
    *(size_t *)user_data += length;
    return 0;
}

void run_sampler(const uint8_t *data, size_t size) {
    static llama2_context *logits, *context; /* logits: evaluated once, sampled from only */
    static const int32_t prompt[2] = {1, 260};
    input in = {data, size};
    if (!context) {
        context = small_context(models[SPM], 16, 0, 4);
        logits = small_context(models[SPM], 16, 0, 4);
        MUST(llama2_eval(logits, prompt, 2) == LLAMA2_OK);
    }
    /* 1. options, with room behind them for those that claim to be larger */
    static union {
        llama2_sampler_options o;
        uint8_t bytes[256];
    } room;
#define o room.o
    memset(&room, 0, sizeof room);
    llama2_sampler_options_init(&o);
    uint8_t kind = take_u8(&in);
    if (kind & 8) room.bytes[sizeof o + kind / 16] = 1;
    o.flags = kind & 1 ? LLAMA2_SAMPLER_GREEDY : kind & 2 ? take_u8(&in) : 0;
    if (kind & 4) o.struct_size = take_u8(&in);
    o.seed = take_u32(&in);
    o.temperature = take_float(&in);
    o.top_p = take_float(&in);
    o.min_p = take_float(&in);
    o.repetition_penalty = take_float(&in);
    o.frequency_penalty = take_float(&in);
    o.presence_penalty = take_float(&in);
    o.top_k = (int32_t)take_u32(&in);
    o.penalty_last_n = (int32_t)take_u32(&in);
    llama2_logit_bias bias[300];
    o.logit_bias_count = take_u8(&in);
    o.logit_bias = bias;
    if (o.logit_bias_count == 255) { /* one for every token, several for some */
        float value = take_float(&in);
        for (o.logit_bias_count = 0; o.logit_bias_count < 300; o.logit_bias_count++)
            bias[o.logit_bias_count] = (llama2_logit_bias){(int32_t)o.logit_bias_count % 284, value};
    } else {
        o.logit_bias_count %= 32;
        for (size_t i = 0; i < o.logit_bias_count; i++) {
            bias[i].token = (int32_t)take_u32(&in);
            bias[i].bias = take_float(&in);
        }
    }
    llama2_sampler *sampler = NULL;
    char error[256];
    int32_t status = llama2_sampler_create(&o, &sampler, error, sizeof error);
    check_status(status);
#undef o
    MUST((status == LLAMA2_OK) == (sampler != NULL));
    if (!sampler) return;

    /* 2. the same tokens from the same seed */
    int32_t first[3] = {-1, -1, -1}, token, accepted = take_u8(&in);
    for (int round = 0; round < 2; round++) {
        MUST(llama2_sampler_reset(sampler) == LLAMA2_OK && llama2_sampler_accept(sampler, accepted) == LLAMA2_OK);
        for (int i = 0; i < 3; i++) {
            token = -1;
            status = llama2_sample(logits, sampler, &token);
            check_status(status);
            MUST(status == LLAMA2_OK ? token >= 0 : token == -1);
            if (round == 0) first[i] = token;
            else MUST(first[i] == token);
        }
    }
    /* 3. text until a stop string, where the input has one */
    if (in.size == 0) {
        llama2_sampler_free(sampler);
        return;
    }
    llama2_text stops[4];
    llama2_generate_result result = {.struct_size = sizeof result};
    llama2_generate_options g;
    llama2_generate_options_init(&g);
    size_t got, length = 0;
    for (g.stop_count = 0; g.stop_count < 4 && in.size > 0; g.stop_count++) {
        size_t wanted = take_u8(&in) % 32;
        stops[g.stop_count].data = (const char *)take(&in, wanted, &got);
        stops[g.stop_count].length = got;
    }
    g.stops = stops;
    g.prompt = prompt;
    g.prompt_count = 2;
    g.max_tokens = 4;
    g.result = &result;
    MUST(llama2_context_reset(context) == LLAMA2_OK);
    status = llama2_generate(context, sampler, &g, count_piece, &length);
    check_status(status);
    MUST((status == LLAMA2_OK) == (result.reason != 0) && result.tokens <= 4);
    llama2_sampler_free(sampler);
}

/* ---- Grammars ------------------------------------------------------------------------------- */

/* From where a walk is the text can be brought to its end with as many tokens as are said to be enough, whichever fit are taken. */
static void end(const llama2_model *model, const llama2_grammar *grammar, llama2_grammar_state *state, char *text, size_t length, size_t capacity, unsigned draw) {
    static uint32_t mask[64];
    size_t words, needed;
    uint64_t left;
    int32_t complete = 0, accepts, is_end = 0;
    int32_t status = llama2_grammar_state_shortest(state, &left, text + length, capacity - length, &needed);
    if (status == LLAMA2_E_BUFFER_TOO_SMALL || status == LLAMA2_E_UNSUPPORTED) return; /* far from its end */
    MUST(status == LLAMA2_OK);
    MUST(llama2_grammar_accepts(grammar, text, length + needed, &accepts) == LLAMA2_OK && accepts);
    for (left += 1; left > 0 && !is_end; left--) {
        status = llama2_grammar_state_allowed_within(state, left, mask, COUNT(mask), &words);
        check_status(status);
        if (status != LLAMA2_OK) return;
        unsigned first = (draw = draw * 1664525 + 1013904223) >> 8, token = 0, i;
        for (i = 0; i < 32 * words; i++) {
            token = (first + i) % (32 * (unsigned)words);
            if (mask[token / 32] >> (token % 32) & 1) break;
        }
        if (i == 32 * words) break;
        MUST(llama2_grammar_state_accept(state, (int32_t)token) == LLAMA2_OK);
        llama2_token_is_end(model, (int32_t)token, &is_end);
    }
    MUST(llama2_grammar_state_complete(state, &complete) == LLAMA2_OK && complete);
}

/* Whatever a grammar allows can be taken, some token always can until the text ends, and what is complete is accepted. */
static void walk(const llama2_model *model, const llama2_grammar *grammar, unsigned draw) {
    llama2_grammar_state *state = NULL;
    static uint32_t mask[64];
    static char text[8192];
    size_t words, length = 0;
    int32_t complete, accepts, is_end = 0;
    MUST(llama2_grammar_start(grammar, &state, NULL, 0) == LLAMA2_OK);
    for (unsigned step = 0; step < 50 && !is_end; step++) {
        int32_t status = llama2_grammar_state_allowed(state, mask, COUNT(mask), &words);
        check_status(status);
        if (status != LLAMA2_OK) break; /* too many ways to read it */
        unsigned first = (draw = draw * 1664525 + 1013904223) >> 8, token = 0, i;
        for (i = 0; i < 32 * words; i++) {
            token = (first + i) % (32 * (unsigned)words);
            if (mask[token / 32] >> (token % 32) & 1) break;
        }
        MUST(llama2_grammar_state_complete(state, &complete) == LLAMA2_OK);
        if (complete) MUST(llama2_grammar_accepts(grammar, text, length, &accepts) == LLAMA2_OK && accepts);
        if (i == 32 * words) {
            MUST(complete);
            break;
        }
        MUST(llama2_grammar_state_accept(state, (int32_t)token) == LLAMA2_OK);
        llama2_token_is_end(model, (int32_t)token, &is_end);
        size_t needed = 0;
        if (!is_end && llama2_token_piece(model, (int32_t)token, 0, text + length, sizeof text - length, &needed) != LLAMA2_OK) break;
        length += is_end ? 0 : needed;
        if (step == draw % 50) {
            end(model, grammar, state, text, length, sizeof text, draw);
            break;
        }
    }
    llama2_grammar_state_free(state);
}

void run_grammar(const uint8_t *data, size_t size) {
    input in = {data, size};
    llama2_model *model = models[take_u8(&in) % MODELS];
    uint8_t kind = take_u8(&in);
    llama2_grammar_options options;
    llama2_grammar_options_init(&options);
    options.flags = kind / 4 % 8;
    llama2_grammar *grammar = NULL;
    char error[256];
    int32_t status = llama2_grammar_create(model, kind % 4 + 1, (const char *)in.data, in.size, &options, &grammar, error, sizeof error);
    check_status(status);
    MUST((status == LLAMA2_OK) == (grammar != NULL) && (status == LLAMA2_OK) == (error[0] == 0));
    /* tokens that a grammar names give text that a decoder does not: such a walk is another one */
    if (grammar && memchr(in.data, '<', in.size) == NULL) walk(model, grammar, kind);
    llama2_grammar_free(grammar);
}
