/* What inject.so, preloaded, can be told by the program under test. */
#ifndef INJECT_H
#define INJECT_H
#include <stddef.h>

/* Kinds of calls, to be combined. */
#define INJECT_MALLOC 1u   /* malloc, calloc, realloc: in the library, Swift's own values */
#define INJECT_ALIGNED 1024u /* posix_memalign, aligned_alloc: in the library, the checked allocations */
#define INJECT_MMAP 2u     /* of memory and of files */
#define INJECT_THREAD 4u   /* pthread_create */
#define INJECT_OPEN 8u
#define INJECT_READ 16u    /* read, pread */
#define INJECT_WRITE 32u   /* write, pwrite */
#define INJECT_SYNC 64u
#define INJECT_RENAME 128u
#define INJECT_STAT 256u   /* stat, fstat, ftruncate */
#define INJECT_CLOSE 512u  /* the descriptor is closed all the same, as Linux does */
#define INJECT_MEMORY (INJECT_MALLOC | INJECT_ALIGNED | INJECT_MMAP)
#define INJECT_FILES (INJECT_OPEN | INJECT_READ | INJECT_WRITE | INJECT_SYNC | INJECT_RENAME | INJECT_STAT | INJECT_CLOSE)

/* Which of the counted calls fail. */
#define INJECT_ONE 0   /* the nth alone */
#define INJECT_FROM 1  /* the nth and all after it */
#define INJECT_EVERY 2 /* every nth */

#define INJECT_SHORT (-1) /* instead of an errno: reads and writes do the half of what was asked */

/* From here on calls of `kinds` are counted, of allocations those of at least `smallest` bytes; those that `mode` picks fail
   with `error` (allocations and threads with their own). On all threads. */
void inject_arm(unsigned kinds, int mode, long nth, int error, size_t smallest);
/* Returns how many failed. */
long inject_disarm(void);
/* Bytes that malloc and mmap have given and that were not given back. */
long inject_live(void);
/* The largest allocation that failed since inject_arm. */
size_t inject_largest(void);
#endif
