/* States of contexts, and samplers and decoders that were saved. */
#include "fuzz.h"

static uint32_t word(const uint8_t *at) { return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24; }

/* The checksum at the end of a section (STATE.md), if it lies in the state. Returns where the next one begins. */
static size_t sign(uint8_t *state, size_t size, size_t begin, size_t end) {
    uint64_t hash = 0xcbf29ce484222325u, next;
    if (end > size || end < begin + 8 || end % 8) return size;
    for (size_t i = begin; i < end - 8; i += 8) {
        memcpy(&next, state + i, 8);
        hash = (hash ^ next) * 0x100000001b3u;
    }
    memcpy(state + end - 8, &hash, 8);
    return end;
}

static void sign_all(uint8_t *state, size_t size) {
    size_t at = sign(state, size, 0, 80), of_position;
    if (size < 80 || at != 80) return;
    uint64_t references;
    memcpy(&references, state + 64, 8);
    of_position = (size_t)word(state + 28) * word(state + 32) * word(state + 36) * (word(state + 12) == 1 ? 4 : 8);
    if (references > size || word(state + 52) > size || of_position > size) return;
    at = sign(state, size, 80, 80 + (16 * (size_t)word(state + 52) + 4 * references + 7) / 8 * 8 + 8);
    for (uint32_t i = 0; i < word(state + 56) && at + 8 <= size; i++) {
        size_t p = word(state + at);
        if (p > 64) return;
        at = sign(state, size, at, at + (8 + 4 * p + 7) / 8 * 8 + (p * of_position + 7) / 8 * 8 + 8);
    }
    sign(state, size, at, size);
}

/* Either a state as it comes, or changes to words of one that is right: (u16 where, u32 what) ..., signed anew. */
void run_state(const uint8_t *data, size_t size) {
    static llama2_context *context;
    static uint8_t right[1 << 20], changed[1 << 20];
    static size_t length;
    static const int32_t tokens[3] = {1, 260, 5};
    input in = {data, size};
    if (!context) {
        context = small_context(models[SPM], 256, 3, 0);
        for (int i = 0; i < 30; i++) MUST(llama2_eval(context, tokens, 3) == LLAMA2_OK);
        MUST(llama2_sequence_copy(context, 0, 1, 70) == LLAMA2_OK);
        MUST(llama2_state_save_memory(context, LLAMA2_ALL_SEQUENCES, right, sizeof right, &length) == LLAMA2_OK);
    }
    uint8_t kind = take_u8(&in);
    int32_t sequence = kind & 2 ? LLAMA2_ALL_SEQUENCES : 2, status;
    MUST(llama2_context_reset(context) == LLAMA2_OK);
    if (kind & 1) {
        status = llama2_state_load_memory(context, sequence, in.data, in.size);
    } else {
        size_t end = length;
        memcpy(changed, right, length);
        while (in.size >= 6) {
            size_t at = take_u8(&in);
            at = (at | (size_t)take_u8(&in) << 8) * 4 % length;
            uint32_t value = take_u32(&in);
            if (kind & 4 && at % 64 == 0)
                end = at; /* cut there */
            else
                memcpy(changed + at / 4 * 4, &value, 4);
        }
        if (!(kind & 8)) sign_all(changed, end);
        status = llama2_state_load_memory(context, sequence, changed, end);
    }
    check_status(status);
    /* whatever was accepted, the context works */
    size_t needed = 0;
    MUST(llama2_state_save_memory(context, LLAMA2_ALL_SEQUENCES, NULL, 0, &needed) == LLAMA2_E_BUFFER_TOO_SMALL && needed >= 80);
    for (int32_t s = 0; s < 3; s++) {
        llama2_batch_entry entry = {1, s, LLAMA2_BATCH_LOGITS};
        int32_t done = llama2_eval_batch(context, &entry, 1);
        MUST(done == LLAMA2_OK || done == LLAMA2_E_CONTEXT_FULL);
    }
}

/* ---- Samplers and decoders that were saved --------------------------------------------------- */

/* As run_state: one as it comes, or changes to words of one that is right, signed anew. Whatever was accepted works, and is given back as it is. */
void run_saved(const uint8_t *data, size_t size) {
    static const char text[] = "root ::= [a-z ]* (\"(\" root \")\" [a-z ]*)*";
    static llama2_sampler *sampler;
    static llama2_decoder *decoder;
    static uint8_t right[2][1 << 12], changed[1 << 12], again[1 << 12];
    static size_t length[2];
    static float logits[1 << 16];
    static size_t vocabulary;
    input in = {data, size};
    int32_t token, status;
    size_t needed = 0;
    char piece[256];
    if (!sampler) {
        llama2_sampler_options options;
        llama2_grammar *grammar = NULL;
        llama2_hyperparameters h = {0};
        llama2_text banned[2] = {{"the", 3}, {"eth", 3}};
        h.struct_size = sizeof h;
        MUST(llama2_model_hyperparameters(models[SPM], &h) == LLAMA2_OK);
        vocabulary = (size_t)h.vocabulary_size;
        MUST(vocabulary <= COUNT(logits));
        llama2_sampler_options_init(&options);
        options.model = models[SPM], options.banned_texts = banned, options.banned_text_count = 2;
        options.dry_multiplier = 0.5f, options.repetition_penalty = 1.1f, options.mirostat = 2, options.no_repeat_ngram = 3;
        MUST(llama2_sampler_create(&options, &sampler, NULL, 0) == LLAMA2_OK);
        MUST(llama2_grammar_create(models[SPM], LLAMA2_GRAMMAR_GBNF, text, sizeof text - 1, NULL, &grammar, NULL, 0) == LLAMA2_OK);
        MUST(llama2_sampler_set_grammar(sampler, grammar) == LLAMA2_OK);
        llama2_grammar_free(grammar);
        for (int i = 0; i < 12; i++) {
            for (size_t t = 0; t < vocabulary; t++) logits[t] = (float)((t * 7919 + (size_t)i * 104729) % 1000) / 100;
            if (llama2_sample_logits(sampler, logits, vocabulary, &token) != LLAMA2_OK) break;
        }
        MUST(llama2_sampler_save(sampler, right[0], sizeof right[0], &length[0]) == LLAMA2_OK);
        MUST(llama2_decoder_create(models[SPM], LLAMA2_DECODER_TEXT_START, &decoder, NULL, 0) == LLAMA2_OK);
        MUST(llama2_decoder_save(decoder, right[1], sizeof right[1], &length[1]) == LLAMA2_OK);
    }
    uint8_t kind = take_u8(&in);
    int is_decoder = kind & 2 ? 1 : 0;
    const uint8_t *given = in.data;
    size_t end = in.size;
    if (!(kind & 1)) {
        end = length[is_decoder];
        memcpy(changed, right[is_decoder], end);
        while (in.size >= 5) {
            size_t at = (size_t)take_u8(&in) * 4 % end;
            uint32_t value = take_u32(&in);
            if (kind & 4 && at % 8 == 0) end = at < 32 ? 32 : at;
            else memcpy(changed + at, &value, 4);
        }
        if (kind & 8) memcpy(changed + 16, &(uint64_t){end}, 8);
        if (!(kind & 16)) sign(changed, end, 0, end);
        given = changed;
    }
    status = is_decoder ? llama2_decoder_load(decoder, given, end) : llama2_sampler_load(sampler, given, end);
    check_status(status);
    MUST((is_decoder ? llama2_decoder_save(decoder, again, sizeof again, &needed) : llama2_sampler_save(sampler, again, sizeof again, &needed)) == LLAMA2_OK);
    if (status == LLAMA2_OK) MUST(needed == end && memcmp(again, given, end) == 0);
    else MUST(needed == length[is_decoder] && memcmp(again, right[is_decoder], needed) == 0);
    for (int i = 0; i < 3; i++) {
        if (is_decoder) check_status(llama2_decoder_append(decoder, 3 + 0xe6 - i, piece, sizeof piece, &needed));
        else check_status(llama2_sample_logits(sampler, logits, vocabulary, &token));
    }
    MUST((is_decoder ? llama2_decoder_load(decoder, right[1], length[1]) : llama2_sampler_load(sampler, right[0], length[0])) == LLAMA2_OK);
}
