// The header's handles as unique_ptr, its statuses as exceptions. C++17.
#pragma once
#include <llama2swift.h>

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace llama2 {

struct failure : std::runtime_error {
    int32_t status;
    failure(int32_t status, const char *sentence) : std::runtime_error(sentence), status(status) {}
};

// llama2_last_error belongs to the thread of the failed call, so it is read here and at once.
inline void check(int32_t status) {
    if (status != LLAMA2_OK) throw failure(status, llama2_last_error());
}

struct free_handle {
    void operator()(llama2_model *handle) const { llama2_model_free(handle); }
    void operator()(llama2_context *handle) const { llama2_context_free(handle); }
    void operator()(llama2_sampler *handle) const { llama2_sampler_free(handle); }
};
template <class T> using handle = std::unique_ptr<T, free_handle>;

inline handle<llama2_model> load(const std::string &path) {
    llama2_model *model;
    check(llama2_model_load(path.c_str(), nullptr, &model, nullptr, 0));
    return handle<llama2_model>(model);
}

// The cache is in F32 here, so that stories are the golden ones, which were made in float64.
inline handle<llama2_context> create(llama2_model *model, uint32_t threads) {
    llama2_context_options options;
    llama2_context_options_init(&options);
    options.flags = LLAMA2_CONTEXT_KV_F32;
    options.threads = threads;
    llama2_context *context;
    check(llama2_context_create(model, &options, &context, nullptr, 0));
    return handle<llama2_context>(context);
}

inline std::vector<int32_t> tokenize(const llama2_model *model, std::string_view text) {
    std::vector<int32_t> tokens(text.size() + 2); // never more than the bytes, BOS and a leading space
    size_t count;
    check(llama2_tokenize(model, text.data(), text.size(), LLAMA2_TOKENIZE_DEFAULT_BOS, tokens.data(), tokens.size(), &count));
    tokens.resize(count);
    return tokens;
}

using receiver = std::function<bool(std::string_view)>; // false ends the generation

// Greedy. What `receive` throws must not fly through the library: it is kept, and thrown again when that has returned.
inline void generate(llama2_context *context, const std::vector<int32_t> &prompt, uint64_t max_tokens, const receiver &receive) {
    llama2_sampler_options greedy;
    llama2_sampler_options_init(&greedy);
    greedy.flags = LLAMA2_SAMPLER_GREEDY;
    llama2_sampler *sampler;
    check(llama2_sampler_create(&greedy, &sampler, nullptr, 0));
    handle<llama2_sampler> owned(sampler);

    struct state { const receiver &receive; std::exception_ptr thrown; } state{receive, nullptr};
    llama2_generate_options options;
    llama2_generate_options_init(&options);
    options.prompt = prompt.data();
    options.prompt_count = prompt.size();
    options.max_tokens = max_tokens;
    check(llama2_generate(context, sampler, &options, [](const char *piece, size_t length, void *user_data) -> int32_t {
        auto *s = static_cast<struct state *>(user_data);
        try {
            return s->receive({piece, length}) ? 0 : 1;
        } catch (...) {
            s->thrown = std::current_exception();
            return 1;
        }
    }, &state));
    if (state.thrown) std::rethrow_exception(state.thrown);
}

// 201 positions, prompt included: llama2.c's `run -n 200`, which the golden stories were made like.
inline std::string story(llama2_context *context, const llama2_model *model, const std::string &prompt) {
    check(llama2_context_reset(context));
    auto tokens = tokenize(model, prompt);
    std::string text = prompt;
    generate(context, tokens, 201 - tokens.size(), [&](std::string_view piece) { return text += piece, true; });
    return text;
}

} // namespace llama2
