/* What glibc offers only under _GNU_SOURCE or as a macro, as functions for Swift. */
#ifndef LINUX_SYSTEM_H
#define LINUX_SYSTEM_H
#include "memory_reserve.h"
#include <pthread.h>
#include <stdint.h>

/* CPUs that this process may run on; at least 1. Up to so many. */
#define L2S_CPUS 8192
int l2s_allowed_cpus(void);

/* CPUs whose time its control groups allow it, rounded down but at least 1; INT_MAX: no limit, or none that can be read.
   root: what stands before "/proc" and "/sys", "" but for tests. */
int l2s_quota_cpus(const char *root);

/* Lets the calling thread run on one CPU alone: the index-th of those that it may run on, as l2s_cpu_in_turn counts them. What cannot be
   done (a CPU that went away) leaves it as it was. */
void l2s_pin_thread(int index);

/* The index-th of the CPUs in `allowed` (a bit for each of L2S_CPUS), -1 where there is none: counted around, and with several memory nodes one of
   each in turn, so that it does not matter how a machine numbers its CPUs. Where nodes cannot be read, by number.
   root: what stands before "/sys", "" but for tests. */
int l2s_cpu_in_turn(const char *root, const unsigned char *allowed, int index);

/* Memory nodes that the calling thread may take memory from; at least 1. */
int l2s_memory_nodes(void);

/* Pages of a mapping that are not there yet will lie on each of those nodes in turn, whoever touches them first. 0; -1 and errno where
   the system does not do that. */
int l2s_interleave(void *mapping, size_t size);

/* The kernel's number of the calling thread. */
uint32_t l2s_thread_number(void);

/* The CPUs that the calling thread or that other one may run on; 0: the calling one alone. */
int l2s_cpus_of_threads(uint32_t other);

/* Nanoseconds of CPU that a thread of this process has used, by the kernel's number; 0: the calling one. 0 when it is gone. */
int64_t l2s_thread_nanoseconds(uint32_t number);

/* What the processors take, as the kernel's power capping interface counts it (RAPL). */
#define L2S_ENERGY_ZONES 64
typedef struct l2s_energy {
    int count; /* of processors, each a "package" of RAPL's */
    int descriptor[L2S_ENERGY_ZONES];
    uint64_t last[L2S_ENERGY_ZONES], range[L2S_ENERGY_ZONES]; /* microjoules; where a counter begins anew */
} l2s_energy;

/* Opens the counters below `folder`: intel-rapl:0 and those that follow, without gaps. Returns how many, -1 and errno when there is
   none or one cannot be read; then nothing is open. */
int l2s_energy_open(const char *folder, l2s_energy *meter);
/* Microjoules of all of them since the last call; -1 and errno. A counter that went round more than once says too little. */
int64_t l2s_energy_gained(l2s_energy *meter);
void l2s_energy_close(l2s_energy *meter);

/* Sleeps as long as the 32 bits at `word` are `value`, or until l2s_wake of that address; may return for no reason. */
void l2s_sleep(const void *word, uint32_t value);
/* Wakes everyone who sleeps there. */
void l2s_wake(const void *word);

/* What is in a folder: NULL and errno when it cannot be opened; each next name, NULL at the end with errno 0, or with what went wrong. */
void *l2s_folder_open(const char *path);
const char *l2s_folder_next(void *folder);
void l2s_folder_close(void *folder);

/* A moment for whoever shares this core, in a loop that looks again and again. */
static inline void l2s_pause(void) {
#if defined(__x86_64__)
    __asm__ volatile("pause" : : : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("isb" : : : "memory");
#endif
}

/* Starts a thread with a stack of its own size, whatever the host's limits are, and with all signals blocked but those
   that the thread raises itself by a fault: a host's handlers never run on it. Returns pthread_create's code. */
#define L2S_STACK_BYTES (1 << 20)
int l2s_start_thread(pthread_t *thread, const char *name, void *(*body)(void *), void *argument);

/* A number of this process, never 0; a child has another one after a fork. One load as a rule: from a page that the
   kernel clears in a child (Linux 4.14), elsewhere getpid(). */
uint64_t l2s_process_number(void);

/* The floating-point mode of the calling thread as one number: rounding, flush to zero, exceptions, flags. */
static inline uint64_t l2s_float_mode(void) {
#if defined(__x86_64__)
    uint32_t sse;
    uint16_t x87;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(sse), "=m"(x87));
    return (uint64_t)x87 << 32 | sse;
#elif defined(__aarch64__)
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
#else
    return 0;
#endif
}

/* The mode that a program starts with, the flags aside. */
#if defined(__x86_64__)
#define L2S_FLOAT_USUAL 0x37f00001f80u
#define L2S_FLOAT_FLAGS 0x3fu
#else
#define L2S_FLOAT_USUAL 0u
#define L2S_FLOAT_FLAGS 0u
#endif

static inline void l2s_set_float_mode(uint64_t mode) {
#if defined(__x86_64__)
    uint32_t sse = (uint32_t)mode;
    uint16_t x87 = (uint16_t)(mode >> 32), now;
    __asm__ volatile("ldmxcsr %0" : : "m"(sse) : "memory");
    __asm__ volatile("fnstcw %0" : "=m"(now));
    if (now != x87) __asm__ volatile("fldcw %0" : : "m"(x87) : "memory");
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(mode) : "memory");
#else
    (void)mode;
#endif
}

/* The pieces of the table of handles: addresses, all 0 at first. */
#define L2S_HANDLE_PIECES 1024
uint64_t *l2s_handle_pieces(void);

/* Room of the calling thread for a sentence, terminated; empty at first. make: get it if need be, a page of the
   system's that goes with the thread. NULL: it was not made, or the system refused it. */
#define L2S_THREAD_TEXT_CAPACITY 1024
char *l2s_thread_text(int make);

/* errno of the calling thread's last failed call; 0 where no system call failed. Set after l2s_thread_text(1). */
int l2s_thread_error(void);
void l2s_set_thread_error(int code);

/* A mapping with another size, its pages where they are or moved, never copied; new ones are zero. NULL when the system
   refuses: the mapping is as before. */
void *l2s_resize_mapping(void *mapping, size_t size, size_t wanted);

/* A number that several threads read and write without a lock, a host's among them. */
static inline int32_t l2s_load(const void *number) { return __atomic_load_n((const int32_t *)number, __ATOMIC_RELAXED); }
static inline void l2s_store(void *number, int32_t value) { __atomic_store_n((int32_t *)number, value, __ATOMIC_RELAXED); }

/* Lets the kernel write what a file got from `from` on to the disk, and waits for what lies before `until`, so that the
   fsync at the end is short however large the file is. What cannot be done is left to the fsync: 0. -1 and errno when the
   disk has refused, which the fsync would not say again. */
int l2s_write_behind(int descriptor, int64_t from, int64_t until);
#endif
