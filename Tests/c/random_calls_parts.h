/* Random calls of random_calls.c that are made of several: contexts, grammars, states, schedulers, searches. */
#ifndef TEST_RANDOM_CALLS_PARTS_H
#define TEST_RANDOM_CALLS_PARTS_H

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
    uint64_t left;
    int i, n, at;
    for (n = below(6); n > 0; n--) {
        if (once_in(2)) TRY(status = llama2_grammar_state_allowed(state, mask, once_in(9) ? 0 : 32, &needed), SMALL, LLAMA2_E_FORBIDDEN, UNSUPPORTED, NOMEM, BUSY);
        else TRY(status = llama2_grammar_state_allowed_within(state, once_in(9) ? (uint64_t)edge() : (uint64_t)below(40), mask, once_in(9) ? 0 : 32, &needed),
                 SMALL, LLAMA2_E_FORBIDDEN, UNSUPPORTED, NOMEM, BUSY);
        if (status != LLAMA2_OK || needed > 32) break;
        for (at = below(512), i = 0; i < 512 && !(mask[at / 32] >> at % 32 & 1); i++) at = (at + 1) % 512;
        TRY(llama2_grammar_state_accept(state, once_in(9) ? tokens[n] : at), LLAMA2_E_FORBIDDEN, TOKEN, UNSUPPORTED, NOMEM, BUSY);
    }
    if (once_in(2)) TRY(llama2_grammar_state_withdraw(state, once_in(9) ? (size_t)edge() : (size_t)below(4)), RANGE, BUSY);
    if (once_in(9)) TRY(llama2_grammar_state_reset(state), BUSY);
    TRY(llama2_grammar_state_complete(state, &complete), BUSY);
    TRY(llama2_grammar_state_forced(state, text, room, &needed), SMALL, UNSUPPORTED, NOMEM, BUSY);
    TRY(llama2_grammar_state_shortest(state, &left, text, room, &needed), SMALL, UNSUPPORTED, NOMEM, BUSY);
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

#endif
