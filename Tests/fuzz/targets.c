/* One function for each place where bytes that nobody vouches for come in. */
#include "fuzz.h"

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof(array)[0]))

/* A context of one thread; 0: the default. */
static llama2_context *small_context(const llama2_model *model, uint32_t length, uint32_t sequences, uint32_t batch) {
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

/* ---- Files ---------------------------------------------------------------------------------- */

static void load_memory(const uint8_t *data, size_t size) {
    llama2_model *model = NULL;
    char error[256];
    int32_t status = llama2_model_load_memory(data, size, NULL, &model, error, sizeof error);
    loaded(status, model, error);
}

static void load_path(const char *path) {
    llama2_model *model = NULL;
    char error[256];
    int32_t status = llama2_model_load(path, NULL, &model, error, sizeof error);
    loaded(status, model, error);
}

static void load_folder(const uint8_t *data, size_t size, const char *const *names, unsigned count, const char *file) {
    char path[256];
    const char *folder = unpack_folder(data, size, names, count);
    snprintf(path, sizeof path, "%s%s%s", folder, file[0] ? "/" : "", file);
    load_path(path);
}

static const char *const split_files[] = {"m-00001-of-00002.gguf", "m-00002-of-00002.gguf"};
/* A folder of PEFT's, or a GGUF file, for a model that stays the same; what loads is computed with, and merged now and then. */
static const char *const adapter_files[] = {"adapter_config.json", "adapter_model.safetensors", "adapter.gguf", "adapter_model.bin"};
static void run_adapter(const uint8_t *data, size_t size) {
    static llama2_model *model;
    static llama2_context *context;
    char path[256], output[256], error[256];
    if (!context) {
        MUST(llama2_model_load(model_path("quantize.gguf"), NULL, &model, NULL, 0) == LLAMA2_OK);
        context = small_context(model, 64, 2, 0);
    }
    int is_gguf = size && data[0] % 4 == 2;
    const char *folder = unpack_folder(data, size, adapter_files, COUNT(adapter_files));
    snprintf(path, sizeof path, "%s%s%s", folder, is_gguf ? "/" : "", is_gguf ? adapter_files[2] : "");
    llama2_adapter *adapter = NULL;
    int32_t status = llama2_adapter_load(model, path, &adapter, error, sizeof error);
    check_status(status);
    MUST((status == LLAMA2_OK) == (adapter != NULL) && (status == LLAMA2_OK || error[0]));
    if (!adapter) return;
    llama2_adapter_info info;
    MUST(llama2_struct_init(&info, sizeof info) == LLAMA2_OK && llama2_adapter_get_info(adapter, &info) == LLAMA2_OK);
    MUST((info.products > 0) == (info.rank > 0) && info.bytes >= 4 && info.bytes >= 4 * info.rank);
    llama2_scaled_adapter one = {adapter, 0.5f, 0};
    llama2_batch_entry entries[4] = {{1, 0, 1}, {2, 1, 1}, {3, 1, 0}, {4, 0, 1}};
    MUST(llama2_context_reset(context) == LLAMA2_OK);
    status = llama2_sequence_set_adapters(context, 1, &one, 1);
    llama2_adapter_free(adapter);
    check_status(status);
    if (status == LLAMA2_OK) check_status(llama2_eval_batch(context, entries, 4));
    MUST(llama2_context_reset(context) == LLAMA2_OK && llama2_sequence_set_adapters(context, 1, NULL, 0) == LLAMA2_OK);
    if (size % 4) return;
    snprintf(output, sizeof output, "%s/out.gguf", folder);
    llama2_quantize_options options;
    llama2_quantize_options_init(&options);
    options.threads = 1;
    options.type = "Q4_0";
    options.adapter = path;
    check_status(llama2_quantize(model_path("quantize.gguf"), output, &options, NULL, 0));
}
static size_t mutate_adapter(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, adapter_files, COUNT(adapter_files));
}

/* What loads is also written: every kind of metadata goes out again. */
static void run_split(const uint8_t *data, size_t size) {
    char from[256], to[256];
    load_folder(data, size, split_files, COUNT(split_files), split_files[0]);
    if (size % 4) return;
    const char *folder = unpack_folder(data, size, split_files, COUNT(split_files));
    snprintf(from, sizeof from, "%s/%s", folder, split_files[0]);
    snprintf(to, sizeof to, "%s/out.gguf", folder);
    llama2_quantize_options options;
    llama2_quantize_options_init(&options);
    options.threads = 1;
    options.type = size % 8 ? "F16" : "Q8_0";
    int32_t status = llama2_convert(from, to, &options, NULL, 0);
    check_status(status);
    if (status == LLAMA2_OK) load_path(to);
}
static size_t mutate_split(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, split_files, COUNT(split_files));
}

static const char *const hugging_face_files[] = {
    "config.json",      "model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "generation_config.json", "chat_template.jinja", "pytorch_model.bin", "pytorch_model.bin.index.json"};
static void run_safetensors(const uint8_t *data, size_t size) {
    load_folder(data, size, hugging_face_files, COUNT(hugging_face_files), size % 4 ? "" : hugging_face_files[1]);
}
static size_t mutate_hugging_face(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, hugging_face_files, COUNT(hugging_face_files));
}

static const char *const meta_files[] = {"params.json", "consolidated.00.pth", "consolidated.01.pth", "tokenizer.model",
                                         "../tokenizer.model"};
static void run_meta(const uint8_t *data, size_t size) { load_folder(data, size, meta_files, COUNT(meta_files), ""); }
static size_t mutate_meta(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, meta_files, COUNT(meta_files));
}

static const char *const llama2c_files[] = {"model.bin", "tokenizer.bin", "tok16.bin", "tokenizer.model"};
static void run_llama2c(const uint8_t *data, size_t size) {
    load_folder(data, size, llama2c_files, COUNT(llama2c_files), llama2c_files[0]);
}
static size_t mutate_llama2c(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, llama2c_files, COUNT(llama2c_files));
}

/* A whole tokenizer.model beside a checkpoint that stays the same. */
static void run_sentencepiece(const uint8_t *data, size_t size) {
    static uint8_t *packed;
    static size_t fixed, room;
    if (!packed) {
        FILE *file = fopen(model_path("sentencepiece-beside.bin"), "rb");
        long length;
        MUST(file && fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0);
        rewind(file);
        fixed = 10 + (size_t)length;
        room = fixed + (1 << 20);
        packed = calloc(room, 1);
        packed[0] = 0;
        memcpy(packed + 1, &(uint32_t){(uint32_t)length}, 4);
        MUST(fread(packed + 5, 1, (size_t)length, file) == (size_t)length);
        fclose(file);
        packed[fixed - 5] = 3; /* tokenizer.model */
    }
    if (size > room - fixed) return;
    memcpy(packed + fixed - 4, &(uint32_t){(uint32_t)size}, 4);
    memcpy(packed + fixed, data, size);
    load_folder(packed, fixed + size, llama2c_files, COUNT(llama2c_files), llama2c_files[0]);
}

/* An importance matrix of these tokens, in windows of the first byte. */
static void collect_importance(const uint8_t *data, size_t size, const char *output) {
    static llama2_context *context;
    int32_t tokens[64];
    size_t count = 0;
    if (!context) {
        llama2_model *model = NULL;
        MUST(llama2_model_load(model_path("quantize.gguf"), NULL, &model, NULL, 0) == LLAMA2_OK);
        context = small_context(model, 8, 0, 4);
        llama2_model_free(model);
    }
    for (size_t i = 1; i < size && count < 64; i++) tokens[count++] = (int8_t)data[i] % 9;
    check_status(llama2_importance(context, tokens, count, size ? data[0] : 0, output, NULL, NULL));
}

/* An importance matrix is read before a model is quantized with it. What is no GGUF file is taken for tokens, of which
   one is made first. */
static const char *const importance_files[] = {"imatrix.gguf", "out.gguf"};
static void run_importance(const uint8_t *data, size_t size) {
    static uint8_t *packed;
    char importance[256], output[256], model[256], error[256];
    if (size > 1 << 20) return;
    if (!packed) packed = calloc(5 + (1 << 20), 1);
    memcpy(packed + 1, &(uint32_t){(uint32_t)size}, 4);
    memcpy(packed + 5, data, size);
    const char *folder = unpack_folder(packed, 5 + size, importance_files, 1);
    snprintf(importance, sizeof importance, "%s/%s", folder, importance_files[0]);
    snprintf(output, sizeof output, "%s/%s", folder, importance_files[1]);
    snprintf(model, sizeof model, "%s", model_path("quantize.gguf"));
    /* the older form begins with a small number of 32 bits */
    int older = size >= 16 && data[0] != 0 && data[1] == 0 && data[2] == 0 && data[3] == 0;
    if (!older && (size < 4 || memcmp(data, "GGUF", 4) != 0)) collect_importance(data, size, importance);
    llama2_quantize_options options;
    llama2_quantize_options_init(&options);
    options.type = "Q2_K";
    options.threads = 1;
    options.importance = importance;
    check_status(llama2_quantize(model, output, &options, error, sizeof error));
}

/* ---- Text ----------------------------------------------------------------------------------- */

/* A vocabulary that has every byte, so that detokenize(tokenize(x)) is x. */
static int is_complete(unsigned which) { return which != SPM_BARE; }

static size_t with_spaces(uint8_t *text, size_t size) {
    size_t out = 0;
    for (size_t i = 0; i < size;) {
        if (i + 2 < size && text[i] == 0xe2 && text[i + 1] == 0x96 && text[i + 2] == 0x81) {
            text[out++] = ' ';
            i += 3;
        } else {
            text[out++] = text[i++];
        }
    }
    return out;
}

static void run_tokenize(const uint8_t *data, size_t size) {
    input in = {data, size};
    unsigned which = take_u8(&in) % MODELS;
    uint32_t flags = take_u8(&in);
    llama2_model *model = models[which];
    if (flags > 31) flags = flags % 64; /* one in two is refused */
    size_t count = 0, again = 0, length = 0;
    const char *text = (const char *)in.data;
    /* a size asked for first is a failure with a sentence, which takes longer than the rest: one time in four */
    int asks = in.size % 4 == 0;
    size_t room = asks ? 0 : 4 * in.size + 8;
    int32_t *tokens = malloc(4 * room);
    int32_t status = llama2_tokenize(model, text, in.size, flags, tokens, room, &count);
    check_status(status);
    if (flags > 31) {
        MUST(status == LLAMA2_E_INVALID_ARGUMENT);
        free(tokens);
        return;
    }
    MUST(count <= 4 * in.size + 8); /* an added space and BOS; nothing else makes more tokens than bytes */
    if (asks && count > 0) {
        MUST(status == LLAMA2_E_BUFFER_TOO_SMALL);
        tokens = realloc(tokens, 4 * count);
        status = llama2_tokenize(model, text, in.size, flags, tokens, count, &again);
        MUST(again == count);
    }
    MUST(status == LLAMA2_OK);

    uint32_t special = flags & LLAMA2_TOKENIZE_SPECIAL ? LLAMA2_DETOKENIZE_SPECIAL : 0;
    size_t most = 16 * count + 1; /* no name here is longer */
    char *back = malloc(most);
    MUST(llama2_detokenize(model, tokens, count, special, back, most, &length) == LLAMA2_OK);
    if (flags == 0 && is_complete(which)) {
        uint8_t *expected = malloc(in.size + 1);
        memcpy(expected, in.data, in.size);
        int spm = which == SPM || which == LLAMA2_CHAT;
        size_t expected_size = spm ? with_spaces(expected, in.size) : in.size;
        MUST(length == expected_size && memcmp(back, expected, length) == 0);
        free(expected);
    }
    free(back);
    free(tokens);
}

/* 16-bit numbers: most are in the vocabulary, some beyond it or negative. */
static int32_t *take_tokens(input *in, size_t *count) {
    int32_t *tokens = malloc(4 * (in->size / 2 + 1));
    *count = 0;
    while (in->size >= 2) {
        uint8_t low = take_u8(in), high = take_u8(in);
        int32_t token = low | (high & 7) << 8;
        if (high & 8) token = high & 16 ? INT32_MIN + token : token % 300;
        else token %= 330;
        tokens[(*count)++] = token;
    }
    return tokens;
}

static void run_detokenize(const uint8_t *data, size_t size) {
    input in = {data, size};
    llama2_model *model = models[take_u8(&in) % MODELS];
    uint32_t flags = take_u8(&in) % 3;
    size_t count, length = 77, again = 0, sum = 0;
    int32_t *tokens = take_tokens(&in, &count), expected = LLAMA2_OK;
    for (size_t i = 0; i < count; i++) {
        size_t piece = 0;
        char text[16];
        int32_t status = llama2_token_piece(model, tokens[i], flags, text, i ? sizeof text : 0, &piece);
        check_status(status);
        sum += piece;
        if (status != LLAMA2_OK && status != LLAMA2_E_BUFFER_TOO_SMALL) {
            expected = status;
            break;
        }
    }
    size_t room = size % 4 ? 16 * count : 0;
    char *text = malloc(room);
    int32_t status = llama2_detokenize(model, tokens, count, flags, text, room, &length);
    check_status(status);
    if (flags > 1) {
        MUST(status == LLAMA2_E_INVALID_ARGUMENT && length == 77);
    } else if (expected != LLAMA2_OK) {
        MUST(status == expected && length == 77);
    } else {
        MUST(length <= sum && (status == LLAMA2_OK) == (length <= room));
        text = realloc(text, length + 1);
        if (status != LLAMA2_OK)
            MUST(llama2_detokenize(model, tokens, count, flags, text, length, &again) == LLAMA2_OK && again == length);
    }
    free(text);
    free(tokens);
}

static int is_utf8(const uint8_t *s, size_t size) {
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

/* A step with a buffer that is too small leaves the decoder as it was: the same step with a larger one gives the text. */
static void step(llama2_decoder *decoder, int is_last, int32_t token, size_t room) {
    char text[64];
    size_t needed = 0, length = 0;
    int32_t status = is_last ? llama2_decoder_finish(decoder, text, room, &needed)
                             : llama2_decoder_append(decoder, token, text, room, &needed);
    check_status(status);
    if (status == LLAMA2_E_BUFFER_TOO_SMALL) {
        MUST(needed > room && needed <= sizeof text);
        status = is_last ? llama2_decoder_finish(decoder, text, needed, &length)
                         : llama2_decoder_append(decoder, token, text, needed, &length);
        MUST(status == LLAMA2_OK && length == needed);
    }
    MUST(status == LLAMA2_OK ? is_utf8((const uint8_t *)text, needed) : status == LLAMA2_E_INVALID_TOKEN);
}

static void run_decoder(const uint8_t *data, size_t size) {
    input in = {data, size};
    llama2_model *model = models[take_u8(&in) % MODELS];
    uint32_t flags = take_u8(&in) % 5;
    llama2_decoder *decoder = NULL;
    int32_t status = llama2_decoder_create(model, flags, &decoder, NULL, 0);
    check_status(status);
    MUST((status == LLAMA2_OK) == (flags < 4) && (decoder != NULL) == (flags < 4));
    if (!decoder) return;
    size_t count;
    int32_t *tokens = take_tokens(&in, &count);
    for (size_t i = 0; i < count; i++) step(decoder, tokens[i] == 299, tokens[i], tokens[i] % 8 ? 64 : 0);
    step(decoder, 1, 0, size % 2);
    llama2_decoder_free(decoder);
    free(tokens);
}

/* How many tokens of a dialog are control tokens: such that have a name and give no text. */
static size_t control_tokens(unsigned which, const int32_t *tokens, size_t count) {
    enum { MOST = 512, UNASKED = 0, TEXT, CONTROL };
    static uint8_t known[MODELS][MOST];
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        MUST(tokens[i] >= 0 && tokens[i] < MOST);
        uint8_t *k = &known[which][tokens[i]];
        if (*k == UNASKED) {
            char text[32];
            size_t plain = 0, named = 0;
            llama2_special_tokens special = {.struct_size = sizeof special};
            MUST(llama2_model_special_tokens(models[which], &special) == LLAMA2_OK);
            MUST(llama2_token_piece(models[which], tokens[i], 0, text, sizeof text, &plain) == LLAMA2_OK);
            MUST(llama2_token_piece(models[which], tokens[i], LLAMA2_DETOKENIZE_SPECIAL, text, sizeof text, &named) == LLAMA2_OK);
            /* the unknown token is what a text without a token becomes */
            *k = plain == 0 && named > 0 && tokens[i] != special.unknown ? CONTROL : TEXT;
        }
        found += *k == CONTROL;
    }
    return found;
}

#define MOST_MESSAGES 8
static void run_chat(const uint8_t *data, size_t size) {
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    static int32_t tokens[1 << 17], plain[1 << 17];
    input in = {data, size};
    unsigned which = take_u8(&in) % MODELS;
    llama2_model *model = models[which];
    uint32_t flags = take_u8(&in) % 5;
    llama2_message messages[MOST_MESSAGES];
    size_t count = 0, needed = 0, needed_plain = 0, got;
    while (in.size > 0 && count < MOST_MESSAGES) {
        unsigned role = take_u8(&in), length = take_u8(&in);
        llama2_message *m = &messages[count++];
        if (role % 8 < 4) {
            m->role = roles[role % 8];
            m->role_length = strlen(m->role);
        } else if (role % 8 < 7) {
            m->role = roles[count % 2];
            m->role_length = strlen(m->role);
        } else {
            m->role = (const char *)take(&in, role / 8, &got);
            m->role_length = got;
        }
        m->content = (const char *)take(&in, length, &got);
        m->content_length = got;
    }
    int32_t status = llama2_chat_encode(model, messages, count, flags, tokens, 1 << 17, &needed);
    check_status(status);
    if (flags > 3 || count == 0) MUST(status != LLAMA2_OK);
    if (status != LLAMA2_OK) return;
    /* the same dialog about nothing has the same control tokens */
    for (size_t i = 0; i < count; i++) {
        messages[i].content = "x";
        messages[i].content_length = 1;
    }
    MUST(llama2_chat_encode(model, messages, count, flags, plain, 1 << 17, &needed_plain) == LLAMA2_OK);
    MUST(control_tokens(which, tokens, needed) == control_tokens(which, plain, needed_plain));
}

/* A template; behind a NUL variables, behind another one messages, both JSON. */
static void run_template(const uint8_t *data, size_t size) {
    static int32_t tokens[1 << 16];
    static char text[1 << 16], again[1 << 16];
    static const char talk[] = "[{\"role\":\"system\",\"content\":\"<|im_end|></s> {{ x }}\"},{\"role\":\"user\",\"content\":\"\\u00e9 <s>\\n\",\"l\":[1,2.5,null,true,{\"k\":\"v\"}]}]";
    llama2_chat_options options;
    size_t needed = 0, length = 0, second = 0;
    const uint8_t *end = memchr(data, 0, size);
    size_t count = end ? (size_t)(end - data) : size;
    llama2_chat_options_init(&options);
    options.template_text = (const char *)data;
    options.template_length = count;
    options.messages = talk;
    options.messages_length = sizeof talk - 1;
    options.time = 1722006245;
    options.flags = size % 2 ? LLAMA2_CHAT_NO_PROMPT : 0;
    if (end) {
        const uint8_t *next = end + 1;
        end = memchr(next, 0, size - count - 1);
        options.variables = (const char *)next;
        options.variables_length = end ? (size_t)(end - next) : size - count - 1;
        if (end) {
            options.messages = (const char *)end + 1;
            options.messages_length = size - (size_t)(end + 1 - data);
        }
    }
    if (options.template_length == 0) options.template_text = NULL;
    for (unsigned which = 0; which < MODELS; which += 5) {
        int32_t status = llama2_chat_render(models[which], &options, text, sizeof text, &length);
        check_status(status);
        if (status == LLAMA2_OK) { /* the same every time */
            MUST(llama2_chat_render(models[which], &options, again, sizeof again, &second) == LLAMA2_OK);
            MUST(length == second && memcmp(text, again, length) == 0);
        }
        check_status(llama2_chat_encode_json(models[which], &options, tokens, sizeof tokens / sizeof *tokens, &needed));
    }
}

/* ---- Sampler -------------------------------------------------------------------------------- */

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

static void run_sampler(const uint8_t *data, size_t size) {
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
    }
    llama2_grammar_state_free(state);
}

static void run_grammar(const uint8_t *data, size_t size) {
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

/* ---- States --------------------------------------------------------------------------------- */

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
static void run_state(const uint8_t *data, size_t size) {
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
static void run_saved(const uint8_t *data, size_t size) {
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

/* ---- All ------------------------------------------------------------------------------------ */

static const target targets[] = {
    {"gguf", load_memory, mutate_gguf},
    {"split", run_split, mutate_split},
    {"safetensors", run_safetensors, mutate_hugging_face},
    {"meta", run_meta, mutate_meta},
    {"llama2c", run_llama2c, mutate_llama2c},
    {"sentencepiece", run_sentencepiece, mutate_protobuf},
    {"importance", run_importance, mutate_gguf},
    {"tokenize", run_tokenize, NULL},
    {"detokenize", run_detokenize, NULL},
    {"decoder", run_decoder, NULL},
    {"chat", run_chat, NULL},
    {"template", run_template, NULL},
    {"sampler", run_sampler, NULL},
    {"grammar", run_grammar, NULL},
    {"state", run_state, NULL},
    {"saved", run_saved, NULL},
    {"adapter", run_adapter, mutate_adapter},
    {"scheduler", run_scheduler, NULL},
    {"search", run_search, NULL},
};

const target *find_target(const char *name) {
    for (unsigned i = 0; i < COUNT(targets); i++)
        if (strcmp(name, targets[i].name) == 0) return &targets[i];
    return NULL;
}
