/* Makes the nth allocation or system call of a program fail: LD_PRELOAD=inject.so program, which arms it (inject.h).
 * Build: cc -shared -fPIC -O1 inject.c -o inject.so -ldl */
#define _GNU_SOURCE
#include "inject.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t), *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static unsigned armed;
static int mode, code;
static long nth, seen, failed, live;
static size_t smallest, largest;

#define ADD(variable, amount) __atomic_add_fetch(&(variable), (amount), __ATOMIC_SEQ_CST)

void inject_arm(unsigned kinds, int m, long n, int error, size_t least) {
    mode = m, nth = n, code = error, smallest = least, seen = failed = 0, largest = 0;
    __atomic_store_n(&armed, kinds, __ATOMIC_SEQ_CST);
}
long inject_disarm(void) { __atomic_store_n(&armed, 0, __ATOMIC_SEQ_CST); return failed; }
long inject_live(void) { return live; }
size_t inject_largest(void) { return largest; }

/* Whether this call is one that fails. */
static int fails(unsigned kind) {
    long now;
    if (!(__atomic_load_n(&armed, __ATOMIC_SEQ_CST) & kind)) return 0;
    now = ADD(seen, 1);
    if (mode == INJECT_ONE ? now != nth : mode == INJECT_FROM ? now < nth : now % nth != 0) return 0;
    ADD(failed, 1);
    return 1;
}

static int refuses(unsigned kind, size_t size) {
    if (!armed || size < smallest || !fails(kind)) return 0;
    if (size > largest) largest = size;
    errno = ENOMEM;
    return 1;
}

static void *counted(void *p) {
    if (p) ADD(live, (long)malloc_usable_size(p));
    return p;
}

void *malloc(size_t size) { return refuses(INJECT_MALLOC, size) ? NULL : counted(__libc_malloc(size)); }
void *calloc(size_t n, size_t size) { return refuses(INJECT_MALLOC, n * size) ? NULL : counted(__libc_calloc(n, size)); }
void *realloc(void *p, size_t size) {
    long old = p ? (long)malloc_usable_size(p) : 0;
    void *q;
    if (refuses(INJECT_MALLOC, size)) return NULL;
    q = __libc_realloc(p, size);
    if (q || size == 0) ADD(live, -old);
    return counted(q);
}
int posix_memalign(void **p, size_t alignment, size_t size) {
    void *q;
    if (refuses(INJECT_ALIGNED, size)) return ENOMEM;
    q = counted(__libc_memalign(alignment, size));
    if (!q) return ENOMEM;
    *p = q;
    return 0;
}
void *aligned_alloc(size_t alignment, size_t size) { return refuses(INJECT_ALIGNED, size) ? NULL : counted(__libc_memalign(alignment, size)); }
void free(void *p) {
    if (p) ADD(live, -(long)malloc_usable_size(p));
    __libc_free(p);
}

void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    void *p;
    if (refuses(INJECT_MMAP, size)) return MAP_FAILED;
    p = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
    if (p != MAP_FAILED) ADD(live, (long)size);
    return p;
}
int munmap(void *at, size_t size) {
    int result = (int)syscall(SYS_munmap, at, size);
    if (result == 0) ADD(live, -(long)size);
    return result;
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    unsigned kinds;
    int result;
    if (fails(INJECT_THREAD)) return EAGAIN;
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    kinds = __atomic_exchange_n(&armed, 0, __ATOMIC_SEQ_CST); /* the C library's own allocations for it are not ours to fail */
    result = real(thread, attributes, start, argument);
    __atomic_store_n(&armed, kinds, __ATOMIC_SEQ_CST);
    return result;
}

/* System calls: with an errno they fail before anything happens (close: after); with INJECT_SHORT only transfers change. */
static int stops(unsigned kind) {
    if (code == INJECT_SHORT || !fails(kind)) return 0;
    errno = code;
    return 1;
}
static size_t part(unsigned kind, size_t size) { return code == INJECT_SHORT && size > 1 && fails(kind) ? size / 2 : size; }

int open(const char *path, int flags, ...) {
    mode_t permissions = 0;
    va_list list;
    va_start(list, flags);
    if (flags & O_CREAT) permissions = va_arg(list, mode_t);
    va_end(list);
    return stops(INJECT_OPEN) ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, permissions);
}
ssize_t read(int fd, void *to, size_t size) { return stops(INJECT_READ) ? -1 : syscall(SYS_read, fd, to, part(INJECT_READ, size)); }
ssize_t pread(int fd, void *to, size_t size, off_t at) {
    return stops(INJECT_READ) ? -1 : syscall(SYS_pread64, fd, to, part(INJECT_READ, size), at);
}
ssize_t write(int fd, const void *from, size_t size) { return stops(INJECT_WRITE) ? -1 : syscall(SYS_write, fd, from, part(INJECT_WRITE, size)); }
ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
    return stops(INJECT_WRITE) ? -1 : syscall(SYS_pwrite64, fd, from, part(INJECT_WRITE, size), at);
}
int fsync(int fd) { return stops(INJECT_SYNC) ? -1 : (int)syscall(SYS_fsync, fd); }
int rename(const char *from, const char *to) { return stops(INJECT_RENAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0); }
int ftruncate(int fd, off_t size) { return stops(INJECT_STAT) ? -1 : (int)syscall(SYS_ftruncate, fd, size); }
int close(int fd) {
    int result = (int)syscall(SYS_close, fd);
    return stops(INJECT_CLOSE) ? -1 : result;
}
#ifdef SYS_newfstatat
static int status(int fd, const char *path, struct stat *s, int flags) { return stops(INJECT_STAT) ? -1 : (int)syscall(SYS_newfstatat, fd, path, s, flags); }
int fstat(int fd, struct stat *s) { return status(fd, "", s, AT_EMPTY_PATH); }
int stat(const char *path, struct stat *s) { return status(AT_FDCWD, path, s, 0); }
#endif
