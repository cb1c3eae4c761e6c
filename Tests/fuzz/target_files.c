/* Files of models, adapters and importance matrices. */
#include "fuzz.h"

void load_memory(const uint8_t *data, size_t size) {
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
void run_adapter(const uint8_t *data, size_t size) {
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
size_t mutate_adapter(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, adapter_files, COUNT(adapter_files));
}

/* What loads is also written: every kind of metadata goes out again. */
void run_split(const uint8_t *data, size_t size) {
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
size_t mutate_split(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, split_files, COUNT(split_files));
}

static const char *const hugging_face_files[] = {
    "config.json",      "model.safetensors", "model.safetensors.index.json", "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors", "tokenizer.json", "tokenizer.model", "tokenizer_config.json",
    "generation_config.json", "chat_template.jinja", "pytorch_model.bin", "pytorch_model.bin.index.json"};
void run_safetensors(const uint8_t *data, size_t size) {
    load_folder(data, size, hugging_face_files, COUNT(hugging_face_files), size % 4 ? "" : hugging_face_files[1]);
}
size_t mutate_hugging_face(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, hugging_face_files, COUNT(hugging_face_files));
}

static const char *const meta_files[] = {"params.json", "consolidated.00.pth", "consolidated.01.pth", "tokenizer.model",
                                         "../tokenizer.model"};
void run_meta(const uint8_t *data, size_t size) { load_folder(data, size, meta_files, COUNT(meta_files), ""); }
size_t mutate_meta(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, meta_files, COUNT(meta_files));
}

static const char *const llama2c_files[] = {"model.bin", "tokenizer.bin", "tok16.bin", "tokenizer.model"};
void run_llama2c(const uint8_t *data, size_t size) {
    load_folder(data, size, llama2c_files, COUNT(llama2c_files), llama2c_files[0]);
}
size_t mutate_llama2c(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return mutate_folder(data, size, room, seed, llama2c_files, COUNT(llama2c_files));
}

/* A whole tokenizer.model beside a checkpoint that stays the same. */
void run_sentencepiece(const uint8_t *data, size_t size) {
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
void run_importance(const uint8_t *data, size_t size) {
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
