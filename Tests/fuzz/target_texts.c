/* Texts, tokens, conversations and templates. */
#include "fuzz.h"

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

void run_tokenize(const uint8_t *data, size_t size) {
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

void run_detokenize(const uint8_t *data, size_t size) {
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

void run_decoder(const uint8_t *data, size_t size) {
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
void run_chat(const uint8_t *data, size_t size) {
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
void run_template(const uint8_t *data, size_t size) {
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
