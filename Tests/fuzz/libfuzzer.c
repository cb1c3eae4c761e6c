/* libFuzzer's entry points. The target is the name that the program was called by. */
#include <time.h>

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

/* The time that this process has computed: libFuzzer's own limit is the wall's, which says little on a machine that others use. Ten seconds, as
   sanitizers make some inputs ten times as slow; the two seconds of the ordinary library are held by run_inputs.c and unguided.c. */
static double computed(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    double begin = computed();
    chosen->run(data, size);
    MUST(computed() - begin < 60);  // the ordinary library takes at most 2 s (unguided.c); the sanitizer makes what allocates much ten times as slow
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned seed) {
    return chosen->mutate ? chosen->mutate(data, size, room, seed) : LLVMFuzzerMutate(data, size, room);
}
