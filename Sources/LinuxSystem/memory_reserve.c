#define _GNU_SOURCE
#include "memory_reserve.h"
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Where the system's functions are after the linker has wrapped them. Absent (NULL) in programs that are not linked that
 * way, such as the Swift tests: there nothing refers to the __wrap_ functions. */
#define SYSTEM extern __attribute__((weak))
SYSTEM void *__real_malloc(size_t), *__real_calloc(size_t, size_t), *__real_realloc(void *, size_t);
SYSTEM void __real_free(void *);
SYSTEM int __real_posix_memalign(void **, size_t, size_t);
SYSTEM size_t __real_malloc_usable_size(void *);
/* operator new and delete of C++, which the runtime is written in: plain, with an alignment, and those that do not throw */
SYSTEM void __real__ZdlPvm(void *, size_t), __real__ZdlPvmSt11align_val_t(void *, size_t, size_t);
SYSTEM void *_ZnwmRKSt9nothrow_t(size_t, const void *), *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t, size_t, const void *);
SYSTEM const char _ZSt7nothrow;

/* ---- Pools: blocks in size classes, a list of free ones for each ---------------------------- */

/* 64, 80, 96, 112, 128, 160, ... : four to a power of two, multiples of 16 */
#define CLASSES 128
static size_t class_size(unsigned c) { return (size_t)(4 + (c & 3)) << (4 + (c >> 2)); }

typedef struct header { uint32_t class, back; struct header *next; } header; /* 16 bytes before what is given out */
_Static_assert(sizeof(header) == 16, "blocks stay aligned to 16 bytes");

typedef struct pool {
    char *base;
    size_t size, used;
    long live;              /* blocks that are out */
    int is_drawn, is_orphan; /* in `drawn`; its call has ended */
    struct pool *next_cover, *next_drawn;
    header *unused[CLASSES]; /* of each class */
} pool;

static _Alignas(64) char reserve_bytes[L2S_RESERVE_BYTES];
static pool reserve = {.base = reserve_bytes, .size = sizeof reserve_bytes};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all pools and `drawn` */
static pool *drawn;   /* covers that blocks were taken from */
static long all_live; /* blocks of all pools; 0 nearly always, so that free() stays as fast as it was */

/* initial-exec: the general kind allocates when a thread first looks */
#define THREAD static __thread __attribute__((tls_model("initial-exec")))
THREAD pool *covers; /* the newest first: those of inner calls before those of outer ones */
#define MOST_GATHERED ((size_t)4 << 20)
THREAD unsigned depth;
THREAD size_t gathered; /* asked for and not yet mapped */
THREAD int has_drawn;

static void *take(pool *p, size_t size, size_t alignment) {
    size_t whole = size + alignment + sizeof(header);
    unsigned c = 0;
    header *block, *h;
    char *given;
    if (whole < size) return NULL;
    while (c < CLASSES && class_size(c) < whole) c++;
    if (c == CLASSES) return NULL;
    if ((block = p->unused[c])) {
        p->unused[c] = block->next;
    } else {
        if (p->size - p->used < class_size(c)) return NULL;
        block = (header *)(p->base + p->used);
        p->used += class_size(c);
    }
    given = (char *)(((uintptr_t)block + sizeof(header) + alignment - 1) & ~(uintptr_t)(alignment - 1));
    h = (header *)given - 1;
    h->class = c;
    h->back = (uint32_t)((char *)h - (char *)block);
    p->live++;
    __atomic_add_fetch(&all_live, 1, __ATOMIC_RELAXED);
    return given;
}

static void *draw(size_t size, size_t alignment) {
    void *given = NULL;
    pool *p;
    if (alignment < 16) alignment = 16;
    pthread_mutex_lock(&lock);
    for (p = covers; p && !given; p = p->next_cover) {
        given = take(p, size, alignment);
        if (given && !p->is_drawn) {
            p->is_drawn = 1;
            p->next_drawn = drawn;
            drawn = p;
        }
    }
    if (!given) given = take(&reserve, size, alignment);
    pthread_mutex_unlock(&lock);
    has_drawn = 1;
    if (!given) errno = ENOMEM;
    return given;
}

static int holds(const pool *p, const void *x) { return (const char *)x >= p->base && (const char *)x < p->base + p->size; }

/* The pool that x lies in, NULL: the system's. Under the lock. */
static pool *owner(const void *x) {
    pool *p;
    if (holds(&reserve, x)) return &reserve;
    for (p = drawn; p; p = p->next_drawn)
        if (holds(p, x)) return p;
    return NULL;
}

static int may_be_ours(const void *x) { return x && __builtin_expect(__atomic_load_n(&all_live, __ATOMIC_RELAXED) != 0, 0); }

static void unmap(pool *p) { munmap(p, p->size + sizeof *p); }

static void forget(pool *p) {
    pool **place = &drawn;
    while (*place != p) place = &(*place)->next_drawn;
    *place = p->next_drawn;
    unmap(p);
}

/* 1 when x was ours and has been taken back. */
static int give_back(void *x) {
    pool *p;
    if (!may_be_ours(x)) return 0;
    pthread_mutex_lock(&lock);
    if ((p = owner(x))) {
        header *h = (header *)x - 1;
        unsigned c = h->class;
        header *block = (header *)((char *)h - h->back);
        block->next = p->unused[c];
        p->unused[c] = block;
        __atomic_sub_fetch(&all_live, 1, __ATOMIC_RELAXED);
        if (--p->live == 0 && p->is_orphan) forget(p);
    }
    pthread_mutex_unlock(&lock);
    return p != NULL;
}

/* Bytes at x, or 0: not ours. */
static size_t room(void *x) {
    size_t bytes = 0;
    if (!may_be_ours(x)) return 0;
    pthread_mutex_lock(&lock);
    if (owner(x)) {
        header *h = (header *)x - 1;
        bytes = class_size(h->class) - h->back - sizeof(header);
    }
    pthread_mutex_unlock(&lock);
    return bytes;
}

/* ---- Calls and covers ------------------------------------------------------------------------ */

void l2s_call_begin(l2s_call *call) {
    call->covers = covers;
    call->gathered = gathered;
    call->has_drawn = has_drawn;
    has_drawn = 0;
    depth++;
}

void l2s_call_end(const l2s_call *call) {
    depth--;
    gathered = call->gathered;
    has_drawn |= call->has_drawn;
    while (covers != call->covers) {
        pool *p = covers;
        covers = p->next_cover;
        /* only this thread draws from it. Without the lock nearly always: a fork leaves the child nothing to wait for */
        if (!p->is_drawn) {
            unmap(p);
            continue;
        }
        pthread_mutex_lock(&lock);
        if (p->live == 0) forget(p);
        else p->is_orphan = 1; /* something of it lives on; the last free ends it */
        pthread_mutex_unlock(&lock);
    }
}

int l2s_cover(size_t bytes) {
    pool *p;
    size_t least;
    if (depth == 0) return 0; /* no call of the header's: nothing would give it back */
    if (bytes > SIZE_MAX / 4) return -1;
    gathered += bytes;
    if (gathered < L2S_RESERVE_BYTES / 8) return 0;
    bytes = gathered;
    /* the many small ones of a long file: twice as much each time, up to 4 MiB */
    least = covers ? covers->size * 2 : 0;
    if (least > MOST_GATHERED) least = MOST_GATHERED;
    if (bytes < least) bytes = least;
    gathered = 0;
    bytes = (bytes + sizeof *p + 4095) & ~(size_t)4095;
    p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return -1;
    p->base = (char *)(p + 1);
    p->size = bytes - sizeof *p;
    p->next_cover = covers;
    covers = p;
    return 0;
}

int l2s_has_drawn(void) { return has_drawn; }

void *l2s_checked_allocation(size_t alignment, size_t size) {
    void *x = NULL;
    int code = __real_posix_memalign ? __real_posix_memalign(&x, alignment, size) : posix_memalign(&x, alignment, size);
    return code == 0 ? memset(x, 0, size) : NULL;
}

/* ---- What the library's calls become --------------------------------------------------------- */

void *__wrap_malloc(size_t size) {
    void *x = __real_malloc(size);
    return __builtin_expect(x != NULL, 1) ? x : draw(size, 16);
}

void *__wrap_calloc(size_t count, size_t size) {
    void *x = __real_calloc(count, size);
    size_t all;
    if (x || __builtin_mul_overflow(count, size, &all)) return x;
    x = draw(all, 16);
    return x ? memset(x, 0, all) : NULL;
}

void __wrap_free(void *x) {
    if (!give_back(x)) __real_free(x);
}

size_t __wrap_malloc_usable_size(void *x) {
    size_t bytes = room(x);
    return bytes ? bytes : __real_malloc_usable_size(x);
}

void *__wrap_realloc(void *x, size_t size) {
    size_t old = room(x);
    void *y;
    if (!old) {
        y = __real_realloc(x, size);
        if (y || size == 0) return y;
        old = x ? __real_malloc_usable_size(x) : 0;
    }
    y = __wrap_malloc(size);
    if (!y) return NULL;
    if (old) memcpy(y, x, old < size ? old : size);
    __wrap_free(x);
    return y;
}

int __wrap_posix_memalign(void **x, size_t alignment, size_t size) {
    int code = __real_posix_memalign(x, alignment, size);
    if (code != ENOMEM) return code;
    return (*x = draw(size, alignment)) ? 0 : ENOMEM;
}

void *__wrap__Znwm(size_t size) {
    void *x = _ZnwmRKSt9nothrow_t(size, &_ZSt7nothrow);
    if (!x && !(x = draw(size, 16))) abort();
    return x;
}

void *__wrap__ZnwmSt11align_val_t(size_t size, size_t alignment) {
    void *x = _ZnwmSt11align_val_tRKSt9nothrow_t(size, alignment, &_ZSt7nothrow);
    if (!x && !(x = draw(size, alignment))) abort();
    return x;
}

void __wrap__ZdlPvm(void *x, size_t size) {
    if (!give_back(x)) __real__ZdlPvm(x, size);
}

void __wrap__ZdlPvmSt11align_val_t(void *x, size_t size, size_t alignment) {
    if (!give_back(x)) __real__ZdlPvmSt11align_val_t(x, size, alignment);
}
