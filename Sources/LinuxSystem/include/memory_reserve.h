/* Memory for Swift's own values when the system has none.
 *
 * The Swift runtime ends the process when malloc returns NULL. So inside the library (and only there: the linker sends
 * its calls to __wrap_malloc and so on, see Package.swift) an allocation that the system refuses is drawn from a reserve:
 *
 *   1. what the running call has covered before: address space of a size that follows from the file or the argument,
 *      mapped (so refusal is an error, not an end), never touched unless it is needed, and unmapped at the end of the call;
 *   2. L2S_RESERVE_BYTES of the library's own, for the small values of calls that take nothing from a file.
 *
 * A call that has drawn from the reserve either ends well, everything given back, or, where it would leave something
 * behind (a handle), fails as out of memory. */
#ifndef MEMORY_RESERVE_H
#define MEMORY_RESERVE_H
#include <stddef.h>

#define L2S_RESERVE_BYTES 262144

/* Around every function of the header that may allocate; they nest (callbacks). What a call has covered is given back at its
 * own end: a callback may call as often as it likes. The begin notes how things were, for the end. */
typedef struct l2s_call { void *covers; size_t gathered; int has_drawn; } l2s_call;
void l2s_call_begin(l2s_call *call);
void l2s_call_end(const l2s_call *call);

/* Swift values of `bytes` more can be made until the call ends. Small requests are gathered until they are worth a
 * mapping: what is still missing then is less than an eighth of the library's own reserve.
 * 0, or -1: the system refused. */
int l2s_cover(size_t bytes);

/* Zeroed memory of the system's, aligned to `alignment`, for free(); NULL when it refuses: the reserve is not asked. */
void *l2s_checked_allocation(size_t alignment, size_t size);

/* Whether this thread has drawn from the reserve since its innermost call began. */
int l2s_has_drawn(void);
#endif
