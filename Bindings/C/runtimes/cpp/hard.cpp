// What is hard in C++: exceptions in callbacks, and handles that outlive their owners. hard MODEL
#include "llama2.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>

#define EXPECT(condition) \
    do { if (!(condition)) { std::printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); std::exit(1); } } while (0)

static const std::string prompt = "Once upon a time";

static void many_threads_share_a_model(const char *path, const std::string &expected) {
    std::vector<std::thread> threads;
    std::vector<int> right(16);
    {
        auto model = llama2::load(path);
        for (size_t i = 0; i < right.size(); i++) {
            // Contexts go from this thread to the others; the model's handle is freed while they work.
            threads.emplace_back([&right, i, model = llama2::load(path), context = llama2::create(model.get(), 1 + i % 2), &expected] {
                right[i] = llama2::story(context.get(), model.get(), prompt) == expected;
            });
        }
    }
    for (auto &thread : threads) thread.join();
    for (int r : right) EXPECT(r);
}

static void an_exception_in_a_callback_comes_out_and_the_context_lives(const char *path, const std::string &expected) {
    auto model = llama2::load(path);
    auto context = llama2::create(model.get(), 2);
    for (int i = 0; i < 50; i++) {
        int pieces = 0, caught = 0;
        try {
            llama2::check(llama2_context_reset(context.get()));
            llama2::generate(context.get(), llama2::tokenize(model.get(), prompt), 20, [&](std::string_view) -> bool {
                if (++pieces > i % 10) throw pieces;
                return true;
            });
        } catch (int number) {
            caught = number;
        }
        EXPECT(caught == i % 10 + 1);
    }
    EXPECT(llama2::story(context.get(), model.get(), prompt) == expected);
}

static void failures_are_sentences(const char *path) {
    try {
        llama2::load("/no/such/model");
        EXPECT(false);
    } catch (const llama2::failure &error) {
        EXPECT(error.status == LLAMA2_E_IO && std::string(error.what()).find("/no/such/model") != std::string::npos);
    }
    auto model = llama2::load(path);
    auto context = llama2::create(model.get(), 1);
    try {
        llama2::generate(context.get(), {512}, 1, [](std::string_view) { return true; });
        EXPECT(false);
    } catch (const llama2::failure &error) {
        EXPECT(error.status == LLAMA2_E_INVALID_TOKEN);
    }
}

int main(int, char **argv) {
    auto model = llama2::load(argv[1]);
    auto context = llama2::create(model.get(), 1);
    const std::string expected = llama2::story(context.get(), model.get(), prompt);
    many_threads_share_a_model(argv[1], expected);
    an_exception_in_a_callback_comes_out_and_the_context_lives(argv[1], expected);
    failures_are_sentences(argv[1]);
    std::printf("16 threads told the same story, 50 exceptions came out of callbacks\n");
}
