/* One random call of random_calls.c, of every function that takes a handle. */
#ifndef TEST_RANDOM_CALLS_ACT_H
#define TEST_RANDOM_CALLS_ACT_H

static void act(void) {
    int32_t tokens[TOKENS], token = 0, *outer_tokens = me->tokens;
    llama2_batch_entry entries[40], *outer_entries = me->entries;
    char text[2048], error[300];
    size_t needed = 0, count = (size_t)(once_in(8) ? below(TOKENS) : below(12)), room = once_in(6) ? 0 : sizeof text, i;
    void *context = pick(CONTEXT), *model = pick(MODEL);
    for (i = 0; i < TOKENS; i++) tokens[i] = once_in(64) ? (int32_t)edge() : below(512);
    me->tokens = tokens;
    me->entries = entries;
    switch (below(59)) {
    case 0: case 1: {
        llama2_model *made = NULL;
        llama2_model_options o;
        llama2_model_options_init(&o);
        o.flags = once_in(16) ? (uint32_t)edge() : (uint32_t)below(4);
        TRY(llama2_model_load(paths[below(path_count)], once_in(2) ? &o : NULL, &made, error, (size_t)below(300)), LOADING);
        if (made != NULL) keep(MODEL, made);
        break;
    }
    case 2: case 3: case 4: case 5: create_context(); break;
    case 6: {
        llama2_sampler *made = NULL;
        llama2_sampler_options o;
        llama2_logit_bias bias[3] = {{3, -INFINITY}, {below(600), 5}, {below(700) - 50, 1}};
        llama2_sampler_options_init(&o);
        o.seed = next();
        o.temperature = (float)below(20) / 10;
        o.top_p = (float)below(12) / 10;
        o.top_k = below(60) - 2;
        o.min_p = (float)below(12) / 10 - 0.1f;
        o.repetition_penalty = (float)below(30) / 10;
        o.frequency_penalty = (float)below(4);
        o.logit_bias = bias;
        o.logit_bias_count = (size_t)below(4);
        if (once_in(30)) ((uint32_t *)&o)[below(12)] = (uint32_t)edge();
        TRY(llama2_sampler_create(&o, &made, error, sizeof error), RANGE, STRUCT, NOMEM);
        if (made != NULL) keep(SAMPLER, made);
        break;
    }
    case 7: {
        llama2_decoder *made = NULL;
        TRY(llama2_decoder_create(model, (uint32_t)below(5), &made, error, sizeof error), UNSUPPORTED, NOMEM);
        if (made != NULL) keep(DECODER, made);
        break;
    }
    case 8: { int kind = below(KINDS); if (once_in(3)) discard(kind, pick(kind)); break; }
    case 9: case 10: case 11: TRY(llama2_eval(context, once_in(50) ? NULL : tokens, once_in(30) ? (size_t)edge() % (TOKENS + 1) : count), EVALUATING); break;
    case 12: case 13: case 14: {
        size_t n = (size_t)below(40);
        for (i = 0; i < n; i++) entries[i] = (llama2_batch_entry){below(512), below(3), (uint32_t)below(2)};
        if (n > 0 && once_in(15)) ((int32_t *)entries)[below((int)(3 * n))] = (int32_t)edge();
        TRY(llama2_eval_batch(context, entries, n), EVALUATING, RANGE);
        break;
    }
    case 15: case 16: TRY(llama2_sample(context, pick(SAMPLER), &token), NO_LOGITS, RANGE, NOMEM, BUSY, LLAMA2_E_FORBIDDEN, UNSUPPORTED); break;
    case 17: case 18: {
        llama2_generate_options o;
        llama2_generate_result result = {0};
        llama2_text stops[3] = {{"ab", 2}, {"\xf0\x9f\x98\x80z", 5}, {"", 0}};
        result.struct_size = sizeof result;
        llama2_generate_options_init(&o);
        o.flags = (uint32_t)below(8);
        o.prompt = tokens;
        o.prompt_count = count;
        o.stops = stops;
        o.stop_count = (size_t)below(4);
        o.shift_keep = edge();
        o.max_tokens = once_in(20) ? 0 : (uint64_t)below(20);
        o.result = once_in(3) ? NULL : &result;
        if (once_in(3)) o.draft = pick(CONTEXT);
        llama2_piece_callback heard = once_in(4) ? NULL : on_piece;
        if (heard == NULL && o.max_tokens == 0) o.flags &= ~LLAMA2_GENERATE_SHIFT; /* it would never end */
        TRY(llama2_generate(context, pick(SAMPLER), &o, heard, NULL), EVALUATING, RANGE, NO_LOGITS, STRUCT);
        break;
    }
    case 19: TRY(llama2_context_set_cancel(context, once_in(2) ? on_cancel : NULL, NULL), BUSY); break;
    case 20: TRY(llama2_context_reset(context), BUSY); break;
    case 21: { const float *logits; TRY(llama2_logits(context, (size_t)edge(), &logits, &needed), NO_LOGITS, UNSUPPORTED, BUSY); break; }
    case 22: TRY(llama2_logits_rows(context, &needed), BUSY); break;
    case 23: TRY(llama2_sequence_length(context, (int32_t)edge(), &needed), RANGE, BUSY); break;
    case 24: TRY(llama2_sequence_remove(context, once_in(9) ? (int32_t)edge() : below(4), (size_t)edge()), RANGE, BUSY); break;
    case 25: TRY(llama2_sequence_copy(context, below(4) - 1, once_in(9) ? (int32_t)edge() : below(4), (size_t)edge()), RANGE, BUSY); break;
    case 26: TRY(llama2_sequence_adopt(context, below(4) - 1, tokens, count, &needed), RANGE, TOKEN, BUSY); break;
    case 27: { llama2_timings t = {0}; t.struct_size = sizeof t; TRY(llama2_context_timings(context, &t), STRUCT, BUSY); break; }
    case 28: { llama2_context_info t = {0}; t.struct_size = once_in(9) ? (uint32_t)edge() % sizeof t : (uint32_t)sizeof t; TRY(llama2_context_get_info(context, &t), STRUCT, BUSY); break; }
    case 29: if (strlen(llama2_context_last_error(context)) > 1023) fault("the context's sentence", 0); break;
    case 30: TRY(llama2_sampler_reset(pick(SAMPLER)), BUSY); break;
    case 56: {
        static __thread unsigned char saved[1 << 14];
        size_t given;
        int is_decoder = once_in(2);
        needed = 0;
        if (is_decoder) { TRY(llama2_decoder_save(pick(DECODER), saved, once_in(9) ? (size_t)below(100) : sizeof saved, &needed), SMALL, BUSY, NOMEM); }
        else { TRY(llama2_sampler_save(pick(SAMPLER), saved, once_in(9) ? (size_t)below(100) : sizeof saved, &needed), SMALL, BUSY, NOMEM); }
        if (needed == 0 || needed > sizeof saved) break;
        if (once_in(4)) for (i = 0; i < 3; i++) saved[next() % needed] = (unsigned char)next();
        given = once_in(9) ? (size_t)below((int)needed) : needed;
        if (is_decoder) { TRY(llama2_decoder_load(pick(DECODER), saved, given), LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, UNSUPPORTED, BUSY, NOMEM); }
        else { TRY(llama2_sampler_load(pick(SAMPLER), saved, given), LLAMA2_E_FORMAT, LLAMA2_E_CORRUPT, UNSUPPORTED, BUSY, NOMEM); }
        break;
    }
    case 31: TRY(llama2_sampler_accept(pick(SAMPLER), (int32_t)edge()), TOKEN, BUSY, NOMEM); break;
    case 32: TRY(llama2_decoder_append(pick(DECODER), once_in(9) ? (int32_t)edge() : below(512), text, room, &needed), TOKEN, SMALL, BUSY); break;
    case 33: TRY(llama2_decoder_finish(pick(DECODER), text, room, &needed), SMALL, BUSY); break;
    case 34:
        for (i = 0; i < 64; i++) text[i] = (char)next();
        TRY(llama2_tokenize(model, text, (size_t)below(64), (uint32_t)below(33), tokens, (size_t)below(TOKENS), &needed), SMALL, UNSUPPORTED, NOMEM);
        break;
    case 35: TRY(llama2_detokenize(model, tokens, count, (uint32_t)below(3), text, room, &needed), TOKEN, SMALL, UNSUPPORTED, NOMEM); break;
    case 36:
        TRY(llama2_token_piece(model, once_in(9) ? (int32_t)edge() : below(512), (uint32_t)below(3), text, room, &needed), TOKEN, SMALL, UNSUPPORTED);
        TRY(llama2_token_is_end(model, once_in(9) ? (int32_t)edge() : below(512), &token), TOKEN, UNSUPPORTED);
        break;
    case 37: {
        llama2_message messages[3] = {{"system", 6, "x", 1}, {"user", 4, text, (size_t)below(9)}, {"bogus", (size_t)below(6), "y", 1}};
        memset(text, 'a' + below(20), 16);
        TRY(llama2_chat_encode(model, messages, (size_t)below(4), (uint32_t)below(3), tokens, TOKENS, &needed), LLAMA2_E_UNKNOWN_TEMPLATE, SMALL, UNSUPPORTED, NOMEM);
        TRY(llama2_chat_format(model, text, room, &needed), SMALL, UNSUPPORTED);
        break;
    }
    case 38: {
        llama2_hyperparameters h = {0};
        llama2_special_tokens s = {0};
        h.struct_size = sizeof h;
        s.struct_size = sizeof s;
        TRY(llama2_model_hyperparameters(model, &h), STRUCT);
        TRY(llama2_model_special_tokens(model, &s), STRUCT, UNSUPPORTED);
        TRY(llama2_model_description(model, text, room, &needed), SMALL);
        break;
    }
    case 39: {
        llama2_tensor_info t = {0};
        t.struct_size = sizeof t;
        TRY(llama2_model_metadata_count(model, &needed), BUSY);
        TRY(llama2_model_metadata_key(model, (size_t)edge(), text, sizeof text, &needed), RANGE, SMALL);
        TRY(llama2_model_metadata(model, text, needed < sizeof text ? needed : 0, text, room, &needed), LLAMA2_E_NOT_FOUND, SMALL);
        TRY(llama2_model_tensor_count(model, &needed), BUSY);
        TRY(llama2_model_tensor(model, (size_t)edge(), &t, text, room, &needed), RANGE, SMALL, STRUCT);
        break;
    }
    case 40: {
        llama2_perplexity_result r = {0};
        r.struct_size = sizeof r;
        TRY(llama2_perplexity(context, tokens, count, once_in(6) ? (size_t)edge() : (size_t)below(9), once_in(3) ? NULL : on_window, NULL, &r), EVALUATING, RANGE, STRUCT);
        break;
    }
    case 41: {
        float logs[TOKENS];
        uint8_t best[TOKENS];
        size_t prompt = count > 0 ? (size_t)below((int)count) : 0;
        if (once_in(3)) {
            static __thread float rows[TOKENS * 64];
            size_t lengths[2], needed = 0;
            lengths[0] = once_in(20) ? (size_t)edge() : prompt;
            if (lengths[0] > TOKENS && lengths[0] < 1000) lengths[0] = prompt; /* a context might have room for tokens that are not there */
            lengths[1] = count - prompt;
            TRY(llama2_embeddings(context, tokens, lengths, (size_t)below(3), (uint32_t)below(5), (uint32_t)below(3), rows, once_in(4) ? (size_t)below(9) : TOKENS * 64, &needed), EVALUATING, SMALL);
            break;
        }
        TRY(llama2_score(context, tokens, prompt, tokens + prompt, count - prompt, logs, once_in(2) ? best : NULL), EVALUATING);
        break;
    }
    case 42: {
        char path[300];
        llama2_quantize_options q;
        if (!once_in(6)) break;
        snprintf(path, sizeof path, "%s/out-%d.gguf", folder, below(3));
        if (once_in(2)) {
            TRY(llama2_importance(context, tokens, count, once_in(6) ? (size_t)edge() : (size_t)below(9), path, on_progress, NULL), EVALUATING, RANGE, INOUT);
            break;
        }
        llama2_quantize_options_init(&q);
        q.threads = (uint32_t)(1 + below(3));
        q.type = once_in(2) ? "Q8_0" : "F16";
        q.progress = on_progress;
        if (once_in(9)) q.flags = (uint32_t)edge();
        TRY(llama2_quantize(paths[below(path_count)], path, &q, error, sizeof error), LOADING, CANCELLED, NO_THREAD);
        break;
    }
    case 43: {
        llama2_io io;
        llama2_model *made = NULL;
        if (!once_in(3)) break;
        llama2_struct_init(&io, sizeof io);
        io.user_data = fopen(paths[below(path_count)], "rb");
        if (io.user_data == NULL) break;
        fseek(io.user_data, 0, SEEK_END);
        io.size = once_in(4) ? (uint64_t)below(100) : (uint64_t)ftell(io.user_data);
        io.read = on_read;
        TRY(llama2_model_load_io(&io, NULL, &made, error, sizeof error), LOADING);
        fclose(io.user_data);
        if (made != NULL) keep(MODEL, made);
        break;
    }
    case 44: {
        llama2_memory m = {0};
        llama2_context_options o;
        m.struct_size = sizeof m;
        llama2_context_options_init(&o);
        o.context_length = (uint32_t)edge();
        o.batch_size = (uint32_t)edge();
        TRY(llama2_preflight(paths[below(path_count)], NULL, &o, &m, error, sizeof error), LOADING);
        break;
    }
    case 45: TRY(llama2_sequence_shift(context, below(4) - 1, (size_t)edge(), (size_t)edge()), RANGE, FULL, BUSY, UNSUPPORTED); break;
    case 46: hold_to_a_grammar(model); break;
    case 47: step_through_a_grammar(tokens, text, room); break;
    case 48: keep_a_state(context); break;
    case 49: {
        llama2_chat_options o;
        char messages[64];
        snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":\"%d\"}]%s", below(100), once_in(6) ? "]" : "");
        llama2_chat_options_init(&o);
        o.flags = once_in(9) ? (uint32_t)edge() : (uint32_t)below(8);
        o.messages = messages;
        o.messages_length = once_in(9) ? (size_t)below(20) : strlen(messages);
        if (once_in(3)) o.template_text = "{% for m in messages %}{{ m.content }}{% endfor %}", o.template_length = once_in(6) ? 9 : 50;
        TRY(llama2_chat_encode_json(model, &o, tokens, once_in(6) ? 0 : TOKENS, &needed), LLAMA2_E_UNKNOWN_TEMPLATE, SMALL, UNSUPPORTED, NOMEM, STRUCT);
        TRY(llama2_chat_render(model, &o, text, room, &needed), LLAMA2_E_UNKNOWN_TEMPLATE, SMALL, UNSUPPORTED, NOMEM, STRUCT);
        break;
    }
    case 50: {
        float logits[512];
        llama2_candidate candidates[64];
        for (i = 0; i < 512; i++) logits[i] = once_in(200) ? (float)NAN : once_in(20) ? -INFINITY : (float)below(1000) / 100;
        TRY(llama2_sample_logits(pick(SAMPLER), logits, once_in(9) ? (size_t)below(512) : 512, &token), RANGE, NOMEM, BUSY, LLAMA2_E_FORBIDDEN, UNSUPPORTED, CANCELLED);
        TRY(llama2_sampler_distribution(pick(SAMPLER), logits, once_in(9) ? (size_t)below(512) : 512, candidates, (size_t)below(65), &needed), SMALL, RANGE, NOMEM, BUSY,
            LLAMA2_E_FORBIDDEN, UNSUPPORTED, CANCELLED);
        break;
    }
    case 51: {
        llama2_adapter *made = NULL;
        llama2_adapter_info info = {0};
        llama2_scaled_adapter adapters[3] = {{pick(ADAPTER), 0.5f, 0}, {pick(ADAPTER), (float)below(5) - 2, 0}, {pick(ADAPTER), once_in(3) ? (float)NAN : 1, 0}};
        info.struct_size = sizeof info;
        if (adapter_path != NULL) TRY(llama2_adapter_load(model, once_in(6) ? paths[0] : adapter_path, &made, error, (size_t)below(300)), LOADING);
        if (made != NULL) keep(ADAPTER, made);
        TRY(llama2_adapter_get_info(pick(ADAPTER), &info), STRUCT);
        TRY(llama2_sequence_set_adapters(context, once_in(9) ? (int32_t)edge() : below(3), adapters, once_in(9) ? (size_t)edge() % 4 : (size_t)below(3)), RANGE, NOMEM, BUSY);
        break;
    }
    case 52: {
        llama2_layer_options o;
        llama2_layer_options_init(&o);
        o.flags = once_in(9) ? (uint32_t)edge() : (uint32_t)below(2);
        o.first_layer = once_in(9) ? (uint32_t)edge() : (uint32_t)below(6);
        o.layer_count = once_in(9) ? (uint32_t)edge() : (uint32_t)below(6);
        o.sequence = once_in(9) ? (int32_t)edge() : below(4) - 1;
        o.first_position = edge();
        o.position_count = edge();
        TRY(llama2_context_set_layer_callback(context, once_in(2) ? NULL : on_layer, NULL, once_in(3) ? NULL : &o), RANGE, STRUCT, BUSY);
        break;
    }
    case 53: {
        static __thread float hidden[40 * 64];
        size_t n = 1 + (size_t)below(20);
        for (i = 0; i < n; i++) entries[i] = (llama2_batch_entry){below(512), below(3), (uint32_t)below(2)};
        me->entries = NULL;
        TRY(llama2_eval_layers(context, entries, n, once_in(3) ? hidden : NULL, once_in(3) ? NULL : hidden), EVALUATING, RANGE);
        TRY(llama2_embeddings(context, tokens, &n, 1, (uint32_t)below(5), (uint32_t)below(3), hidden, once_in(6) ? (size_t)below(64) : 40 * 64, &needed), EVALUATING, SMALL);
        break;
    }
    case 54: case 55: schedule(context); break;
    case 57: search(context, tokens, count); break;
    default: known_answer(); break;
    }
    me->tokens = outer_tokens;
    me->entries = outer_entries;
}

#endif
