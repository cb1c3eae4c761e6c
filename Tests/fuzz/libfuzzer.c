/* libFuzzer's entry points. The target is the name that the program was called by. */
#include "fuzz.h"

static const target *chosen;

/* Tells LeakSanitizer that what is allocated from here on belongs to the process. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    const char *name = strrchr((*argv)[0], '/');
    chosen = find_target(name ? name + 1 : (*argv)[0]);
    if (!chosen) {
        fprintf(stderr, "no target is called %s\n", (*argv)[0]);
        exit(2);
    }
    load_models();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    chosen->run(data, size);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return chosen->mutate ? chosen->mutate(data, size, room, seed) : LLVMFuzzerMutate(data, size, room);
}
