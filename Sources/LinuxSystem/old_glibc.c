// Functions of the C library by their oldest versions, so that what is built on a new system runs on an old one too.
//
// A linker binds each call to the newest version that it finds: pthread_create@GLIBC_2.34, although that function has been the same
// since 2.2.5 (2.34 moved it from libpthread to libc; 2.33 made stat a symbol; 2.29 gave exp and log another way to report errors).
// Every reference, those of the Swift runtime inside the library included, is sent here by the linker's --wrap (`oldest` in
// Package.swift), and goes on to the version named below. Before 2.34 the names with pthread_, sem_ and dl lay in libpthread and libdl,
// which Package.swift names.
//
// What this reaches is checked by Tests/python/test_old_glibc.py.
#include <features.h>
#if defined(__x86_64__) && defined(__GLIBC__)
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/stat.h>

#define OLDEST(version, result, name, parameters, arguments)       \
    extern result oldest_##name parameters;                        \
    __asm__(".symver oldest_" #name ", " #name "@GLIBC_" version); \
    result __wrap_##name parameters;                               \
    result __wrap_##name parameters { return oldest_##name arguments; }

typedef void *(*start_routine)(void *);
typedef void (*destructor)(void *);
typedef void (*initializer)(void);

OLDEST("2.2.5", int, pthread_create, (pthread_t *t, const pthread_attr_t *a, start_routine f, void *p), (t, a, f, p))
OLDEST("2.2.5", int, pthread_join, (pthread_t t, void **result), (t, result))
OLDEST("2.2.5", int, pthread_once, (pthread_once_t *o, initializer f), (o, f))
OLDEST("2.2.5", int, pthread_key_create, (pthread_key_t *k, destructor f), (k, f))
OLDEST("2.2.5", int, pthread_setspecific, (pthread_key_t k, const void *p), (k, p))
OLDEST("2.2.5", int, pthread_attr_setstacksize, (pthread_attr_t *a, size_t n), (a, n))
OLDEST("2.2.5", int, pthread_sigmask, (int how, const sigset_t *set, sigset_t *old), (how, set, old))
OLDEST("2.12", int, pthread_setname_np, (pthread_t t, const char *name), (t, name))
OLDEST("2.2.5", sem_t *, sem_open, (const char *name, int flags, mode_t mode, unsigned value), (name, flags, mode, value))

OLDEST("2.2.5", int, dladdr, (const void *address, void *info), (address, info))
OLDEST("2.2.5", void *, dlopen, (const char *path, int mode), (path, mode))
OLDEST("2.2.5", void *, dlsym, (void *handle, const char *name), (handle, name))
OLDEST("2.2.5", char *, dlerror, (void), ())

OLDEST("2.2.5", double, exp, (double x), (x))
OLDEST("2.2.5", double, exp2, (double x), (x))
OLDEST("2.2.5", double, log, (double x), (x))
OLDEST("2.2.5", double, log2, (double x), (x))
OLDEST("2.2.5", float, hypotf, (float x, float y), (x, y))

// Before 2.33 these were not symbols but inline calls of the following, with the version of the struct: 1 on x86-64.
extern int oldest_xstat(int version, const char *path, struct stat *s);
extern int oldest_lxstat(int version, const char *path, struct stat *s);
extern int oldest_fxstat(int version, int fd, struct stat *s);
__asm__(".symver oldest_xstat, __xstat@GLIBC_2.2.5");
__asm__(".symver oldest_lxstat, __lxstat@GLIBC_2.2.5");
__asm__(".symver oldest_fxstat, __fxstat@GLIBC_2.2.5");
int __wrap_stat(const char *path, struct stat *s);
int __wrap_lstat(const char *path, struct stat *s);
int __wrap_fstat(int fd, struct stat *s);
int __wrap_stat(const char *path, struct stat *s) { return oldest_xstat(1, path, s); }
int __wrap_lstat(const char *path, struct stat *s) { return oldest_lxstat(1, path, s); }
int __wrap_fstat(int fd, struct stat *s) { return oldest_fxstat(1, fd, s); }

// libstdc++ of GCC 11 has a name of its own for `new T[n]` with an n beyond all bounds; older ones say bad_alloc.
extern void _ZSt17__throw_bad_allocv(void) __attribute__((noreturn));
void __wrap__ZSt28__throw_bad_array_new_lengthv(void) __attribute__((noreturn));
void __wrap__ZSt28__throw_bad_array_new_lengthv(void) { _ZSt17__throw_bad_allocv(); }
#endif
