/* Random calls of every function from several threads, on living, freed, foreign and made-up handles, most contexts of 1 to 8
 * positions, where ranges have no room: random_calls SECONDS THREADS SEED FOLDER MODEL...
 * Callbacks call back in, free what is in use and overwrite the arrays that the call around them was given.
 *
 * Ends with 1 when a status is none that the header names for the function, a sentence is no line, logits are not those
 * that the same tokens gave alone, or memory or threads stay behind; a trap in the library ends it with a signal. */
#define _GNU_SOURCE
#include <llama2swift.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 16
#define TOKENS 200
enum { MODEL, CONTEXT, SAMPLER, DECODER, GRAMMAR, GRAMMAR_STATE, ADAPTER, SCHEDULER, KINDS };
static void *table[KINDS][SLOTS];
static llama2_model *kept; /* never freed, for what must be right */
static float known[4][512];
static const char *folder, *paths[16], *adapter_path;
static int path_count;
static double end;
static long calls, callbacks, answers, seen[128], bad;

typedef struct { uint64_t state; int depth, number; int32_t *tokens; llama2_batch_entry *entries; } worker;
static __thread worker *me;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static uint64_t next(void) { /* splitmix64 */
    uint64_t z = (me->state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static int below(int n) { return (int)(next() % (uint64_t)n); }
static int once_in(int n) { return below(n) == 0; }
/* A number at an edge of its type, or a small one. */
static uint64_t edge(void) {
    static const uint64_t edges[] = {0, 1, 2, 3, 63, 64, 65, 511, 512, 1u << 31, 0x7fffffff, 0xffffffff, (uint64_t)1 << 32, (uint64_t)1 << 62,
                                     (uint64_t)1 << 63, ((uint64_t)1 << 63) - 1, UINT64_MAX, UINT64_MAX - 1};
    return once_in(2) ? edges[below(sizeof edges / sizeof *edges)] : (uint64_t)below(12);
}

static void fault(const char *what, int32_t status) {
    __atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "thread %d: %s gave %d: %s\n", me->number, what, (int)status, llama2_last_error());
}
/* OK, NULL_ARGUMENT, INVALID_ARGUMENT and BAD_HANDLE always; `more` up to 1 is what the header says besides. */
static void expect(const char *what, int32_t status, const int32_t *more) {
    const char *sentence = llama2_last_error();
    __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (status > 0 || status < -127) { fault(what, status); return; }
    __atomic_add_fetch(&seen[-status], 1, __ATOMIC_RELAXED);
    if (strlen(sentence) > 1023 || strchr(sentence, '\n') != NULL) fault("a sentence", status);
    if (status >= LLAMA2_E_BAD_HANDLE) return;
    for (; *more != 1; more++) if (*more == status) return;
    fault(what, status);
}
#define TRY(call, ...) expect(#call, call, (const int32_t[]){__VA_ARGS__, 1})
#define STRUCT LLAMA2_E_STRUCT_SIZE
#define RANGE LLAMA2_E_OUT_OF_RANGE
#define SMALL LLAMA2_E_BUFFER_TOO_SMALL
#define TOKEN LLAMA2_E_INVALID_TOKEN
#define NOMEM LLAMA2_E_NO_MEMORY
#define BUSY LLAMA2_E_BUSY
#define FULL LLAMA2_E_CONTEXT_FULL
#define CANCELLED LLAMA2_E_CANCELLED
#define UNSUPPORTED LLAMA2_E_UNSUPPORTED
#define NO_LOGITS LLAMA2_E_NO_LOGITS
#define NO_THREAD LLAMA2_E_THREAD
#define INOUT LLAMA2_E_IO
#define LOADING INOUT, NOMEM, LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, UNSUPPORTED, STRUCT
#define EVALUATING TOKEN, FULL, CANCELLED, NOMEM, UNSUPPORTED, BUSY

static void *pick(int kind) {
    void *h = __atomic_load_n(&table[kind][below(SLOTS)], __ATOMIC_RELAXED);
    switch (below(40)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)next();
    case 2: return __atomic_load_n(&table[below(KINDS)][below(SLOTS)], __ATOMIC_RELAXED);
    case 3: return (char *)h + below(33) - 16;
    case 4: return (void *)(uintptr_t)(1 + below(16));
    default: return h;
    }
}
static void discard(int kind, void *handle) {
    switch (kind) {
    case MODEL: llama2_model_free(handle); break;
    case CONTEXT: llama2_context_free(handle); break;
    case SAMPLER: llama2_sampler_free(handle); break;
    case DECODER: llama2_decoder_free(handle); break;
    case GRAMMAR: llama2_grammar_free(handle); break;
    case GRAMMAR_STATE: llama2_grammar_state_free(handle); break;
    case ADAPTER: llama2_adapter_free(handle); break;
    default: llama2_scheduler_free(handle); break;
    }
}
/* Into the table; what was there before is freed, or as a rule was. */
static void keep(int kind, void *handle) {
    void *before = __atomic_exchange_n(&table[kind][below(SLOTS)], handle, __ATOMIC_RELAXED);
    discard(kind, before);
}

static void act(void);

static void called_back(void) {
    int i, n;
    __atomic_add_fetch(&callbacks, 1, __ATOMIC_RELAXED);
    if (me->tokens != NULL && once_in(3)) for (i = 0; i < 8; i++) me->tokens[below(TOKENS)] = (int32_t)edge();
    if (me->entries != NULL && once_in(3)) for (i = 0; i < 4; i++) memset(&me->entries[below(40)], below(2) ? 0x7f : 0xff, sizeof *me->entries);
    if (me->depth >= 3) return;
    me->depth++;
    for (n = below(3); n > 0; n--) act();
    me->depth--;
}
static int32_t on_cancel(void *data) { (void)data; called_back(); return once_in(30); }
static int32_t on_piece(const char *piece, size_t length, void *data) {
    (void)piece; (void)data;
    if (length == 0) fault("an empty piece", 0);
    called_back();
    return once_in(8);
}
static int32_t on_progress(double part, void *data) {
    (void)data;
    if (!(part >= 0 && part <= 1)) fault("progress", (int32_t)part);
    called_back();
    return once_in(10);
}
static int32_t on_window(const llama2_perplexity_result *so_far, size_t windows, void *data) {
    (void)data;
    if (so_far->windows > windows) fault("windows", (int32_t)so_far->windows);
    called_back();
    return once_in(6);
}
static int32_t on_read(uint64_t offset, void *buffer, size_t length, void *data) {
    FILE *file = data;
    called_back();
    return once_in(20) || fseek(file, (long)offset, SEEK_SET) != 0 || fread(buffer, 1, length, file) != length;
}

static void create_context(void) {
    llama2_context_options o;
    llama2_context *context = NULL;
    char error[300];
    int32_t status;
    llama2_context_options_init(&o);
    o.context_length = once_in(4) ? (uint32_t)below(200) : (uint32_t)(1 + below(8));
    o.max_sequences = (uint32_t)below(5);
    o.batch_size = (uint32_t)below(10);
    o.threads = (uint32_t)(1 + below(3));
    o.flags = (uint32_t)(once_in(6) ? below(8) : below(4));
    o.kernels = (uint32_t)below(4);
    if (once_in(2)) o.type_k = (uint32_t)below(5);
    if (once_in(2)) o.type_v = (uint32_t)below(5);
    if (once_in(5)) o.rope_scaling = (uint32_t)below(5);
    if (once_in(5)) o.rope_factor = (float)(1 + below(4));
    if (once_in(30)) ((uint32_t *)&o)[below((int)(sizeof o / 4))] = (uint32_t)edge();
    o.energy_path = NULL; /* a made-up pointer would end any program */
    if (o.threads > 8) o.threads |= 1u << 31; /* a thousand threads each would only take time */
    if (o.context_length > 100000) o.context_length |= 1u << 31;
    status = llama2_context_create(pick(MODEL), &o, &context, error, (size_t)below(300));
    TRY(status, UNSUPPORTED, STRUCT, NOMEM, NO_THREAD);
    if (context == NULL) return;
    if (once_in(3)) llama2_context_set_cancel(context, on_cancel, NULL);
    keep(CONTEXT, context);
}

/* The same tokens, whatever happens around: the same bits. */
static void known_answer(void) {
    static const int32_t tokens[4] = {1, 403, 407, 261};
    llama2_context_options o;
    llama2_context *context = NULL;
    const float *logits = NULL;
    size_t count = 0;
    int i, length = 1 + below(4);
    llama2_context_options_init(&o);
    o.context_length = (uint32_t)(length + below(3));
    o.threads = (uint32_t)(1 + below(3));
    o.batch_size = (uint32_t)(1 + below(4));
    if (llama2_context_create(kept, &o, &context, NULL, 0) != LLAMA2_OK) return;
    for (i = 0; i < length;) {
        int n = 1 + below(length - i);
        if (llama2_eval(context, tokens + i, (size_t)n) != LLAMA2_OK) fault("a known prompt", 0);
        i += n;
    }
    if (llama2_logits(context, 0, &logits, &count) != LLAMA2_OK || memcmp(logits, known[length - 1], count * sizeof *logits) != 0)
        fault("a known answer", 0);
    llama2_context_free(context);
    __atomic_add_fetch(&answers, 1, __ATOMIC_RELAXED);
}

static const char *const languages[][2] = {
    {"1", "root ::= [ab]{1,9} \"c\" | <[5]>"}, {"1", "root ::= root \"a\""}, {"2", "{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}"},
    {"2", "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\",\"maxLength\":9},\"b\":{\"enum\":[1,null,\"x\"]}},\"required\":[\"a\"]}"},
    {"2", "{\"allOf\":[{\"minimum\":3},{\"maximum\":2}],\"type\":\"number\"}"}, {"3", "(yes|no|[0-9]+)"}, {"3", "(a|aa)*b{2,"}, {"4", "[\"one\",\"two\",\"\"]"},
};
static void hold_to_a_grammar(const llama2_model *model) {
    const char *const *language = languages[below(sizeof languages / sizeof *languages)];
    char text[200], error[300];
    size_t length = strlen(language[1]), needed;
    int32_t accepts;
    llama2_grammar_options o;
    llama2_grammar *made = NULL;
    llama2_grammar_state *state = NULL;
    memcpy(text, language[1], length);
    if (once_in(6)) text[below((int)length)] = (char)next();
    llama2_grammar_options_init(&o);
    o.flags = once_in(9) ? (uint32_t)edge() : (uint32_t)below(8);
    TRY(llama2_grammar_create(model, once_in(9) ? (uint32_t)edge() : (uint32_t)(language[0][0] - '0'), text, once_in(9) ? (size_t)below((int)length) : length,
                              once_in(2) ? NULL : &o, &made, error, (size_t)below(300)), UNSUPPORTED, STRUCT, NOMEM);
    if (made != NULL) {
        TRY(llama2_grammar_accepts(made, "[1, 23]", (size_t)below(8), &accepts), UNSUPPORTED, NOMEM);
        keep(GRAMMAR, made);
    }
    TRY(llama2_grammar_ignored(pick(GRAMMAR), error, (size_t)below(300), &needed), SMALL);
    TRY(llama2_sampler_set_grammar(pick(SAMPLER), once_in(3) ? NULL : pick(GRAMMAR)), NOMEM, BUSY);
    TRY(llama2_grammar_start(pick(GRAMMAR), &state, error, sizeof error), NOMEM, UNSUPPORTED);
    if (state != NULL) keep(GRAMMAR_STATE, state);
}

/* A state of a grammar takes some of the tokens that it allows. */
static void step_through_a_grammar(int32_t *tokens, char *text, size_t room) {
    void *state = pick(GRAMMAR_STATE);
    uint32_t mask[32];
    size_t needed = 0;
    int32_t complete, status;
    int i, n, at;
    for (n = below(6); n > 0; n--) {
        TRY(status = llama2_grammar_state_allowed(state, mask, once_in(9) ? 0 : 32, &needed), SMALL, LLAMA2_E_FORBIDDEN, UNSUPPORTED, NOMEM, BUSY);
        if (status != LLAMA2_OK || needed > 32) break;
        for (at = below(512), i = 0; i < 512 && !(mask[at / 32] >> at % 32 & 1); i++) at = (at + 1) % 512;
        TRY(llama2_grammar_state_accept(state, once_in(9) ? tokens[n] : at), LLAMA2_E_FORBIDDEN, TOKEN, UNSUPPORTED, NOMEM, BUSY);
    }
    if (once_in(2)) TRY(llama2_grammar_state_withdraw(state, once_in(9) ? (size_t)edge() : (size_t)below(4)), RANGE, BUSY);
    if (once_in(9)) TRY(llama2_grammar_state_reset(state), BUSY);
    TRY(llama2_grammar_state_complete(state, &complete), BUSY);
    TRY(llama2_grammar_state_forced(state, text, room, &needed), SMALL, UNSUPPORTED, NOMEM, BUSY);
}

static int32_t on_write(const void *data, size_t length, void *user_data) {
    (void)user_data;
    if (length == 0 || data == NULL) fault("an empty write", 0);
    called_back();
    return once_in(40);
}
static void keep_a_state(void *context) {
    static __thread unsigned char data[1 << 18];
    int32_t sequence = once_in(9) ? (int32_t)edge() : below(4) - 1;
    char path[300];
    size_t needed = 0;
    uint64_t size;
    int i;
    TRY(llama2_state_size(context, sequence, &size), RANGE, BUSY, NOMEM);
    snprintf(path, sizeof path, "%s/state-%d", folder, below(3));
    switch (below(4)) {
    case 0: TRY(llama2_state_save(context, sequence, path), RANGE, INOUT, NOMEM, BUSY); break;
    case 1: TRY(llama2_state_load(pick(CONTEXT), sequence, path), RANGE, LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, UNSUPPORTED, FULL, INOUT, NOMEM, BUSY); break;
    case 2: TRY(llama2_state_save_io(context, sequence, on_write, NULL), RANGE, INOUT, NOMEM, BUSY); break;
    default:
        TRY(llama2_state_save_memory(context, sequence, data, once_in(9) ? (size_t)below(100) : sizeof data, &needed), RANGE, SMALL, NOMEM, BUSY);
        if (needed == 0 || needed > sizeof data) break;
        if (once_in(4)) for (i = 0; i < 3; i++) data[next() % needed] = (unsigned char)next();
        TRY(llama2_state_load_memory(pick(CONTEXT), sequence, data, once_in(9) ? (size_t)below((int)needed) : needed), RANGE, LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT,
            UNSUPPORTED, FULL, NOMEM, BUSY);
    }
}

static int32_t on_layer(const llama2_layer_view *view, void *data) {
    (void)data;
    if (view->struct_size != sizeof *view) fault("the view of a layer", 0);
    called_back();
    return once_in(200);
}

static int32_t on_event(const llama2_event *event, void *data) {
    (void)data;
    if (event->struct_size != sizeof *event || event->reason < 0) fault("an event", event->reason);
    if (event->report != NULL ? event->report->token < 0 || event->report->best_count > 9 : event->token >= 0) fault("the report of an event", event->token);
    called_back();
    return once_in(20);
}
/* Hands in requests, steps some times; the context serves nothing else meanwhile. */
static void schedule(void *context) {
    int32_t tokens[12];
    int n;
    char error[300];
    size_t remaining;
    uint64_t request = 0;
    llama2_text stops[2] = {{"ab", 2}, {"the", 3}};
    llama2_scheduler_options o;
    llama2_scheduler_stats stats = {0};
    llama2_scheduler *made = NULL;
    llama2_scheduler_options_init(&o);
    o.prompt_tokens_per_step = once_in(9) ? (uint32_t)edge() : (uint32_t)below(9);
    o.max_requests = once_in(9) ? (uint32_t)edge() : (uint32_t)below(9);
    if (once_in(3)) o.draft = pick(CONTEXT);
    if (once_in(3)) TRY(llama2_scheduler_create(context, &o, &made, error, (size_t)below(300)), UNSUPPORTED, STRUCT, NOMEM, BUSY);
    if (made != NULL) keep(SCHEDULER, made);
    for (n = below(3); n > 0; n--) {
        llama2_request_options r;
        int i;
        for (i = 0; i < 12; i++) tokens[i] = once_in(64) ? (int32_t)edge() : below(512);
        llama2_request_options_init(&r);
        r.flags = once_in(9) ? (uint32_t)edge() : (uint32_t)below(16);
        r.best = r.flags & LLAMA2_REQUEST_LOGPROBS ? (uint32_t)below(10) : 0;
        r.tokens = tokens, r.token_count = (size_t)below(12);
        if (once_in(2)) r.sampler = pick(SAMPLER);
        if (once_in(4)) r.grammar = pick(GRAMMAR);
        r.stops = stops, r.stop_count = (size_t)below(3);
        r.max_tokens = once_in(9) ? edge() : 1 + (uint64_t)below(9);
        r.deadline_milliseconds = once_in(4) ? 1 + edge() % 50 : 0;
        r.priority = below(3);
        r.callback = once_in(4) ? NULL : on_event;
        TRY(llama2_scheduler_submit(pick(SCHEDULER), &r, &request), TOKEN, RANGE, FULL, STRUCT, NOMEM, BUSY);
    }
    for (n = below(5); n > 0; n--) TRY(llama2_scheduler_step(pick(SCHEDULER), &remaining), CANCELLED, NOMEM, BUSY);
    if (once_in(3)) TRY(llama2_scheduler_cancel(pick(SCHEDULER), once_in(2) ? request : edge()), LLAMA2_E_NOT_FOUND, NOMEM);
    stats.struct_size = sizeof stats;
    TRY(llama2_scheduler_get_stats(pick(SCHEDULER), &stats), STRUCT);
    if (once_in(4)) discard(SCHEDULER, pick(SCHEDULER));
}

/* Beams, and texts of several samplers; rows that are mixed. */
static void search(void *context, const int32_t *tokens, size_t count) {
    static __thread int32_t texts[4 * 8];
    static __thread float rows[2][512];
    llama2_found found[4];
    llama2_sampler *samplers[3];
    llama2_search_options o;
    size_t needed = 0, i;
    llama2_search_options_init(&o);
    o.prompt = tokens, o.prompt_count = count;
    o.max_tokens = once_in(9) ? edge() : 1 + (uint64_t)below(8);
    for (i = 0; i < 3; i++) samplers[i] = pick(SAMPLER);
    if (once_in(2)) {
        TRY(llama2_best_of(context, &o, samplers, once_in(9) ? (size_t)below(4) : 1 + (size_t)below(2), found, texts, 4 * 8), EVALUATING, RANGE, SMALL, STRUCT, LLAMA2_E_FORBIDDEN);
    } else {
        o.flags = once_in(9) ? (uint32_t)edge() : (uint32_t)below(3);
        o.width = once_in(9) ? (uint32_t)edge() : 1 + (uint32_t)below(3);
        o.length_penalty = once_in(9) ? (double)NAN : below(5) - 2;
        TRY(llama2_beam_search(context, &o, found, 1 + (size_t)below(4), texts, once_in(9) ? (size_t)below(9) : 4 * 8, &needed), EVALUATING, RANGE, SMALL, STRUCT);
        if (needed > 4) fault("texts that were found", (int)needed);
    }
    for (i = 0; i < 512; i++) rows[0][i] = once_in(3) ? -INFINITY : (float)below(100) - 50, rows[1][i] = once_in(2000) ? (float)NAN : (float)below(9);
    TRY(llama2_guide_logits(rows[0], rows[below(2)], once_in(9) ? 0 : 512, once_in(9) ? INFINITY : (float)below(9), rows[1]), NOMEM);
}

static void act(void) {
    int32_t tokens[TOKENS], token = 0, *outer_tokens = me->tokens;
    llama2_batch_entry entries[40], *outer_entries = me->entries;
    char text[2048], error[300];
    size_t needed = 0, count = (size_t)(once_in(8) ? below(TOKENS) : below(12)), room = once_in(6) ? 0 : sizeof text, i;
    void *context = pick(CONTEXT), *model = pick(MODEL);
    for (i = 0; i < TOKENS; i++) tokens[i] = once_in(64) ? (int32_t)edge() : below(512);
    me->tokens = tokens;
    me->entries = entries;
    switch (below(59)) {
    case 0: case 1: {
        llama2_model *made = NULL;
        llama2_model_options o;
        llama2_model_options_init(&o);
        o.flags = once_in(16) ? (uint32_t)edge() : (uint32_t)below(2);
        TRY(llama2_model_load(paths[below(path_count)], once_in(2) ? &o : NULL, &made, error, (size_t)below(300)), LOADING);
        if (made != NULL) keep(MODEL, made);
        break;
    }
    case 2: case 3: case 4: case 5: create_context(); break;
    case 6: {
        llama2_sampler *made = NULL;
        llama2_sampler_options o;
        llama2_logit_bias bias[3] = {{3, -INFINITY}, {below(600), 5}, {below(700) - 50, 1}};
        llama2_sampler_options_init(&o);
        o.seed = next();
        o.temperature = (float)below(20) / 10;
        o.top_p = (float)below(12) / 10;
        o.top_k = below(60) - 2;
        o.min_p = (float)below(12) / 10 - 0.1f;
        o.repetition_penalty = (float)below(30) / 10;
        o.frequency_penalty = (float)below(4);
        o.logit_bias = bias;
        o.logit_bias_count = (size_t)below(4);
        if (once_in(30)) ((uint32_t *)&o)[below(12)] = (uint32_t)edge();
        TRY(llama2_sampler_create(&o, &made, error, sizeof error), RANGE, STRUCT, NOMEM);
        if (made != NULL) keep(SAMPLER, made);
        break;
    }
    case 7: {
        llama2_decoder *made = NULL;
        TRY(llama2_decoder_create(model, (uint32_t)below(5), &made, error, sizeof error), UNSUPPORTED, NOMEM);
        if (made != NULL) keep(DECODER, made);
        break;
    }
    case 8: { int kind = below(KINDS); if (once_in(3)) discard(kind, pick(kind)); break; }
    case 9: case 10: case 11: TRY(llama2_eval(context, once_in(50) ? NULL : tokens, once_in(30) ? (size_t)edge() % (TOKENS + 1) : count), EVALUATING); break;
    case 12: case 13: case 14: {
        size_t n = (size_t)below(40);
        for (i = 0; i < n; i++) entries[i] = (llama2_batch_entry){below(512), below(3), (uint32_t)below(2)};
        if (n > 0 && once_in(15)) ((int32_t *)entries)[below((int)(3 * n))] = (int32_t)edge();
        TRY(llama2_eval_batch(context, entries, n), EVALUATING, RANGE);
        break;
    }
    case 15: case 16: TRY(llama2_sample(context, pick(SAMPLER), &token), NO_LOGITS, RANGE, NOMEM, BUSY, LLAMA2_E_FORBIDDEN, UNSUPPORTED); break;
    case 17: case 18: {
        llama2_generate_options o;
        llama2_generate_result result = {0};
        llama2_text stops[3] = {{"ab", 2}, {"\xf0\x9f\x98\x80z", 5}, {"", 0}};
        result.struct_size = sizeof result;
        llama2_generate_options_init(&o);
        o.flags = (uint32_t)below(8);
        o.prompt = tokens;
        o.prompt_count = count;
        o.stops = stops;
        o.stop_count = (size_t)below(4);
        o.shift_keep = edge();
        o.max_tokens = once_in(20) ? 0 : (uint64_t)below(20);
        o.result = once_in(3) ? NULL : &result;
        if (once_in(3)) o.draft = pick(CONTEXT);
        llama2_piece_callback heard = once_in(4) ? NULL : on_piece;
        if (heard == NULL && o.max_tokens == 0) o.flags &= ~LLAMA2_GENERATE_SHIFT; /* it would never end */
        TRY(llama2_generate(context, pick(SAMPLER), &o, heard, NULL), EVALUATING, RANGE, NO_LOGITS, STRUCT);
        break;
    }
    case 19: TRY(llama2_context_set_cancel(context, once_in(2) ? on_cancel : NULL, NULL), BUSY); break;
    case 20: TRY(llama2_context_reset(context), BUSY); break;
    case 21: { const float *logits; TRY(llama2_logits(context, (size_t)edge(), &logits, &needed), NO_LOGITS, UNSUPPORTED, BUSY); break; }
    case 22: TRY(llama2_logits_rows(context, &needed), BUSY); break;
    case 23: TRY(llama2_sequence_length(context, (int32_t)edge(), &needed), RANGE, BUSY); break;
    case 24: TRY(llama2_sequence_remove(context, once_in(9) ? (int32_t)edge() : below(4), (size_t)edge()), RANGE, BUSY); break;
    case 25: TRY(llama2_sequence_copy(context, below(4) - 1, once_in(9) ? (int32_t)edge() : below(4), (size_t)edge()), RANGE, BUSY); break;
    case 26: TRY(llama2_sequence_adopt(context, below(4) - 1, tokens, count, &needed), RANGE, TOKEN, BUSY); break;
    case 27: { llama2_timings t = {0}; t.struct_size = sizeof t; TRY(llama2_context_timings(context, &t), STRUCT, BUSY); break; }
    case 28: { llama2_context_info t = {0}; t.struct_size = once_in(9) ? (uint32_t)edge() % sizeof t : (uint32_t)sizeof t; TRY(llama2_context_get_info(context, &t), STRUCT, BUSY); break; }
    case 29: if (strlen(llama2_context_last_error(context)) > 1023) fault("the context's sentence", 0); break;
    case 30: TRY(llama2_sampler_reset(pick(SAMPLER)), BUSY); break;
    case 56: {
        static __thread unsigned char saved[1 << 14];
        size_t given;
        int is_decoder = once_in(2);
        needed = 0;
        if (is_decoder) { TRY(llama2_decoder_save(pick(DECODER), saved, once_in(9) ? (size_t)below(100) : sizeof saved, &needed), SMALL, BUSY, NOMEM); }
        else { TRY(llama2_sampler_save(pick(SAMPLER), saved, once_in(9) ? (size_t)below(100) : sizeof saved, &needed), SMALL, BUSY, NOMEM); }
        if (needed == 0 || needed > sizeof saved) break;
        if (once_in(4)) for (i = 0; i < 3; i++) saved[next() % needed] = (unsigned char)next();
        given = once_in(9) ? (size_t)below((int)needed) : needed;
        if (is_decoder) { TRY(llama2_decoder_load(pick(DECODER), saved, given), LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, UNSUPPORTED, BUSY, NOMEM); }
        else { TRY(llama2_sampler_load(pick(SAMPLER), saved, given), LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, UNSUPPORTED, BUSY, NOMEM); }
        break;
    }
    case 31: TRY(llama2_sampler_accept(pick(SAMPLER), (int32_t)edge()), TOKEN, BUSY, NOMEM); break;
    case 32: TRY(llama2_decoder_append(pick(DECODER), once_in(9) ? (int32_t)edge() : below(512), text, room, &needed), TOKEN, SMALL, BUSY); break;
    case 33: TRY(llama2_decoder_finish(pick(DECODER), text, room, &needed), SMALL, BUSY); break;
    case 34:
        for (i = 0; i < 64; i++) text[i] = (char)next();
        TRY(llama2_tokenize(model, text, (size_t)below(64), (uint32_t)below(33), tokens, (size_t)below(TOKENS), &needed), SMALL, UNSUPPORTED, NOMEM);
        break;
    case 35: TRY(llama2_detokenize(model, tokens, count, (uint32_t)below(3), text, room, &needed), TOKEN, SMALL, UNSUPPORTED, NOMEM); break;
    case 36:
        TRY(llama2_token_piece(model, once_in(9) ? (int32_t)edge() : below(512), (uint32_t)below(3), text, room, &needed), TOKEN, SMALL, UNSUPPORTED);
        TRY(llama2_token_is_end(model, once_in(9) ? (int32_t)edge() : below(512), &token), TOKEN, UNSUPPORTED);
        break;
    case 37: {
        llama2_message messages[3] = {{"system", 6, "x", 1}, {"user", 4, text, (size_t)below(9)}, {"bogus", (size_t)below(6), "y", 1}};
        memset(text, 'a' + below(20), 16);
        TRY(llama2_chat_encode(model, messages, (size_t)below(4), (uint32_t)below(3), tokens, TOKENS, &needed), LLAMA2_E_UNKNOWN_TEMPLATE, SMALL, UNSUPPORTED, NOMEM);
        TRY(llama2_chat_format(model, text, room, &needed), SMALL, UNSUPPORTED);
        break;
    }
    case 38: {
        llama2_hyperparameters h = {0};
        llama2_special_tokens s = {0};
        h.struct_size = sizeof h;
        s.struct_size = sizeof s;
        TRY(llama2_model_hyperparameters(model, &h), STRUCT);
        TRY(llama2_model_special_tokens(model, &s), STRUCT, UNSUPPORTED);
        TRY(llama2_model_description(model, text, room, &needed), SMALL);
        break;
    }
    case 39: {
        llama2_tensor_info t = {0};
        t.struct_size = sizeof t;
        TRY(llama2_model_metadata_count(model, &needed), BUSY);
        TRY(llama2_model_metadata_key(model, (size_t)edge(), text, sizeof text, &needed), RANGE, SMALL);
        TRY(llama2_model_metadata(model, text, needed < sizeof text ? needed : 0, text, room, &needed), LLAMA2_E_NOT_FOUND, SMALL);
        TRY(llama2_model_tensor_count(model, &needed), BUSY);
        TRY(llama2_model_tensor(model, (size_t)edge(), &t, text, room, &needed), RANGE, SMALL, STRUCT);
        break;
    }
    case 40: {
        llama2_perplexity_result r = {0};
        r.struct_size = sizeof r;
        TRY(llama2_perplexity(context, tokens, count, once_in(6) ? (size_t)edge() : (size_t)below(9), once_in(3) ? NULL : on_window, NULL, &r), EVALUATING, RANGE, STRUCT);
        break;
    }
    case 41: {
        float logs[TOKENS];
        uint8_t best[TOKENS];
        size_t prompt = count > 0 ? (size_t)below((int)count) : 0;
        if (once_in(3)) {
            static __thread float rows[TOKENS * 64];
            size_t lengths[2], needed = 0;
            lengths[0] = once_in(20) ? (size_t)edge() : prompt;
            if (lengths[0] > TOKENS && lengths[0] < 1000) lengths[0] = prompt; /* a context might have room for tokens that are not there */
            lengths[1] = count - prompt;
            TRY(llama2_embeddings(context, tokens, lengths, (size_t)below(3), (uint32_t)below(5), (uint32_t)below(3), rows, once_in(4) ? (size_t)below(9) : TOKENS * 64, &needed), EVALUATING, SMALL);
            break;
        }
        TRY(llama2_score(context, tokens, prompt, tokens + prompt, count - prompt, logs, once_in(2) ? best : NULL), EVALUATING);
        break;
    }
    case 42: {
        char path[300];
        llama2_quantize_options q;
        if (!once_in(6)) break;
        snprintf(path, sizeof path, "%s/out-%d.gguf", folder, below(3));
        if (once_in(2)) {
            TRY(llama2_importance(context, tokens, count, once_in(6) ? (size_t)edge() : (size_t)below(9), path, on_progress, NULL), EVALUATING, RANGE, INOUT);
            break;
        }
        llama2_quantize_options_init(&q);
        q.threads = (uint32_t)(1 + below(3));
        q.type = once_in(2) ? "Q8_0" : "F16";
        q.progress = on_progress;
        if (once_in(9)) q.flags = (uint32_t)edge();
        TRY(llama2_quantize(paths[below(path_count)], path, &q, error, sizeof error), LOADING, CANCELLED, NO_THREAD);
        break;
    }
    case 43: {
        llama2_io io;
        llama2_model *made = NULL;
        if (!once_in(3)) break;
        llama2_struct_init(&io, sizeof io);
        io.user_data = fopen(paths[below(path_count)], "rb");
        if (io.user_data == NULL) break;
        fseek(io.user_data, 0, SEEK_END);
        io.size = once_in(4) ? (uint64_t)below(100) : (uint64_t)ftell(io.user_data);
        io.read = on_read;
        TRY(llama2_model_load_io(&io, NULL, &made, error, sizeof error), LOADING);
        fclose(io.user_data);
        if (made != NULL) keep(MODEL, made);
        break;
    }
    case 44: {
        llama2_memory m = {0};
        llama2_context_options o;
        m.struct_size = sizeof m;
        llama2_context_options_init(&o);
        o.context_length = (uint32_t)edge();
        o.batch_size = (uint32_t)edge();
        TRY(llama2_preflight(paths[below(path_count)], NULL, &o, &m, error, sizeof error), LOADING);
        break;
    }
    case 45: TRY(llama2_sequence_shift(context, below(4) - 1, (size_t)edge(), (size_t)edge()), RANGE, FULL, BUSY, UNSUPPORTED); break;
    case 46: hold_to_a_grammar(model); break;
    case 47: step_through_a_grammar(tokens, text, room); break;
    case 48: keep_a_state(context); break;
    case 49: {
        llama2_chat_options o;
        char messages[64];
        snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":\"%d\"}]%s", below(100), once_in(6) ? "]" : "");
        llama2_chat_options_init(&o);
        o.flags = once_in(9) ? (uint32_t)edge() : (uint32_t)below(8);
        o.messages = messages;
        o.messages_length = once_in(9) ? (size_t)below(20) : strlen(messages);
        if (once_in(3)) o.template_text = "{% for m in messages %}{{ m.content }}{% endfor %}", o.template_length = once_in(6) ? 9 : 50;
        TRY(llama2_chat_encode_json(model, &o, tokens, once_in(6) ? 0 : TOKENS, &needed), LLAMA2_E_UNKNOWN_TEMPLATE, SMALL, UNSUPPORTED, NOMEM, STRUCT);
        TRY(llama2_chat_render(model, &o, text, room, &needed), LLAMA2_E_UNKNOWN_TEMPLATE, SMALL, UNSUPPORTED, NOMEM, STRUCT);
        break;
    }
    case 50: {
        float logits[512];
        llama2_candidate candidates[64];
        for (i = 0; i < 512; i++) logits[i] = once_in(200) ? (float)NAN : once_in(20) ? -INFINITY : (float)below(1000) / 100;
        TRY(llama2_sample_logits(pick(SAMPLER), logits, once_in(9) ? (size_t)below(512) : 512, &token), RANGE, NOMEM, BUSY, LLAMA2_E_FORBIDDEN, UNSUPPORTED, CANCELLED);
        TRY(llama2_sampler_distribution(pick(SAMPLER), logits, once_in(9) ? (size_t)below(512) : 512, candidates, (size_t)below(65), &needed), SMALL, RANGE, NOMEM, BUSY,
            LLAMA2_E_FORBIDDEN, UNSUPPORTED, CANCELLED);
        break;
    }
    case 51: {
        llama2_adapter *made = NULL;
        llama2_adapter_info info = {0};
        llama2_scaled_adapter adapters[3] = {{pick(ADAPTER), 0.5f, 0}, {pick(ADAPTER), (float)below(5) - 2, 0}, {pick(ADAPTER), once_in(3) ? (float)NAN : 1, 0}};
        info.struct_size = sizeof info;
        if (adapter_path != NULL) TRY(llama2_adapter_load(model, once_in(6) ? paths[0] : adapter_path, &made, error, (size_t)below(300)), LOADING);
        if (made != NULL) keep(ADAPTER, made);
        TRY(llama2_adapter_get_info(pick(ADAPTER), &info), STRUCT);
        TRY(llama2_sequence_set_adapters(context, once_in(9) ? (int32_t)edge() : below(3), adapters, once_in(9) ? (size_t)edge() % 4 : (size_t)below(3)), RANGE, NOMEM, BUSY);
        break;
    }
    case 52: {
        llama2_layer_options o;
        llama2_layer_options_init(&o);
        o.flags = once_in(9) ? (uint32_t)edge() : (uint32_t)below(2);
        o.first_layer = once_in(9) ? (uint32_t)edge() : (uint32_t)below(6);
        o.layer_count = once_in(9) ? (uint32_t)edge() : (uint32_t)below(6);
        o.sequence = once_in(9) ? (int32_t)edge() : below(4) - 1;
        o.first_position = edge();
        o.position_count = edge();
        TRY(llama2_context_set_layer_callback(context, once_in(2) ? NULL : on_layer, NULL, once_in(3) ? NULL : &o), RANGE, STRUCT, BUSY);
        break;
    }
    case 53: {
        static __thread float hidden[40 * 64];
        size_t n = 1 + (size_t)below(20);
        for (i = 0; i < n; i++) entries[i] = (llama2_batch_entry){below(512), below(3), (uint32_t)below(2)};
        me->entries = NULL;
        TRY(llama2_eval_layers(context, entries, n, once_in(3) ? hidden : NULL, once_in(3) ? NULL : hidden), EVALUATING, RANGE);
        TRY(llama2_embeddings(context, tokens, &n, 1, (uint32_t)below(5), (uint32_t)below(3), hidden, once_in(6) ? (size_t)below(64) : 40 * 64, &needed), EVALUATING, SMALL);
        break;
    }
    case 54: case 55: schedule(context); break;
    case 57: search(context, tokens, count); break;
    default: known_answer(); break;
    }
    me->tokens = outer_tokens;
    me->entries = outer_entries;
}

static void *body(void *argument) {
    me = argument;
    while (now() < end) act();
    return NULL;
}

static long status_of(const char *key) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long value = 0;
    while (file != NULL && fgets(line, sizeof line, file)) if (strncmp(line, key, strlen(key)) == 0) value = atol(line + strlen(key));
    if (file != NULL) fclose(file);
    return value;
}

int main(int count, char **v) {
    static worker workers[64];
    pthread_t threads[64];
    static const int32_t tokens[4] = {1, 403, 407, 261};
    llama2_context *context = NULL;
    const float *logits;
    size_t size;
    long i, n, waited;
    if (count < 6 || (n = atol(v[2])) < 1 || n > 64) return 2;
    folder = v[4];
    for (i = 5; i < count && path_count < 16; i++) {
        if (strstr(v[i], "adapter") != NULL) adapter_path = v[i];
        else paths[path_count++] = v[i];
    }
    /* the first is the one of the known answers */
    if (llama2_model_load(paths[0], NULL, &kept, NULL, 0) != LLAMA2_OK || llama2_context_create(kept, NULL, &context, NULL, 0) != LLAMA2_OK) return 2;
    for (i = 0; i < 4; i++) {
        if (llama2_eval(context, tokens + i, 1) != LLAMA2_OK || llama2_logits(context, 0, &logits, &size) != LLAMA2_OK || size != 512) return 2;
        memcpy(known[i], logits, sizeof known[i]);
    }
    llama2_context_free(context);
    end = now() + atof(v[1]);
    for (i = 0; i < n; i++) {
        workers[i] = (worker){strtoull(v[3], NULL, 10) * 1000 + (uint64_t)i, 0, (int)i, NULL, NULL};
        if (pthread_create(&threads[i], NULL, body, &workers[i]) != 0) return 2;
    }
    for (i = 0; i < n; i++) pthread_join(threads[i], NULL);
    me = &workers[0];
    for (i = 0; i < KINDS * SLOTS; i++) discard((int)(i / SLOTS), table[i / SLOTS][i % SLOTS]);
    llama2_model_free(kept);
    for (waited = 0; waited < 100 && status_of("Threads:") > 1; waited++) usleep(10000);
    if (status_of("Threads:") != 1) fault("threads that stay", (int32_t)status_of("Threads:"));
    malloc_trim(0);
    if (status_of("RssAnon:") > 64 << 10) fault("KiB that stay", (int32_t)status_of("RssAnon:"));
    printf("%ld calls, %ld callbacks, %ld known answers, %ld MB left; statuses", calls, callbacks, answers, status_of("RssAnon:") >> 10);
    for (i = 0; i < 128; i++) if (seen[i] != 0) printf(" %ld:%ld", -i, seen[i]);
    printf("\n%s\n", bad == 0 ? "all checks passed" : "failed");
    return bad != 0;
}
