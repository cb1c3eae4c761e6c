/* The targets without libFuzzer: every file of the command line, through whatever library this is linked with.
   run_inputs TARGET FILE... */
#define _GNU_SOURCE
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define SECONDS_AN_INPUT 2
#define MOST_MEMORY (512L << 10) /* KiB */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room) {
    (void)data, (void)room;
    return size;
}

static const char *current = "";

static void died(int number) {
    (void)!write(2, current, strlen(current));
    (void)!write(2, number == SIGALRM ? ": takes too long\n" : ": ends the process\n", number == SIGALRM ? 17 : 20);
    signal(number, SIG_DFL);
    raise(number);
}

/* KiB at the most so far, -1: unknown. ru_maxrss of getrusage would count what the parent had before exec. */
static long most_memory(void) {
    char line[256];
    long most = -1;
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "VmHWM: %ld", &most);
    if (file) fclose(file);
    return most;
}

int main(int argc, char **argv) {
    const target *t = argc > 1 ? find_target(argv[1]) : NULL;
    if (!t) return fprintf(stderr, "no target of this name\n"), 2;
    for (const int *s = (const int[]){SIGALRM, SIGSEGV, SIGILL, SIGTRAP, SIGBUS, SIGABRT, SIGFPE, 0}; *s; s++) signal(*s, died);
    load_models();
    for (int i = 2; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) return perror(argv[i]), 2;
        fseek(file, 0, SEEK_END);
        size_t size = (size_t)ftell(file);
        uint8_t *data = malloc(size ? size : 1);
        rewind(file);
        if (fread(data, 1, size, file) != size) return perror(argv[i]), 2;
        fclose(file);
        current = argv[i];
        alarm(SECONDS_AN_INPUT);
        t->run(data, size);
        alarm(0);
        free(data);
    }
    free_models();
    long most = most_memory();
    if (most < 0 || most > MOST_MEMORY) return fprintf(stderr, "%ld KiB of memory were used\n", most), 1;
    printf("%d inputs, %ld KiB\n", argc - 2, most);
    return 0;
}
