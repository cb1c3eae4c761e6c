/* A small binding by Node-API (version 6 or later): load, tell, tellAsync. It keeps nothing in static memory, so each
 * worker thread may load it for itself. */
#include <llama2swift.h>
#include <node_api.h>
#include <stdlib.h>
#include <string.h>

#define TRY(call) do { if ((call) != napi_ok) goto done; } while (0)

typedef struct {
    llama2_model *model;
    napi_env env;         /* tell: calls `piece` on this very thread */
    napi_value piece;     /* a function, or NULL */
    napi_ref kept;        /* tellAsync: the model stays as long as its story is told */
    napi_deferred promise;
    napi_async_work work;
    char *prompt, *text;
    size_t prompt_length, length;
    uint32_t threads;
    int32_t status;
    char sentence[512];   /* taken on the thread that failed: llama2_last_error belongs to it */
} telling;

/* The text grows; with a function it is called, and false or an exception ends the story. */
static int32_t receive(const char *piece, size_t length, void *user_data) {
    telling *t = user_data;
    napi_value global, text, result;
    bool wanted = true;
    char *longer = realloc(t->text, t->length + length);
    if (!longer) { t->status = LLAMA2_E_NO_MEMORY; return 1; }
    memcpy(longer + t->length, piece, length);
    t->text = longer;
    t->length += length;
    if (!t->piece) return 0;
    if (napi_get_global(t->env, &global) != napi_ok || napi_create_string_utf8(t->env, piece, length, &text) != napi_ok
        || napi_call_function(t->env, global, t->piece, 1, &text, &result) != napi_ok) return 1; /* the exception is pending */
    return napi_get_value_bool(t->env, result, &wanted) == napi_ok && !wanted;
}

/* The whole story, with a context of its own: 201 positions, prompt included (llama2.c's `run -n 200`), greedy, and the
 * cache in F32, so that it is the golden one. Touches nothing of Node's but through receive: runs on any thread. */
static void tell(telling *t) {
    llama2_context *context = NULL;
    llama2_sampler *sampler = NULL;
    llama2_context_options shape;
    llama2_sampler_options greedy;
    llama2_generate_options options;
    size_t count = 0, capacity = t->prompt_length + 2; /* never more than the bytes, BOS and a leading space */
    int32_t *tokens = malloc(capacity * sizeof *tokens);
    llama2_context_options_init(&shape);
    llama2_sampler_options_init(&greedy);
    llama2_generate_options_init(&options);
    shape.flags = LLAMA2_CONTEXT_KV_F32;
    shape.threads = t->threads;
    greedy.flags = LLAMA2_SAMPLER_GREEDY;
    t->status = tokens ? LLAMA2_OK : LLAMA2_E_NO_MEMORY;
    if (!t->status) t->status = llama2_context_create(t->model, &shape, &context, NULL, 0);
    if (!t->status) t->status = llama2_sampler_create(&greedy, &sampler, NULL, 0);
    if (!t->status) t->status = llama2_tokenize(t->model, t->prompt, t->prompt_length, LLAMA2_TOKENIZE_DEFAULT_BOS, tokens, capacity, &count);
    options.prompt = tokens;
    options.prompt_count = count;
    options.max_tokens = count < 201 ? 201 - count : 1;
    if (!t->status) {
        int32_t status = llama2_generate(context, sampler, &options, receive, t);
        if (status) t->status = status;
    }
    if (t->status) strncat(t->sentence, t->status == LLAMA2_E_NO_MEMORY ? "out of memory" : llama2_last_error(), sizeof t->sentence - 1);
    llama2_sampler_free(sampler);
    llama2_context_free(context);
    free(tokens);
}

static void drop(telling *t) { if (t) { free(t->prompt); free(t->text); free(t); } }

static void free_model(napi_env env, void *model, void *hint) { (void)env; (void)hint; llama2_model_free(model); }

/* load(path) -> a model, freed when the collector finds that nobody has it (or the worker ends). */
static napi_value load(napi_env env, napi_callback_info info) {
    char path[4096] = "", sentence[512];
    size_t count = 1;
    napi_value argument, result = NULL;
    llama2_model *model;
    TRY(napi_get_cb_info(env, info, &count, &argument, NULL, NULL));
    TRY(napi_get_value_string_utf8(env, argument, path, sizeof path, NULL));
    if (llama2_model_load(path, NULL, &model, sentence, sizeof sentence) != LLAMA2_OK) {
        napi_throw_error(env, NULL, sentence);
        return NULL;
    }
    if (napi_create_external(env, model, free_model, NULL, &result) != napi_ok) llama2_model_free(model);
done:
    return result;
}

/* (model, prompt, threads, piece) */
static telling *arguments(napi_env env, napi_callback_info info, napi_value *values) {
    size_t count = 4;
    void *model;
    napi_valuetype type = napi_undefined;
    telling *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    TRY(napi_get_cb_info(env, info, &count, values, NULL, NULL));
    TRY(napi_get_value_external(env, values[0], &model));
    TRY(napi_get_value_string_utf8(env, values[1], NULL, 0, &t->prompt_length));
    TRY(napi_get_value_uint32(env, values[2], &t->threads));
    TRY(napi_typeof(env, values[3], &type));
    t->prompt = malloc(t->prompt_length + 1);
    if (!t->prompt) goto done;
    TRY(napi_get_value_string_utf8(env, values[1], t->prompt, t->prompt_length + 1, NULL));
    t->model = model;
    t->env = env;
    t->piece = type == napi_function ? values[3] : NULL;
    return t;
done:
    drop(t);
    napi_throw_type_error(env, NULL, "expected (model, prompt, threads, piece)");
    return NULL;
}

/* tell(model, prompt, threads, piece) -> text. The event loop waits; piece(text) may return false or throw. */
static napi_value tell_now(napi_env env, napi_callback_info info) {
    napi_value values[4], result = NULL;
    telling *t = arguments(env, info, values);
    if (!t) return NULL;
    tell(t);
    bool thrown = false;
    napi_is_exception_pending(env, &thrown); /* by piece: it goes on when this returns */
    if (!thrown && t->status) napi_throw_error(env, NULL, t->sentence);
    if (!thrown && !t->status) napi_create_string_utf8(env, t->text ? t->text : "", t->length, &result);
    drop(t);
    return result;
}

static void execute(napi_env env, void *data) { (void)env; tell(data); }

static void complete(napi_env env, napi_status status, void *data) {
    telling *t = data;
    napi_value result, message;
    if (status == napi_ok && !t->status) {
        if (napi_create_string_utf8(env, t->text ? t->text : "", t->length, &result) == napi_ok)
            napi_resolve_deferred(env, t->promise, result);
    } else if (napi_create_string_utf8(env, status == napi_ok ? t->sentence : "cancelled", NAPI_AUTO_LENGTH, &message) == napi_ok
               && napi_create_error(env, NULL, message, &result) == napi_ok) {
        napi_reject_deferred(env, t->promise, result);
    }
    napi_delete_reference(env, t->kept);
    napi_delete_async_work(env, t->work);
    drop(t);
}

/* tellAsync(model, prompt, threads) -> a promise of the text; told on a thread of libuv's pool. */
static napi_value tell_later(napi_env env, napi_callback_info info) {
    napi_value values[4], name, promise = NULL;
    telling *t = arguments(env, info, values);
    if (!t) return NULL;
    t->piece = NULL; /* functions belong to the event loop's thread */
    TRY(napi_create_string_utf8(env, "llama2", NAPI_AUTO_LENGTH, &name));
    TRY(napi_create_promise(env, &t->promise, &promise));
    TRY(napi_create_async_work(env, NULL, name, execute, complete, t, &t->work));
    TRY(napi_create_reference(env, values[0], 1, &t->kept));
    TRY(napi_queue_async_work(env, t->work));
    return promise;
done: /* unlikely, and an exception is pending then */
    drop(t);
    return NULL;
}

NAPI_MODULE_INIT() {
    const napi_property_descriptor functions[] = {
        {"load", NULL, load, NULL, NULL, NULL, napi_enumerable, NULL},
        {"tell", NULL, tell_now, NULL, NULL, NULL, napi_enumerable, NULL},
        {"tellAsync", NULL, tell_later, NULL, NULL, NULL, napi_enumerable, NULL},
    };
    napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
    return exports;
}
