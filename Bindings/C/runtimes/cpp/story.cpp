// Tells a story: story MODEL PROMPT
#include "llama2.hpp"

#include <cstdio>

int main(int argc, char **argv) {
    if (argc != 3) return std::fprintf(stderr, "usage: %s MODEL PROMPT\n", argv[0]), 2;
    try {
        auto model = llama2::load(argv[1]);
        auto context = llama2::create(model.get(), 0);
        auto tokens = llama2::tokenize(model.get(), argv[2]);
        std::fputs(argv[2], stdout);
        llama2::generate(context.get(), tokens, 201 - tokens.size(), [](std::string_view piece) {
            std::fwrite(piece.data(), 1, piece.size(), stdout);
            return std::fflush(stdout) == 0;
        });
        std::putchar('\n');
    } catch (const llama2::failure &error) {
        return std::fprintf(stderr, "%s\n", error.what()), 1;
    }
}
