/* What a worker of soak.c does, right and wrong. */
#ifndef TEST_SOAK_CALLS_H
#define TEST_SOAK_CALLS_H

static int32_t stop_at_times(const char *piece, size_t length, void *user_data) {
    (void)piece; (void)length;
    return below(user_data, 30) == 0;
}
static int32_t stop_progress(double part, void *user_data) { (void)part; return below(user_data, 40) == 0; }

static void create(worker *w, int slot) {
    llama2_context_options o;
    uint32_t mask;
    llama2_context_options_init(&o);
    ONLY(w, llama2_kernels_available(&mask), LLAMA2_OK);
    o.context_length = 64 + (uint32_t)below(w, 200);
    o.max_sequences = 3;
    o.batch_size = (uint32_t)(1 + below(w, 64));
    o.threads = (uint32_t)(1 + (below(w, 4) == 0));
    o.flags = below(w, 2) ? LLAMA2_CONTEXT_KV_F32 : 0;
    o.kernels = (uint32_t)below(w, 4);
    if (o.kernels && !(mask >> o.kernels & 1)) o.kernels = 0;
    llama2_context_free(w->contexts[slot]);
    ALLOW(w, llama2_context_create(w->model, &o, &w->contexts[slot], NULL, 0), LLAMA2_E_NO_MEMORY, LLAMA2_E_THREAD);
}

static void load(worker *w) {
    llama2_model *model = NULL;
    llama2_model_options o;
    int way = below(w, 3), file;
    llama2_model_options_init(&o);
    o.flags = (uint32_t)below(w, 4); /* a copy, one that is interleaved */
    if (way == 0) ALLOW(w, llama2_model_load(model_path, &o, &model, NULL, 0), LLAMA2_E_NO_MEMORY);
    if (way == 1) ALLOW(w, llama2_model_load_memory(gguf, gguf_size, &o, &model, NULL, 0), LLAMA2_E_NO_MEMORY);
    if (way == 2) {
        file = open(model_path, O_RDONLY);
        ALLOW(w, llama2_model_load_fd(file, &o, &model, NULL, 0), LLAMA2_E_NO_MEMORY, LLAMA2_E_IO, LLAMA2_E_FORMAT);
        close(file);
    }
    if (model && way != 2) { llama2_model_free(w->model); w->model = model; } /* its contexts live on */
    else llama2_model_free(model);
}

static void tokenize(worker *w) {
    char text[200], back[2000];
    int32_t tokens[402];
    size_t length = (size_t)below(w, sizeof text), i, count = 0, size = 0;
    for (i = 0; i < length; i++) text[i] = (char)(below(w, 3) ? 'a' + below(w, 26) : below(w, 256));
    if (ALLOW(w, llama2_tokenize(w->model, text, length, 0, tokens, (size_t)below(w, 402), &count), LLAMA2_E_BUFFER_TOO_SMALL) != LLAMA2_OK) return;
    ALLOW(w, llama2_detokenize(w->model, tokens, count, 0, back, sizeof back, &size), LLAMA2_E_BUFFER_TOO_SMALL);
    for (i = 0; i + 2 < length; i++) if (!memcmp(text + i, "\xE2\x96\x81", 3)) return; /* a space for this vocabulary */
    if (size != length || memcmp(text, back, size)) wrong(w, "detokenize(tokenize(x)) is not x", 0);
}

static void eval(worker *w, llama2_context *c, int batch) {
    llama2_batch_entry entries[80];
    int32_t tokens[80];
    int i, count = 1 + below(w, 3) * below(w, 27);
    w->countdown = below(w, 3) ? 0 : 1 + below(w, 12);
    ALLOW(w, llama2_context_set_cancel(c, count_down, w), LLAMA2_E_BAD_HANDLE);
    for (i = 0; i < count; i++) {
        tokens[i] = entries[i].token = below(w, 512);
        entries[i].sequence = below(w, 3);
        entries[i].flags = (uint32_t)below(w, 2);
    }
    i = batch ? ALLOW(w, llama2_eval_batch(c, entries, (size_t)count), LLAMA2_E_CONTEXT_FULL, LLAMA2_E_CANCELLED, LLAMA2_E_NO_MEMORY)
              : ALLOW(w, llama2_eval(c, tokens, (size_t)count), LLAMA2_E_CONTEXT_FULL, LLAMA2_E_CANCELLED);
    ONLY(w, llama2_context_set_cancel(c, NULL, NULL), LLAMA2_OK);
    if (i == LLAMA2_E_CONTEXT_FULL) {
        if (below(w, 2)) ONLY(w, llama2_context_reset(c), LLAMA2_OK);
        else for (i = 0; i < 3; i++) ONLY(w, llama2_sequence_remove(c, i, 0), LLAMA2_OK);
    }
}

static void generate(worker *w, llama2_context *c) {
    llama2_generate_options o;
    llama2_text stop = {"the", 3};
    int32_t prompt[4];
    int i;
    llama2_generate_options_init(&o);
    for (i = 0; i < 4; i++) prompt[i] = 3 + below(w, 500);
    o.prompt = prompt;
    o.prompt_count = (size_t)below(w, 5);
    o.stops = &stop;
    o.stop_count = (size_t)below(w, 2);
    o.max_tokens = (uint64_t)(1 + below(w, 20));
    w->countdown = below(w, 2) ? 0 : 1 + below(w, 60);
    ONLY(w, llama2_context_set_cancel(c, count_down, w), LLAMA2_OK);
    ALLOW(w, llama2_generate(c, w->sampler, &o, stop_at_times, w), LLAMA2_E_CONTEXT_FULL, LLAMA2_E_CANCELLED, LLAMA2_E_NO_LOGITS);
    ONLY(w, llama2_context_set_cancel(c, NULL, NULL), LLAMA2_OK);
}

static void quantize(worker *w) {
    static const char *const types[] = {"Q4_0", "Q8_0", "F16", "BF16", "Q5_1"};
    llama2_quantize_options o;
    llama2_model *model;
    char path[300];
    snprintf(path, sizeof path, "%s/made-%d.gguf", folder, w->number);
    llama2_quantize_options_init(&o);
    o.threads = 1;
    o.type = types[below(w, 5)];
    o.progress = stop_progress;
    o.user_data = w;
    if (ALLOW(w, llama2_quantize(model_path, path, &o, NULL, 0), LLAMA2_E_CANCELLED, LLAMA2_E_NO_MEMORY) != LLAMA2_OK) return;
    if (ALLOW(w, llama2_model_load(path, NULL, &model, NULL, 0), LLAMA2_E_NO_MEMORY) == LLAMA2_OK) llama2_model_free(model);
    unlink(path);
}

/* A file with some bytes changed or the end cut off; what loads is evaluated for a token. */
static void hostile(worker *w) {
    llama2_model_options o;
    llama2_context_options small;
    llama2_model *model;
    llama2_context *context;
    unsigned char *copy = malloc(gguf_size);
    size_t size = gguf_size;
    int32_t token = 1;
    int i, count = 1 + below(w, 8), head = below(w, 4);
    if (!copy) return;
    memcpy(copy, gguf, size);
    for (i = 0; i < count; i++) copy[next(w) % (head ? 12000 : size)] = below(w, 3) ? (unsigned char)next(w) : 255;
    if (below(w, 4) == 0) size = next(w) % size;
    llama2_model_options_init(&o);
    llama2_context_options_init(&small);
    small.context_length = 16;
    small.threads = 1;
    if (ALLOW(w, llama2_model_load_memory(copy, size, &o, &model, NULL, 0), LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, LLAMA2_E_UNSUPPORTED, LLAMA2_E_NO_MEMORY,
              LLAMA2_E_INVALID_ARGUMENT) == LLAMA2_OK) {
        if (ALLOW(w, llama2_context_create(model, &small, &context, NULL, 0), LLAMA2_E_NO_MEMORY) == LLAMA2_OK) {
            ALLOW(w, llama2_eval(context, &token, 1), LLAMA2_E_INVALID_TOKEN, LLAMA2_E_UNSUPPORTED); /* a changed weight: a key that no F16 holds */
            llama2_context_free(context);
        }
        llama2_model_free(model);
    }
    free(copy);
}

static void wrong_argument(worker *w, llama2_context *c) {
    llama2_batch_entry entry = {1, 0, 0};
    llama2_context_options o;
    llama2_context *none = (llama2_context *)w;
    llama2_model *model;
    const float *logits;
    size_t n = 0;
    int32_t token = 1;
    llama2_context_options_init(&o);
    switch (below(w, 16)) {
    case 0: ONLY(w, llama2_eval(NULL, &token, 1), LLAMA2_E_NULL_ARGUMENT); break;
    case 1: ONLY(w, llama2_eval(c, NULL, 1), LLAMA2_E_NULL_ARGUMENT); break;
    case 2: ONLY(w, llama2_eval(c, &token, 0), LLAMA2_E_INVALID_ARGUMENT); break;
    case 3: token = -1; ONLY(w, llama2_eval_batch(c, &entry, (size_t)-1), LLAMA2_E_INVALID_ARGUMENT); break;
    case 4: ONLY(w, llama2_eval(c, &token, (size_t)1 << 40), LLAMA2_E_CONTEXT_FULL); break;
    case 5: ONLY(w, llama2_logits(c, (size_t)-1, &logits, &n), LLAMA2_E_NO_LOGITS); break;
    case 6: ONLY(w, llama2_sequence_remove(c, 3, 0), LLAMA2_E_OUT_OF_RANGE); break;
    case 7: ONLY(w, llama2_sequence_length(c, -1, &n), LLAMA2_E_OUT_OF_RANGE); break;
    case 8: ONLY(w, llama2_sample(c, (llama2_sampler *)c, &token), LLAMA2_E_BAD_HANDLE); break;
    case 9: ONLY(w, llama2_eval((llama2_context *)w->sampler, &token, 1), LLAMA2_E_BAD_HANDLE); break;
    case 10: ONLY(w, llama2_sampler_accept(w->sampler, -1), LLAMA2_E_INVALID_TOKEN); break;
    case 11: o.struct_size = 3; ONLY(w, llama2_context_create(w->model, &o, &none, NULL, 0), LLAMA2_E_STRUCT_SIZE); break;
    case 12: o.flags = 64; ONLY(w, llama2_context_create(w->model, &o, &none, NULL, 0), LLAMA2_E_INVALID_ARGUMENT); break;
    case 13: ONLY(w, llama2_model_load("/nowhere", NULL, &model, NULL, 0), LLAMA2_E_IO); break;
    case 14: ONLY(w, llama2_detokenize(w->model, (int32_t[]){512}, 1, 0, NULL, 0, &n), LLAMA2_E_INVALID_TOKEN); break;
    default: ONLY(w, llama2_perplexity(c, &token, 1, 4, NULL, NULL, NULL), LLAMA2_E_NULL_ARGUMENT); break;
    }
}

static void freed(worker *w) {
    llama2_context *c = w->contexts[1];
    llama2_sampler *s;
    int32_t token = 1;
    llama2_context_free(c); /* NULL does nothing */
    llama2_context_free(c);
    ONLY(w, llama2_eval(c, &token, 1), c ? LLAMA2_E_BAD_HANDLE : LLAMA2_E_NULL_ARGUMENT);
    w->contexts[1] = NULL;
    create(w, 1);
    if (ALLOW(w, llama2_sampler_create(NULL, &s, NULL, 0), LLAMA2_E_NO_MEMORY) != LLAMA2_OK) return;
    llama2_sampler_free(s);
    llama2_sampler_free(s);
    ONLY(w, llama2_sampler_reset(s), LLAMA2_E_BAD_HANDLE);
}

/* A context that all threads use without asking: each gets its turn or LLAMA2_E_BUSY. */
static void collide(worker *w) {
    llama2_context *c = shared_contexts[below(w, 2)];
    int32_t tokens[20], status;
    size_t n;
    int i;
    for (i = 0; i < 20; i++) tokens[i] = below(w, 512);
    switch (below(w, 5)) {
    case 0: status = ALLOW(w, llama2_context_reset(c), LLAMA2_E_BUSY); break;
    case 1: status = ALLOW(w, llama2_sequence_length(c, 0, &n), LLAMA2_E_BUSY); break;
    case 2: status = ALLOW(w, llama2_sample(c, w->sampler, tokens), LLAMA2_E_BUSY, LLAMA2_E_NO_LOGITS); break;
    default: status = ALLOW(w, llama2_eval(c, tokens, (size_t)(1 + below(w, 20))), LLAMA2_E_BUSY, LLAMA2_E_CONTEXT_FULL);
    }
    if (status == LLAMA2_E_BUSY) __atomic_add_fetch(&collisions, 1, __ATOMIC_RELAXED);
}

static void known_prompt(worker *w) {
    llama2_context_options o;
    llama2_context *c;
    const float *logits;
    size_t n;
    llama2_context_options_init(&o);
    o.context_length = 32;
    o.threads = 1;
    if (ALLOW(w, llama2_context_create(shared_model, &o, &c, NULL, 0), LLAMA2_E_NO_MEMORY) != LLAMA2_OK) return;
    ONLY(w, llama2_eval(c, known, sizeof known / sizeof *known), LLAMA2_OK);
    ONLY(w, llama2_logits(c, 0, &logits, &n), LLAMA2_OK);
    if (n != 512 || memcmp(logits, expected, sizeof expected)) wrong(w, "other logits", 0);
    llama2_context_free(c);
}

#endif
