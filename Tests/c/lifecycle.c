/* Beginning and end of things: lifecycle PART MODEL [COUNT] */
#define _GNU_SOURCE
#include "host.h"
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *path;
static uint64_t expected;

static void wait_a_moment(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {}
}

/* ---- Many lives: memory, descriptors and threads as at the start --------------------------------------------------- */

static long entries_of(const char *folder) {
    DIR *directory = opendir(folder);
    long count = 0;
    EXPECT(directory != NULL);
    while (readdir(directory)) count++;
    closedir(directory);
    return count;
}

/* KiB. What the allocator keeps for later is given back first: how much that is, is chance. (statm counts late.) */
static long resident(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[256];
    long size = -1;
    malloc_trim(0);
    EXPECT(file != NULL);
    while (fgets(line, sizeof line, file) && size < 0) (void)sscanf(line, "Rss: %ld kB", &size);
    fclose(file);
    EXPECT(size > 0);
    return size;
}

static void live_once(void) {
    llama2_model *model = load(path), *none;
    llama2_context *context = make_context(model, 2);
    llama2_sampler *sampler = make_sampler(3);
    llama2_decoder *decoder;
    int32_t token;
    size_t length;
    char text[64];
    OK(llama2_decoder_create(model, 0, &decoder, NULL, 0));
    llama2_model_free(model); /* the others keep what they need of it */
    EXPECT(answer(context) == expected);
    OK(llama2_sample(context, sampler, &token));
    OK(llama2_decoder_append(decoder, token, text, sizeof text, &length));
    EXPECT(llama2_eval(context, prompt, 1000) == LLAMA2_E_CONTEXT_FULL); /* failures leave nothing behind either */
    EXPECT(llama2_model_load("/nowhere", NULL, &none, NULL, 0) == LLAMA2_E_IO);
    llama2_decoder_free(decoder);
    llama2_sampler_free(sampler);
    llama2_context_free(context);
}

/* COUNT and the KiB that memory may have grown by in the end */
static void cycles(char **arguments) {
    long count = atol(arguments[1]), limit = atol(arguments[2]), i, memory = 0, descriptors = 0, tasks = 0, patience;
    llama2_model *model = load(path);
    llama2_context *context = make_context(model, 1);
    expected = answer(context);
    llama2_context_free(context);
    llama2_model_free(model);
    for (i = 0; i < count + 100; i++) {
        if (i == 100) { /* the allocator has its pools by now */
            memory = resident();
            descriptors = entries_of("/proc/self/fd");
            tasks = entries_of("/proc/self/task");
        }
        live_once();
    }
    /* a joined thread may be listed for a moment longer */
    for (patience = 0; entries_of("/proc/self/task") > tasks && patience < 100; patience++) wait_a_moment(20);
    EXPECT(entries_of("/proc/self/task") == tasks);
    EXPECT(entries_of("/proc/self/fd") == descriptors);
    printf("%ld lives, %+ld KiB resident, ", count, resident() - memory);
    EXPECT(resident() - memory <= limit);
}

#include "lifecycle_forks.h"

/* ---- Exit -------------------------------------------------------------------------------------------------------------- */

static void *eval_for_ever(void *argument) {
    llama2_context *context = argument;
    for (;;) (void)answer(context);
    return NULL;
}

static int exit_idle(void *argument) {
    world w = make_world();
    (void)argument; (void)w;
    exit(7);
}

static int exit_while_evals_run(void *argument) {
    world w = make_world();
    pthread_t thread;
    int i;
    (void)argument;
    for (i = 0; i < 3; i++) EXPECT(pthread_create(&thread, NULL, eval_for_ever, make_context(w.model, 2)) == 0);
    wait_a_moment(20);
    exit(7);
}

static int32_t exit_now(void *data) { (void)data; exit(7); }
static int exit_inside_callback(void *argument) {
    world w = make_world();
    pthread_t thread;
    (void)argument;
    EXPECT(pthread_create(&thread, NULL, eval_for_ever, make_context(w.model, 2)) == 0);
    OK(llama2_context_set_cancel(w.context, exit_now, NULL));
    EXPECT(pthread_create(&thread, NULL, eval_for_ever, w.context) == 0);
    for (;;) wait_a_moment(1000);
}

static void exits(char **arguments) {
    long count = atol(arguments[1]), i;
    for (i = 0; i < count; i++) {
        EXPECT(child(exit_idle, NULL) == 7);
        EXPECT(child(exit_while_evals_run, NULL) == 7);
        EXPECT(child(exit_inside_callback, NULL) == 7);
    }
}

int main(int argc, char **argv) {
    const part parts[] = {
        {"cycles", cycles}, {"fork", forks}, {"fork-in-callbacks", forks_in_callbacks}, {"fork-storm", fork_storm},
        {"exit", exits}, {NULL, NULL}};
    if (argc > 2) path = argv[2];
    return run_part(parts, argc, argv);
}
