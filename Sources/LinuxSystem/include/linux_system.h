/* What glibc offers only under _GNU_SOURCE or as a macro, as functions for Swift. */
#ifndef LINUX_SYSTEM_H
#define LINUX_SYSTEM_H
#include "memory_reserve.h"
#include <pthread.h>

int pthread_setname_np(pthread_t thread, const char *name);
int sched_getaffinity(int pid, size_t size, void *mask);

static inline void l2s_name_thread(pthread_t thread, const char *name) { pthread_setname_np(thread, name); }

/* CPUs that this process may run on; at least 1. Up to 8192 CPUs. */
static inline int l2s_allowed_cpus(void) {
    unsigned char mask[1024] = {0};
    int count = 0, i;
    if (sched_getaffinity(0, sizeof mask, mask) < 0) return 1;
    for (i = 0; i < (int)sizeof mask; i++) count += __builtin_popcount(mask[i]);
    return count > 0 ? count : 1;
}

/* Room of the calling thread for a sentence, terminated; empty at first. */
#define L2S_THREAD_TEXT_CAPACITY 1024
char *l2s_thread_text(void);
#endif
