/* Beam search, the best of several samplers' texts and guidance, driven by bytes. Whatever comes: what was empty is empty again, the same call gives the
   same, texts are different ones with the probabilities that llama2_score finds, and each sampler wrote what llama2_generate writes with it. */
#include "fuzz.h"

enum { LENGTH = 384, SEQUENCES = 5, MOST = 8, MOST_TOKENS = 20, UNTOUCHED = 0x5a5a5a5a };

static llama2_context *context, *other; /* other: long enough for any text alone */
static llama2_grammar *grammar;

static int32_t cancel_after(void *user_data) {
    int *left = user_data;
    return *left >= 0 && (*left)-- == 0;
}

/* What can come of a call that was not followed; at most `positions` are needed for it. */
static void refused(int32_t status, int cancels, uint64_t positions) {
    check_status(status);
    MUST(status != LLAMA2_E_CONTEXT_FULL || positions > LENGTH);
    MUST(status == LLAMA2_E_INVALID_ARGUMENT || status == LLAMA2_E_OUT_OF_RANGE || status == LLAMA2_E_BUFFER_TOO_SMALL || status == LLAMA2_E_INVALID_TOKEN ||
         status == LLAMA2_E_CONTEXT_FULL || status == LLAMA2_E_BUSY || (cancels && status == LLAMA2_E_CANCELLED));
}

typedef struct search {
    llama2_search_options asked;
    int32_t prompt[32];
    size_t wanted, capacity, needed;
    llama2_found found[MOST];
    int32_t tokens[MOST * MOST_TOKENS];
} search;

static void take_search(input *in, search *s) {
    static const double penalties[] = {0, 1, -1, 2, -2, 0.5, 1e-300, -700, 700, 1e308};
    memset(s, 0, sizeof *s);
    memset(s->found, 0x5a, sizeof s->found);
    memset(s->tokens, 0x5a, sizeof s->tokens);
    llama2_search_options_init(&s->asked);
    uint8_t first = take_u8(in), count = take_u8(in), longest = take_u8(in), width = take_u8(in), flags = take_u8(in), penalty = take_u8(in), room = take_u8(in);
    for (unsigned i = 0; i < 32; i++) s->prompt[i] = 1 + (int32_t)(first + i * (first / 16)) % 280;
    if (count & 128) s->prompt[count % 32] = (int32_t)take_u32(in);
    s->asked.prompt = s->prompt;
    s->asked.prompt_count = count % 33;
    s->asked.max_tokens = longest == 255 ? (uint64_t)take_u32(in) << 40 : longest % (MOST_TOKENS + 1);
    s->asked.width = width == 255 ? take_u32(in) : width % 7;
    s->asked.flags = flags == 255 ? take_u32(in) : flags % 4;
    s->asked.reserved = flags == 254;
    if (penalty == 255) {
        uint64_t bits = take_u32(in);
        bits = bits << 32 | take_u32(in);
        memcpy(&s->asked.length_penalty, &bits, 8);
    } else {
        s->asked.length_penalty = penalties[penalty % (sizeof penalties / sizeof *penalties)];
    }
    s->wanted = room % (MOST + 1);
    s->capacity = sizeof s->tokens / sizeof *s->tokens - (room & 64 ? room % 64 * 3 : 0);
}

/* The sum of the logarithms of its tokens' probabilities, as llama2_score has it. */
static double sum_of(const search *s, const llama2_found *f) {
    static float each[MOST_TOKENS];
    double sum = 0;
    if (f->count == 0) return 0;
    MUST(llama2_score(other, s->prompt, s->asked.prompt_count, s->tokens + f->first, f->count, each, NULL) == LLAMA2_OK);
    for (size_t i = 0; i < f->count; i++) sum += each[i];
    return sum;
}

static int is_near(double a, double b) {
    double apart = a > b ? a - b : b - a, large = (a > 0 ? a : -a) + (b > 0 ? b : -b);
    return apart <= 1e-6 * (1 + large);
}

static void check_text(const search *s, const llama2_found *f) {
    MUST(f->first + f->count <= s->capacity && f->count <= s->asked.max_tokens && f->score == f->score);
    MUST(f->reason == LLAMA2_END_TOKEN || (f->reason == LLAMA2_END_MAX_TOKENS && f->count == s->asked.max_tokens));
    for (size_t i = 0; i < f->count; i++) {
        int32_t is_end = 0;
        MUST(llama2_token_is_end(models[SPM], s->tokens[f->first + i], &is_end) == LLAMA2_OK);
        MUST(!is_end || (i + 1 == f->count && f->reason == LLAMA2_END_TOKEN));
    }
}

static void check_beams(const search *s) {
    MUST(s->needed >= 1 && s->needed <= s->wanted);
    for (size_t i = 0; i < s->needed; i++) {
        const llama2_found *f = &s->found[i];
        MUST(f->count >= 1 && f->index == 0);
        check_text(s, f);
        if (i > 0) MUST(f[-1].score >= f->score);
        for (size_t k = 0; k < i; k++) MUST(s->found[k].count != f->count || memcmp(s->tokens + s->found[k].first, s->tokens + f->first, 4 * f->count) != 0);
        double sum = sum_of(s, f), length = (double)f->count, penalty = s->asked.length_penalty;
        if (penalty == 0 || penalty == 1 || penalty == -1) MUST(is_near(sum, penalty == 0 ? f->score : penalty == 1 ? f->score * length : f->score / length));
    }
}

static void run_beams(search *s, int *left, size_t used) {
    static search again;
    int32_t status = llama2_beam_search(context, &s->asked, s->found, s->wanted, s->tokens, s->capacity, &s->needed);
    if (status != LLAMA2_OK) {
        refused(status, *left == -1, used + s->asked.prompt_count + (s->asked.width ? s->asked.width : 4) * (s->asked.max_tokens + 63));
        MUST(s->needed == 0 && s->found[0].first == 0x5a5a5a5a5a5a5a5au);
        if (status != LLAMA2_E_CONTEXT_FULL && status != LLAMA2_E_CANCELLED) MUST(s->tokens[0] == UNTOUCHED);
        return;
    }
    check_beams(s);
    again = *s;
    *left = -2;
    MUST(llama2_beam_search(context, &again.asked, again.found, again.wanted, again.tokens, again.capacity, &again.needed) == LLAMA2_OK);
    MUST(memcmp(&again, s, sizeof again) == 0);
}

/* ---- The best of several -------------------------------------------------------------------- */

static llama2_sampler *take_sampler(uint8_t kind, uint8_t seed) {
    llama2_sampler *sampler = NULL;
    llama2_sampler_options o;
    llama2_sampler_options_init(&o);
    o.flags = kind & 1 ? LLAMA2_SAMPLER_GREEDY : 0;
    o.temperature = kind & 1 ? 0 : kind & 2 ? 3 : 1;
    o.repetition_penalty = kind & 4 ? 1.4f : 0;
    o.no_repeat_ngram = kind & 8 ? 2 : 0;
    o.seed = seed;
    MUST(llama2_sampler_create(&o, &sampler, NULL, 0) == LLAMA2_OK);
    if (kind & 16) MUST(llama2_sampler_set_grammar(sampler, grammar) == LLAMA2_OK);
    return sampler;
}

typedef struct text {
    char bytes[4096];
    size_t length;
} text;

static int32_t collect(const char *piece, size_t length, void *user_data) {
    text *t = user_data;
    MUST(t->length + length <= sizeof t->bytes);
    memcpy(t->bytes + t->length, piece, length);
    t->length += length;
    return 0;
}

/* The same sampler alone: text, end, and the sampler afterwards. */
static void compare(const search *s, const llama2_found *f, llama2_sampler *used, llama2_sampler *alone) {
    static text told, found;
    static uint8_t one[1 << 14], two[1 << 14];
    size_t of_one = 0, of_two = 0, needed;
    llama2_generate_options g;
    llama2_generate_result result = {.struct_size = sizeof result};
    llama2_decoder *decoder = NULL;
    llama2_generate_options_init(&g);
    g.prompt = s->prompt;
    g.prompt_count = s->asked.prompt_count;
    g.max_tokens = s->asked.max_tokens;
    g.result = &result;
    told.length = found.length = 0;
    MUST(llama2_context_reset(other) == LLAMA2_OK && llama2_generate(other, alone, &g, collect, &told) == LLAMA2_OK);
    MUST(result.tokens == f->count && result.reason == f->reason);
    MUST(llama2_decoder_create(models[SPM], 0, &decoder, NULL, 0) == LLAMA2_OK);
    size_t pieces = f->count;
    if (f->count > 0) {
        int32_t is_end = 0;
        MUST(llama2_token_is_end(models[SPM], s->tokens[f->first + f->count - 1], &is_end) == LLAMA2_OK);
        pieces -= is_end != 0;
    }
    for (size_t i = 0; i <= pieces; i++) {
        char *at = found.bytes + found.length;
        size_t room = sizeof found.bytes - found.length;
        if (i < pieces) MUST(llama2_decoder_append(decoder, s->tokens[f->first + i], at, room, &needed) == LLAMA2_OK);
        else MUST(llama2_decoder_finish(decoder, at, room, &needed) == LLAMA2_OK);
        found.length += needed;
    }
    llama2_decoder_free(decoder);
    MUST(told.length == found.length && memcmp(told.bytes, found.bytes, found.length) == 0);
    MUST(llama2_sampler_save(used, one, sizeof one, &of_one) == LLAMA2_OK && llama2_sampler_save(alone, two, sizeof two, &of_two) == LLAMA2_OK);
    MUST(of_one == of_two && memcmp(one, two, of_one) == 0);
}

static void run_best(input *in, search *s, int *left, size_t used) {
    llama2_sampler *samplers[MOST] = {NULL}, *given[MOST];
    uint8_t kinds[MOST], seeds[MOST], odd = take_u8(in);
    if (odd < 240) s->asked.width = 0, s->asked.length_penalty = 0, s->asked.flags = 0;
    for (size_t i = 0; i < s->wanted; i++) {
        kinds[i] = take_u8(in);
        seeds[i] = take_u8(in);
        given[i] = samplers[i] = take_sampler(kinds[i], seeds[i]);
    }
    if (odd == 255 && s->wanted > 1) given[1] = given[0]; /* one that is there twice */
    int32_t status = llama2_best_of(context, &s->asked, given, s->wanted, s->found, s->tokens, s->capacity);
    if (status != LLAMA2_OK) {
        refused(status, *left == -1, used + s->asked.prompt_count + s->wanted * (s->asked.max_tokens + 63));
        if (odd == 255 && s->wanted > 1) MUST(s->tokens[0] == UNTOUCHED);
    } else {
        MUST(odd < 240 || (s->asked.width == 0 && s->asked.length_penalty == 0 && s->asked.flags == 0));
        unsigned seen = 0;
        for (size_t i = 0; i < s->wanted; i++) {
            const llama2_found *f = &s->found[i];
            MUST(f->index < s->wanted && !(seen & 1u << f->index) && (i == 0 || f[-1].score >= f->score));
            seen |= 1u << f->index;
            check_text(s, f);
            MUST(is_near(sum_of(s, f), f->score * (double)f->count));
            llama2_sampler *alone = take_sampler(kinds[f->index], seeds[f->index]);
            compare(s, f, samplers[f->index], alone);
            llama2_sampler_free(alone);
        }
    }
    for (size_t i = 0; i < s->wanted; i++) llama2_sampler_free(samplers[i]);
}

/* ---- Guidance ------------------------------------------------------------------------------- */

static void run_guide(input *in) {
    float rows[2][8], mixed[8] = {0}, scale;
    uint32_t bits;
    size_t count = take_u8(in) % 9;
    for (unsigned i = 0; i < 17; i++) {
        uint8_t what = take_u8(in);
        bits = what == 255 ? take_u32(in) : what % 8 == 7 ? 0xff800000u : 0; /* -infinity now and then */
        float value;
        memcpy(&value, &bits, 4);
        if (what != 255 && what % 8 != 7) value = (float)(int8_t)what / 8;
        if (i == 16) scale = value;
        else rows[i / 8][i % 8] = value;
    }
    int32_t status = llama2_guide_logits(rows[0], rows[1], count, scale, mixed);
    check_status(status);
    MUST(status == LLAMA2_OK || (status == LLAMA2_E_INVALID_ARGUMENT && mixed[0] == 0));
    if (status == LLAMA2_OK)
        for (size_t i = 0; i < count; i++) MUST(mixed[i] == mixed[i] && mixed[i] < 3.5e38 && (mixed[i] < -3.5e38) == (rows[0][i] < -3.5e38));
}

void run_search(const uint8_t *data, size_t size) {
    static search s;
    static int left;
    input in = {data, size};
    if (!context) {
        context = small_context(models[SPM], LENGTH, SEQUENCES, 8);
        other = small_context(models[SPM], 128, 1, 8);
        static const char rules[] = "root ::= \"a\" [a-z ]* \".\" | [0-9]{1,3}";
        MUST(llama2_grammar_create(models[SPM], LLAMA2_GRAMMAR_GBNF, rules, sizeof rules - 1, NULL, &grammar, NULL, 0) == LLAMA2_OK);
        MUST(llama2_context_set_cancel(context, cancel_after, &left) == LLAMA2_OK);
    }
    uint8_t kind = take_u8(&in);
    if (kind % 4 == 3) {
        run_guide(&in);
        return;
    }
    /* 1. a context in which one sequence may be in use */
    left = -2;
    int32_t used = kind & 4 ? kind / 32 % SEQUENCES : -1;
    size_t length = 0;
    llama2_batch_entry entries[3] = {{1, used, 0}, {270, used, 0}, {5, used, LLAMA2_BATCH_LOGITS}};
    MUST(llama2_context_reset(context) == LLAMA2_OK && (used < 0 || llama2_eval_batch(context, entries, 3) == LLAMA2_OK));
    take_search(&in, &s);
    if (kind & 8) left = take_u8(&in);
    /* 2. the search */
    if (kind & 1) run_best(&in, &s, &left, used < 0 ? 0 : 3);
    else run_beams(&s, &left, used < 0 ? 0 : 3);
    /* 3. as it was, and good for more */
    left = -2;
    for (int32_t i = 0; i < SEQUENCES; i++) MUST(llama2_sequence_length(context, i, &length) == LLAMA2_OK && length == (i == used ? 3 : 0));
    entries[0].sequence = entries[1].sequence = entries[2].sequence = used < 0 ? 0 : used;
    MUST(llama2_eval_batch(context, entries, 3) == LLAMA2_OK);
}
