/* The calls of grown.c: each takes a struct as its host gives it. */
#ifndef TEST_GROWN_CALLS_H
#define TEST_GROWN_CALLS_H

static int32_t read_file(uint64_t offset, void *buffer, size_t length, void *user_data) {
    (void)user_data;
    return fseek(file, (long)offset, SEEK_SET) != 0 || fread(buffer, 1, length, file) != length;
}

static int32_t load(const llama2_model_options *options, const char *path) {
    llama2_model *model = NULL;
    int32_t status = llama2_model_load(path, options, &model, NULL, 0);
    llama2_model_free(model);
    return status;
}

static int32_t create(llama2_model *model, const llama2_context_options *options) {
    llama2_context *context = NULL;
    int32_t status = llama2_context_create(model, options, &context, NULL, 0);
    llama2_context_free(context);
    return status;
}

static int32_t sample(const llama2_sampler_options *options) {
    llama2_sampler *sampler = NULL;
    int32_t status = llama2_sampler_create(options, &sampler, NULL, 0);
    llama2_sampler_free(sampler);
    return status;
}

static int32_t load_io(const llama2_io *io) {
    llama2_model *model = NULL;
    int32_t status = llama2_model_load_io(io, NULL, &model, NULL, 0);
    llama2_model_free(model);
    return status;
}

static int32_t tell(llama2_context *context, llama2_sampler *sampler, llama2_generate_options *options) {
    static const int32_t prompt[] = {1, 403};
    options->prompt = prompt;
    options->prompt_count = 2;
    options->max_tokens = 2;
    llama2_context_reset(context);
    return llama2_generate(context, sampler, options, NULL, NULL);
}

static int32_t hold(llama2_model *model, llama2_grammar_options *options) {
    llama2_grammar *grammar = NULL;
    int32_t status = llama2_grammar_create(model, LLAMA2_GRAMMAR_REGEX, "a+", 2, options, &grammar, NULL, 0);
    llama2_grammar_free(grammar);
    return status;
}

/* A search needs a prompt, and a sequence that is empty: the default width is of four. */
static int32_t seek(llama2_context *context, const int32_t *tokens, llama2_search_options *options) {
    llama2_found found;
    int32_t text[2];
    size_t count;
    llama2_context_reset(context); /* calls before this one have filled its sequence */
    options->prompt = tokens, options->prompt_count = 3, options->max_tokens = 2, options->width = 1;
    return llama2_beam_search(context, options, &found, 1, text, 2, &count);
}

static int32_t schedule(llama2_context *context, const llama2_scheduler_options *options) {
    llama2_scheduler *scheduler = NULL;
    int32_t status = llama2_scheduler_create(context, options, &scheduler, NULL, 0);
    llama2_scheduler_free(scheduler);
    return status;
}

/* A control vector of zeros behind layer 1 of stories260K, as a GGUF file: the smallest adapter there is. */
static int write_adapter(const char *path) {
    static const char key[] = "general.architecture", value[] = "controlvector", name[] = "direction.1";
    unsigned char bytes[512];
    uint64_t counts[2] = {1, 1}, length, place[2] = {64, 0};
    uint32_t words[2] = {0x46554747, 3}, type = 8, dimensions = 1, f32 = 0;
    size_t at = 0;
    FILE *out = fopen(path, "wb");
#define PUT(data, size) (memcpy(bytes + at, data, size), at += (size))
    memset(bytes, 0, sizeof(bytes));
    PUT(words, 8);
    PUT(counts, 16);
    length = sizeof(key) - 1;
    PUT(&length, 8);
    PUT(key, sizeof(key) - 1);
    PUT(&type, 4);
    length = sizeof(value) - 1;
    PUT(&length, 8);
    PUT(value, sizeof(value) - 1);
    length = sizeof(name) - 1;
    PUT(&length, 8);
    PUT(name, sizeof(name) - 1);
    PUT(&dimensions, 4);
    PUT(&place[0], 8);
    PUT(&f32, 4);
    PUT(&place[1], 8);
    at = (at + 31) / 32 * 32 + 256;
    return out != NULL && fwrite(bytes, 1, at, out) == at && fclose(out) == 0;
}

static uint32_t view_size;
static ROOM(llama2_layer_view) layer_view;
static int32_t look(const llama2_layer_view *given, void *user_data) {
    (void)user_data;
    view_size = given->struct_size;
    memcpy(&layer_view.value, given, view_size < sizeof(layer_view.value) ? view_size : sizeof(layer_view.value));
    return 0;
}

static uint32_t event_size;
static ROOM(llama2_event) event;
static int32_t see(const llama2_event *given, void *user_data) {
    (void)user_data;
    event_size = given->struct_size;
    memcpy(&event.value, given, event_size < sizeof(event.value) ? event_size : sizeof(event.value));
    return 0;
}

static int32_t ask(llama2_scheduler *scheduler, llama2_request_options *options) {
    static const int32_t prompt[] = {1, 403};
    uint64_t request;
    size_t remaining = 1;
    int32_t status;
    options->tokens = prompt;
    options->token_count = 2;
    options->max_tokens = 2;
    options->callback = see;
    status = llama2_scheduler_submit(scheduler, options, &request);
    while (status == LLAMA2_OK && remaining > 0) status = llama2_scheduler_step(scheduler, &remaining);
    return status;
}

static int32_t render(const llama2_model *model, llama2_chat_options *options) {
    static const char talk[] = "[{\"role\":\"user\",\"content\":\"x\"}]";
    char text[256];
    size_t length;
    options->messages = talk;
    options->messages_length = sizeof talk - 1;
    return llama2_chat_render(model, options, text, sizeof text, &length);
}

#endif
