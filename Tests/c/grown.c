/* A caller of every struct with struct_size, compiled with today's header or with one whose structs have grown by a field
   `grown` (-DGROWN), and run with today's library or with one that was built so: a program and a library of
   different versions understand each other on what both know.

   usage: grown MODEL OUTPUT, a checkpoint and where a quantized copy may be written. */
#include "llama2swift.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64
#define FILLED 0x5eed /* what the grown library writes into `grown` of results */

static int failures;

static void check(int right, const char *structure, const char *what) {
    if (right) return;
    printf("%s: %s (%s)\n", structure, what, llama2_last_error());
    failures++;
}

/* Room for a struct, and bytes behind it that are nobody's to write. */
#define ROOM(type)                                                                                                               \
    struct {                                                                                                                     \
        type value;                                                                                                              \
        unsigned char guard[GUARD];                                                                                              \
    }
#define PAINT(room) memset(&(room), 0xa5, sizeof(room))

static int painted(const unsigned char *bytes, size_t count) {
    size_t i;
    for (i = 0; i < count; i++)
        if (bytes[i] != 0xa5) return 0;
    return 1;
}

static int zero(const void *structure, size_t size) {
    size_t i;
    for (i = sizeof(uint32_t); i < size; i++)
        if (((const unsigned char *)structure)[i] != 0) return 0;
    return *(const uint32_t *)structure == size;
}

/* What must come of content in `grown`: read where the library knows it, refused where it does not. */
#define CONTENT(type, NUMBER) (library_size(NUMBER) >= sizeof(type) ? LLAMA2_OK : LLAMA2_E_STRUCT_SIZE)

static size_t library_size(uint32_t number) {
    size_t size = 0;
    if (llama2_struct_size(number, &size) != LLAMA2_OK) abort();
    return size;
}

#ifdef GROWN
#define WITH_CONTENT(type, NUMBER, room, call)                                                                                   \
    (room).value.grown = 1;                                                                                                      \
    check((call) == CONTENT(type, NUMBER), #type, "content in the new field");                                                   \
    (room).value.grown = 0
#define NEW_FIELD(type, NUMBER, room)                                                                                            \
    check(library_size(NUMBER) >= sizeof(type) ? (room).value.grown == FILLED                                                    \
                                               : painted((const unsigned char *)&(room).value.grown, sizeof(uint64_t)),          \
          #type, "the new field")
#else
#define WITH_CONTENT(type, NUMBER, room, call)
#define NEW_FIELD(type, NUMBER, room)
#endif

/* Options: by _init they have the caller's own size, are accepted, and nothing behind them was touched. */
#define OPTIONS(type, NUMBER, room, init, call)                                                                                  \
    PAINT(room);                                                                                                                 \
    init;                                                                                                                        \
    check(zero(&(room).value, sizeof(type)), #type, "_init: the caller's size and zeros");                                       \
    check((call) == LLAMA2_OK, #type, "all defaults");                                                                           \
    WITH_CONTENT(type, NUMBER, room, call);                                                                                      \
    check(painted((room).guard, GUARD), #type, "bytes behind the caller's struct")

/* Results: filled as far as the caller's struct reaches and the library knows. `field` is one that the call fills. */
#define RESULT(type, NUMBER, room, field, call)                                                                                  \
    PAINT(room);                                                                                                                 \
    (room).value.struct_size = sizeof(type);                                                                                     \
    check((call) == LLAMA2_OK, #type, "filled");                                                                                 \
    check(!painted((const unsigned char *)&(room).value.field, sizeof((room).value.field)), #type, "a field that is known");     \
    check((room).value.struct_size == sizeof(type), #type, "struct_size stays");                                                 \
    NEW_FIELD(type, NUMBER, room);                                                                                               \
    check(painted((room).guard, GUARD), #type, "bytes behind the caller's struct")

static FILE *file;
#include "grown_calls.h"

int main(int argc, char **argv) {
    ROOM(llama2_model_options) model_options;
    ROOM(llama2_context_options) context_options;
    ROOM(llama2_sampler_options) sampler_options;
    ROOM(llama2_generate_options) generate_options;
    ROOM(llama2_quantize_options) quantize_options;
    ROOM(llama2_grammar_options) grammar_options;
    ROOM(llama2_chat_options) chat_options;
    ROOM(llama2_layer_options) layer_options;
    ROOM(llama2_search_options) search_options;
    ROOM(llama2_adapter_info) adapter_info;
    llama2_adapter *adapter = NULL;
    ROOM(llama2_io) io;
    ROOM(llama2_hyperparameters) hyperparameters;
    ROOM(llama2_special_tokens) special_tokens;
    ROOM(llama2_context_info) context_info;
    ROOM(llama2_timings) timings;
    ROOM(llama2_memory) memory;
    ROOM(llama2_generate_result) generate_result;
    ROOM(llama2_perplexity_result) perplexity_result;
    ROOM(llama2_tensor_info) tensor_info;
    ROOM(llama2_scheduler_options) scheduler_options;
    ROOM(llama2_request_options) request_options;
    ROOM(llama2_scheduler_stats) scheduler_stats;
    llama2_scheduler *scheduler = NULL;
    llama2_model *model = NULL;
    llama2_context *context = NULL;
    llama2_sampler *sampler = NULL;
    int32_t tokens[16];
    char name[256];
    size_t needed, i;

    if (argc != 3 || (file = fopen(argv[1], "rb")) == NULL) return 2;
    for (i = 0; i < 16; i++) tokens[i] = (int32_t)(i + 300);
    if (llama2_model_load(argv[1], NULL, &model, NULL, 0) != LLAMA2_OK) return 2;
    if (llama2_context_create(model, NULL, &context, NULL, 0) != LLAMA2_OK) return 2;
    if (llama2_sampler_create(NULL, &sampler, NULL, 0) != LLAMA2_OK) return 2;

    OPTIONS(llama2_model_options, LLAMA2_STRUCT_MODEL_OPTIONS, model_options, llama2_model_options_init(&model_options.value),
            load(&model_options.value, argv[1]));
    OPTIONS(llama2_context_options, LLAMA2_STRUCT_CONTEXT_OPTIONS, context_options,
            llama2_context_options_init(&context_options.value), create(model, &context_options.value));
    OPTIONS(llama2_sampler_options, LLAMA2_STRUCT_SAMPLER_OPTIONS, sampler_options,
            llama2_sampler_options_init(&sampler_options.value), sample(&sampler_options.value));
    OPTIONS(llama2_generate_options, LLAMA2_STRUCT_GENERATE_OPTIONS, generate_options,
            llama2_generate_options_init(&generate_options.value), tell(context, sampler, &generate_options.value));
    OPTIONS(llama2_quantize_options, LLAMA2_STRUCT_QUANTIZE_OPTIONS, quantize_options,
            llama2_quantize_options_init(&quantize_options.value),
            llama2_quantize(argv[1], argv[2], &quantize_options.value, NULL, 0));
    OPTIONS(llama2_grammar_options, LLAMA2_STRUCT_GRAMMAR_OPTIONS, grammar_options,
            llama2_grammar_options_init(&grammar_options.value), hold(model, &grammar_options.value));

    OPTIONS(llama2_chat_options, LLAMA2_STRUCT_CHAT_OPTIONS, chat_options, llama2_chat_options_init(&chat_options.value),
            render(model, &chat_options.value));

    OPTIONS(llama2_search_options, LLAMA2_STRUCT_SEARCH_OPTIONS, search_options, llama2_search_options_init(&search_options.value),
            seek(context, tokens, &search_options.value));

    OPTIONS(llama2_layer_options, LLAMA2_STRUCT_LAYER_OPTIONS, layer_options, llama2_layer_options_init(&layer_options.value),
            llama2_context_set_layer_callback(context, NULL, NULL, &layer_options.value));

    PAINT(io);
    check(llama2_struct_init(&io.value, sizeof(io.value)) == LLAMA2_OK && zero(&io.value, sizeof(llama2_io)), "llama2_io", "init");
    io.value.read = read_file;
    fseek(file, 0, SEEK_END);
    io.value.size = (uint64_t)ftell(file);
    check(load_io(&io.value) == LLAMA2_OK, "llama2_io", "read");
    WITH_CONTENT(llama2_io, LLAMA2_STRUCT_IO, io, load_io(&io.value));
    check(painted(io.guard, GUARD), "llama2_io", "bytes behind the caller's struct");

    RESULT(llama2_hyperparameters, LLAMA2_STRUCT_HYPERPARAMETERS, hyperparameters, block_count,
           llama2_model_hyperparameters(model, &hyperparameters.value));
    RESULT(llama2_special_tokens, LLAMA2_STRUCT_SPECIAL_TOKENS, special_tokens, bos,
           llama2_model_special_tokens(model, &special_tokens.value));
    RESULT(llama2_context_info, LLAMA2_STRUCT_CONTEXT_INFO, context_info, threads,
           llama2_context_get_info(context, &context_info.value));
    RESULT(llama2_timings, LLAMA2_STRUCT_TIMINGS, timings, decode_tokens, llama2_context_timings(context, &timings.value));
    RESULT(llama2_memory, LLAMA2_STRUCT_MEMORY, memory, kv_bytes, llama2_preflight(argv[1], NULL, NULL, &memory.value, NULL, 0));
    RESULT(llama2_tensor_info, LLAMA2_STRUCT_TENSOR_INFO, tensor_info, columns,
           llama2_model_tensor(model, 0, &tensor_info.value, name, sizeof(name), &needed));
    RESULT(llama2_perplexity_result, LLAMA2_STRUCT_PERPLEXITY_RESULT, perplexity_result, mean,
           llama2_perplexity(context, tokens, 16, 8, NULL, NULL, &perplexity_result.value));
    llama2_generate_options_init(&generate_options.value);
    generate_options.value.result = &generate_result.value;
    RESULT(llama2_generate_result, LLAMA2_STRUCT_GENERATE_RESULT, generate_result, tokens,
           tell(context, sampler, &generate_options.value));

    PAINT(layer_view);
    check(llama2_context_set_layer_callback(context, look, NULL, NULL) == LLAMA2_OK && llama2_eval(context, tokens, 2) == LLAMA2_OK,
          "llama2_layer_view", "seen");
    check(view_size == library_size(LLAMA2_STRUCT_LAYER_VIEW) && layer_view.value.width == 64 && layer_view.value.count == 2,
          "llama2_layer_view", "what is known");
    NEW_FIELD(llama2_layer_view, LLAMA2_STRUCT_LAYER_VIEW, layer_view);
    check(painted(layer_view.guard, GUARD), "llama2_layer_view", "bytes behind the caller's struct");
    check(llama2_context_set_layer_callback(context, NULL, NULL, NULL) == LLAMA2_OK, "llama2_layer_view", "nobody looks");
    if (!write_adapter(argv[2]) || llama2_adapter_load(model, argv[2], &adapter, NULL, 0) != LLAMA2_OK) return 2;
    RESULT(llama2_adapter_info, LLAMA2_STRUCT_ADAPTER_INFO, adapter_info, bytes, llama2_adapter_get_info(adapter, &adapter_info.value));
    llama2_adapter_free(adapter);

    llama2_context_reset(context);
    OPTIONS(llama2_scheduler_options, LLAMA2_STRUCT_SCHEDULER_OPTIONS, scheduler_options,
            llama2_scheduler_options_init(&scheduler_options.value), schedule(context, &scheduler_options.value));
    if (llama2_scheduler_create(context, NULL, &scheduler, NULL, 0) != LLAMA2_OK) return 2;
    OPTIONS(llama2_request_options, LLAMA2_STRUCT_REQUEST_OPTIONS, request_options,
            llama2_request_options_init(&request_options.value), ask(scheduler, &request_options.value));
    PAINT(event);
    check(ask(scheduler, &request_options.value) == LLAMA2_OK, "llama2_event", "asked");
    check(event_size == library_size(LLAMA2_STRUCT_EVENT) && event.value.tokens == 2 && event.value.reason == LLAMA2_END_MAX_TOKENS,
          "llama2_event", "what is known");
    NEW_FIELD(llama2_event, LLAMA2_STRUCT_EVENT, event);
    check(painted(event.guard, GUARD), "llama2_event", "bytes behind the caller's struct");
    RESULT(llama2_scheduler_stats, LLAMA2_STRUCT_SCHEDULER_STATS, scheduler_stats, steps,
           llama2_scheduler_get_stats(scheduler, &scheduler_stats.value));
    llama2_scheduler_free(scheduler);

    /* The function behind the macro, as dlsym() finds it: the first version's size, and no byte more. */
    {
        void (*init)(llama2_model_options *) = llama2_model_options_init;
        PAINT(model_options);
        init(&model_options.value);
        check(zero(&model_options.value, 8) && painted((unsigned char *)&model_options.value + 8, sizeof(model_options) - 8),
              "llama2_model_options", "the function");
        check(load(&model_options.value, argv[1]) == LLAMA2_OK, "llama2_model_options", "of the first version");
    }
    llama2_model_options_init(NULL);

    llama2_context_free(context);
    llama2_sampler_free(sampler);
    llama2_model_free(model);
    printf(failures == 0 ? "all checks passed\n" : "%d failed\n", failures);
    return failures != 0;
}
