/* A scheduler driven by bytes: requests come, are cancelled, and submit and cancel others from their callbacks, between steps in any number. Whatever
   comes: each request that was taken has one event with a reason, its last; and what was not cut short has the text that llama2_generate gives alone. */
#include "fuzz.h"

enum { MOST = 10, LENGTH = 96, SEQUENCES = 3, TEXT = 4096 };

typedef struct request {
    uint64_t number;
    llama2_request_options asked;
    llama2_sampler_options sampler;
    int32_t tokens[40];
    llama2_text stop;
    char stop_text[8];
    char text[TEXT];
    size_t length;
    uint64_t told; /* tokens that were chosen */
    int32_t reason, does; /* does: bits of what its callback does once */
} request;

typedef struct run {
    llama2_scheduler *scheduler;
    request requests[MOST];
    unsigned count;
    input *in;
} run;

static llama2_grammar *grammar;

static void submit(run *all);

static int32_t receive(const llama2_event *event, void *user_data) {
    run *all = user_data;
    request *r = NULL;
    for (unsigned i = 0; i < all->count; i++)
        if (all->requests[i].number == event->request) r = &all->requests[i];
    MUST(r != NULL && r->reason == 0); /* it is one of ours, and nothing comes behind the end */
    MUST(event->prompt_tokens == r->asked.token_count && event->adopted <= event->prompt_tokens && event->tokens >= r->told);
    MUST(event->error != NULL && (event->status != 0) == (event->reason == LLAMA2_END_ERROR));
    MUST((event->report != NULL) == (event->token != -1 || event->report != NULL));
    MUST(r->length + event->length <= TEXT);
    memcpy(r->text + r->length, event->piece, event->length);
    r->length += event->length;
    r->told = event->tokens;
    r->reason = event->reason;
    int32_t does = r->does;
    r->does = 0;
    if (does & 1) submit(all);
    if (does & 2) MUST(llama2_scheduler_cancel(all->scheduler, all->requests[does / 16 % all->count].number) == LLAMA2_OK);
    if (does & 4) { /* not from inside */
        size_t remaining;
        MUST(llama2_scheduler_step(all->scheduler, &remaining) == LLAMA2_E_BUSY);
    }
    return does & 8;
}

static void submit(run *all) {
    input *in = all->in;
    if (all->count == MOST) return;
    request *r = &all->requests[all->count];
    memset(r, 0, sizeof *r);
    uint8_t kind = take_u8(in), more = take_u8(in);
    llama2_request_options_init(&r->asked);
    llama2_sampler_options_init(&r->sampler);
    r->sampler.seed = take_u8(in);
    r->sampler.flags = kind & 1 ? LLAMA2_SAMPLER_GREEDY : 0;
    r->sampler.temperature = kind & 1 ? 0 : 2;
    r->sampler.repetition_penalty = kind & 2 ? 1.3f : 0;
    r->asked.flags = kind / 4 % 16; /* flags that need the callback, too */
    r->asked.tokens = r->tokens;
    r->asked.token_count = more % 41;
    uint8_t first = take_u8(in), wrong = take_u8(in);
    for (unsigned i = 0; i < 40; i++) r->tokens[i] = 3 + (int32_t)(first & 1 ? first % 50 : (first + i * (first / 16)) % 200); /* heads that are shared */
    if (wrong == 255) r->tokens[more % 41 / 2] = (int32_t)take_u32(in);
    r->asked.sampler_options = &r->sampler;
    r->asked.grammar = kind & 64 ? grammar : NULL;
    r->asked.max_tokens = take_u8(in) % 33;
    r->asked.priority = (int8_t)take_u8(in);
    uint8_t stop = take_u8(in);
    r->asked.stop_count = stop & 1;
    r->stop_text[0] = (char)take_u8(in);
    r->stop_text[1] = (char)take_u8(in);
    r->stop = (llama2_text){r->stop_text, 1 + stop / 2 % 2};
    r->asked.stops = &r->stop;
    r->asked.deadline_milliseconds = stop / 4 == 63; /* a millisecond */
    r->asked.best = stop / 16 % 4;
    r->asked.callback = kind & 128 && stop & 8 ? NULL : receive; /* one that nobody listens to */
    r->asked.user_data = all;
    r->does = take_u8(in);
    if (r->asked.callback == NULL) r->does = 0;
    uint64_t number = ~0ull;
    int32_t status = llama2_scheduler_submit(all->scheduler, &r->asked, &number);
    check_status(status);
    MUST((status == LLAMA2_OK) == (number != ~0ull));
    if (status != LLAMA2_OK) return;
    for (unsigned i = 0; i < all->count; i++) MUST(all->requests[i].number != number);
    r->number = number;
    all->count++;
}

static int32_t collect(const char *piece, size_t length, void *user_data) {
    request *alone = user_data;
    MUST(alone->length + length <= TEXT);
    memcpy(alone->text + alone->length, piece, length);
    alone->length += length;
    return 0;
}

/* The same from llama2_generate. */
static void compare(llama2_context *context, const request *r) {
    static request alone;
    llama2_sampler *sampler = NULL;
    llama2_generate_options g;
    llama2_generate_result result = {.struct_size = sizeof result};
    MUST(llama2_sampler_create(&r->sampler, &sampler, NULL, 0) == LLAMA2_OK);
    if (r->asked.grammar) MUST(llama2_sampler_set_grammar(sampler, r->asked.grammar) == LLAMA2_OK);
    MUST(llama2_context_reset(context) == LLAMA2_OK);
    llama2_generate_options_init(&g);
    g.flags = r->asked.flags & LLAMA2_REQUEST_PENALIZE_PROMPT ? LLAMA2_GENERATE_PENALIZE_PROMPT : 0;
    g.prompt = r->tokens;
    g.prompt_count = r->asked.token_count;
    g.stops = &r->stop;
    g.stop_count = r->asked.stop_count;
    g.max_tokens = r->asked.max_tokens;
    g.result = &result;
    alone.length = 0;
    MUST(llama2_generate(context, sampler, &g, collect, &alone) == LLAMA2_OK);
    MUST(result.reason == r->reason && result.tokens == r->told);
    MUST(alone.length == r->length && memcmp(alone.text, r->text, r->length) == 0);
    llama2_sampler_free(sampler);
}

void run_scheduler(const uint8_t *data, size_t size) {
    static llama2_context *context, *other;
    static run all;
    input in = {data, size};
    if (!context) {
        context = small_context(models[SPM], LENGTH, SEQUENCES, 16);
        other = small_context(models[SPM], LENGTH, SEQUENCES, 16);
        static const char rules[] = "root ::= [a-z ]* \"<\" [0-9]{2,5} \">\" root | \".\"";
        MUST(llama2_grammar_create(models[SPM], LLAMA2_GRAMMAR_GBNF, rules, sizeof rules - 1, NULL, &grammar, NULL, 0) == LLAMA2_OK);
    }
    /* 1. a scheduler */
    llama2_scheduler_options o;
    llama2_scheduler_options_init(&o);
    o.prompt_tokens_per_step = take_u8(&in) % 20;
    uint8_t limit = take_u8(&in);
    o.max_requests = limit & 1 ? 1 + limit / 2 % 8 : 0;
    memset(&all, 0, sizeof all);
    all.in = &in;
    MUST(llama2_scheduler_create(context, &o, &all.scheduler, NULL, 0) == LLAMA2_OK);
    /* 2. what the bytes say */
    size_t remaining = 0;
    llama2_scheduler_stats stats = {.struct_size = sizeof stats};
    for (unsigned i = 0; in.size > 0 && i < 200; i++) {
        uint8_t what = take_u8(&in);
        if (what % 4 == 0) submit(&all);
        else if (what % 4 < 3) check_status(llama2_scheduler_step(all.scheduler, &remaining));
        else if (what & 4 && all.count) MUST(llama2_scheduler_cancel(all.scheduler, all.requests[what / 8 % all.count].number) == LLAMA2_OK);
        else check_status(llama2_scheduler_cancel(all.scheduler, take_u32(&in)));
        MUST(llama2_scheduler_get_stats(all.scheduler, &stats) == LLAMA2_OK && stats.running <= SEQUENCES && stats.waiting + stats.running <= MOST);
    }
    /* 3. to the end of all of them */
    remaining = 1;
    for (unsigned steps = 0; remaining > 0; steps++) {
        MUST(llama2_scheduler_step(all.scheduler, &remaining) == LLAMA2_OK && remaining <= MOST && steps < 5000);
    }
    llama2_scheduler_free(all.scheduler);
    for (unsigned i = 0; i < all.count; i++) {
        const request *r = &all.requests[i];
        if (r->asked.callback == NULL) continue;
        MUST(r->reason != 0 && r->reason != LLAMA2_END_ERROR);
        if (r->reason != LLAMA2_END_CANCELLED && r->reason != LLAMA2_END_DEADLINE && r->reason != LLAMA2_END_CALLBACK) compare(other, r);
    }
}
