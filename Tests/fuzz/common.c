/* What the targets share. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

void check_status(int32_t status) {
    MUST(status <= 0);
    MUST(strcmp(llama2_status_string(status), "unknown status") != 0);
    if (status < 0) MUST(llama2_last_error()[0] != 0);
}

/* ---- Input ---------------------------------------------------------------------------------- */

const uint8_t *take(input *in, size_t count, size_t *got) {
    const uint8_t *start = in->data;
    *got = count < in->size ? count : in->size;
    in->data += *got;
    in->size -= *got;
    return start;
}

uint8_t take_u8(input *in) {
    size_t got;
    const uint8_t *p = take(in, 1, &got);
    return got ? *p : 0;
}

uint32_t take_u32(input *in) {
    size_t got;
    uint32_t value = 0;
    const uint8_t *p = take(in, 4, &got);
    memcpy(&value, p, got);
    return value;
}

/* ---- Models --------------------------------------------------------------------------------- */

llama2_model *models[MODELS];
const char *const model_names[MODELS] = {"spm",      "spm-bare", "gpt2",        "smollm",
                                         "llama-bpe", "standard", "llama2-chat", "other-chat"};

const char *model_path(const char *file) {
    static char path[4096];
    const char *folder = getenv("FUZZ_MODELS");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : ".build-fuzz/models", file);
    return path;
}

void load_models(void) {
    for (int i = 0; i < MODELS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.gguf", model_names[i]);
        MUST(llama2_model_load(model_path(name), NULL, &models[i], NULL, 0) == LLAMA2_OK);
    }
}

void free_models(void) {
    for (int i = 0; i < MODELS; i++) llama2_model_free(models[i]);
}

/* ---- A model that was loaded ---------------------------------------------------------------- */

static void ask_everything(llama2_model *model) {
    char text[256];
    size_t needed = 0, count = 0;
    llama2_hyperparameters h = {.struct_size = sizeof h};
    MUST(llama2_model_hyperparameters(model, &h) == LLAMA2_OK);
    check_status(llama2_model_description(model, text, sizeof text, &needed));
    check_status(llama2_chat_format(model, text, sizeof text, &needed));

    MUST(llama2_model_metadata_count(model, &count) == LLAMA2_OK);
    for (size_t i = 0; i < count && i < 64; i++) {
        size_t length = 0;
        int32_t status = llama2_model_metadata_key(model, i, text, sizeof text, &length);
        check_status(status);
        if (status == LLAMA2_OK) {
            char value[64];
            check_status(llama2_model_metadata(model, text, length, value, sizeof value, &needed));
        }
    }
    MUST(llama2_model_tensor_count(model, &count) == LLAMA2_OK);
    for (size_t i = 0; i < count && i < 64; i++) {
        llama2_tensor_info info = {.struct_size = sizeof info};
        check_status(llama2_model_tensor(model, i, &info, text, sizeof text, &needed));
        MUST(info.columns > 0 && info.rows > 0);
        llama2_type_name(info.type);
    }

    llama2_special_tokens special = {.struct_size = sizeof special};
    int32_t tokens[256];
    int32_t status = llama2_model_special_tokens(model, &special);
    check_status(status);
    static const char sample[] = "Hello  <s> w\xc3\xb6rld 12345\n\xff<|im_start|>";
    status = llama2_tokenize(model, sample, sizeof sample - 1, 7, tokens, 256, &count);
    check_status(status);
    if (status == LLAMA2_OK) {
        for (size_t i = 0; i < count; i++) MUST(tokens[i] >= 0 && (uint32_t)tokens[i] < h.vocabulary_size);
        check_status(llama2_detokenize(model, tokens, count, LLAMA2_DETOKENIZE_SPECIAL, text, sizeof text, &needed));
        llama2_decoder *decoder = NULL;
        check_status(llama2_decoder_create(model, 3, &decoder, NULL, 0));
        for (size_t i = 0; i < count; i++) {
            int32_t is_end;
            check_status(llama2_decoder_append(decoder, tokens[i], text, sizeof text, &needed));
            check_status(llama2_token_is_end(model, tokens[i], &is_end));
        }
        check_status(llama2_decoder_finish(decoder, text, sizeof text, &needed));
        llama2_decoder_free(decoder);
    }
    llama2_message message = {"user", 4, sample, sizeof sample - 1};
    check_status(llama2_chat_encode(model, &message, 1, 0, tokens, 256, &count));
}

static void one_token(llama2_model *model) {
    llama2_context_options options;
    llama2_context_options_init(&options);
    options.context_length = 8;
    options.batch_size = 2;
    options.threads = 1;
    llama2_context *context = NULL;
    int32_t status = llama2_context_create(model, &options, &context, NULL, 0);
    check_status(status);
    MUST((status == LLAMA2_OK) == (context != NULL));
    if (status != LLAMA2_OK) return;
    int32_t token = 0;
    status = llama2_eval(context, &token, 1);
    check_status(status);
    if (status == LLAMA2_OK) {
        const float *logits = NULL;
        size_t count = 0;
        volatile float sum = 0;
        MUST(llama2_logits(context, 0, &logits, &count) == LLAMA2_OK);
        for (size_t i = 0; i < count; i++) sum += logits[i]; /* all of it can be read */
    }
    llama2_context_free(context);
}

void use_model(llama2_model *model) {
    ask_everything(model);
    one_token(model);
    llama2_model_free(model);
}

void loaded(int32_t status, llama2_model *model, const char *error) {
    check_status(status);
    MUST((status == LLAMA2_OK) == (model != NULL));
    MUST((status == LLAMA2_OK) == (error[0] == 0));
    if (model) use_model(model);
}

/* ---- A folder ------------------------------------------------------------------------------- */

#define MOST_FILES 16

static char folder[64];
static char inner[80];
static struct { uint8_t *data; size_t size; int is_there; } now[MOST_FILES];

static void path_of(char *path, size_t room, const char *name) { snprintf(path, room, "%s/%s", inner, name); }

static void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0) perror(command);
}

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/dev/shm/llama2swift-fuzz-XXXXXX");
    if (!mkdtemp(folder)) {
        snprintf(folder, sizeof folder, "/tmp/llama2swift-fuzz-XXXXXX");
        MUST(mkdtemp(folder));
    }
    snprintf(inner, sizeof inner, "%s/model", folder);
    MUST(mkdir(inner, 0700) == 0);
    atexit(remove_folder);
}

/* Writes only what differs from the input before: most of a folder stays as it is. */
static void put_file(unsigned index, const char *name, const uint8_t *data, size_t size) {
    char path[256];
    if (now[index].is_there && now[index].size == size && (size == 0 || memcmp(now[index].data, data, size) == 0)) return;
    path_of(path, sizeof path, name);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    MUST(file >= 0);
    MUST(size == 0 || write(file, data, size) == (ssize_t)size);
    close(file);
    now[index].data = realloc(now[index].data, size ? size : 1);
    memcpy(now[index].data, data, size);
    now[index].size = size;
    now[index].is_there = 1;
}

const char *unpack_folder(const uint8_t *data, size_t size, const char *const *names, unsigned count) {
    input in = {data, size};
    int seen[MOST_FILES] = {0};
    if (!folder[0]) make_folder();
    while (in.size >= 5) {
        unsigned index = take_u8(&in) % count;
        size_t length = take_u32(&in), got;
        const uint8_t *bytes = take(&in, length, &got);
        if (seen[index]) continue;
        seen[index] = 1;
        put_file(index, names[index], bytes, got);
    }
    for (unsigned i = 0; i < count; i++) {
        char path[256];
        if (seen[i] || !now[i].is_there) continue;
        path_of(path, sizeof path, names[i]);
        unlink(path);
        now[i].is_there = 0;
    }
    return inner;
}

llama2_context *small_context(const llama2_model *model, uint32_t length, uint32_t sequences, uint32_t batch) {
    llama2_context *context = NULL;
    llama2_context_options o;
    llama2_context_options_init(&o);
    o.context_length = length;
    o.max_sequences = sequences;
    o.batch_size = batch;
    o.threads = 1;
    MUST(llama2_context_create((llama2_model *)model, &o, &context, NULL, 0) == LLAMA2_OK);
    return context;
}

int is_utf8(const uint8_t *s, size_t size) {
    for (size_t i = 0; i < size;) {
        unsigned c = s[i], n = c < 0x80 ? 0 : c < 0xc2 ? 9 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf5 ? 3 : 9;
        if (n == 9 || i + n >= size) return 0;
        for (unsigned k = 1; k <= n; k++)
            if ((s[i + k] & 0xc0) != 0x80) return 0;
        if (n == 2 && ((c == 0xe0 && s[i + 1] < 0xa0) || (c == 0xed && s[i + 1] > 0x9f))) return 0;
        if (n == 3 && ((c == 0xf0 && s[i + 1] < 0x90) || (c == 0xf4 && s[i + 1] > 0x8f))) return 0;
        i += n + 1;
    }
    return 1;
}
