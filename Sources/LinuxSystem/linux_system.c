#define _GNU_SOURCE
#include "linux_system.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef union { unsigned char bytes[L2S_CPUS / 8]; cpu_set_t set; } cpu_mask;

static int cpus_of(const cpu_mask *mask) {
    int count = 0, i;
    for (i = 0; i < (int)sizeof mask->bytes; i++) count += __builtin_popcount(mask->bytes[i]);
    return count > 0 ? count : 1;
}

int l2s_allowed_cpus(void) {
    cpu_mask mask = {{0}};
    if (sched_getaffinity(0, sizeof mask, &mask.set) < 0) return 1;
    return cpus_of(&mask);
}

void l2s_pin_thread(int index) {
    cpu_mask mine = {{0}}, one = {{0}};
    int cpu;
    if (sched_getaffinity(0, sizeof mine, &mine.set) < 0) return;
    cpu = l2s_cpu_in_turn("", mine.bytes, index);
    if (cpu < 0) return;
    one.bytes[cpu / 8] = (unsigned char)(1 << cpu % 8);
    sched_setaffinity(0, sizeof one, &one.set);
}

void *l2s_folder_open(const char *path) { return opendir(path); }

const char *l2s_folder_next(void *folder) {
    const struct dirent *entry;
    errno = 0;
    entry = readdir(folder);
    return entry ? entry->d_name : 0;
}

void l2s_folder_close(void *folder) { closedir(folder); }

uint32_t l2s_thread_number(void) { return (uint32_t)syscall(SYS_gettid); }

int l2s_cpus_of_threads(uint32_t other) {
    cpu_mask mine = {{0}}, theirs = {{0}};
    int i;
    if (sched_getaffinity(0, sizeof mine, &mine.set) < 0) return 1;
    if (other != 0 && sched_getaffinity((pid_t)other, sizeof theirs, &theirs.set) >= 0)
        for (i = 0; i < (int)sizeof mine.bytes; i++) mine.bytes[i] |= theirs.bytes[i];
    return cpus_of(&mine);
}

void l2s_sleep(const void *word, uint32_t value) {
    int before = errno;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
    errno = before;
}

void l2s_wake(const void *word) {
    int before = errno;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    errno = before;
}

/* A pointer and no more: the memory reserve's thread variables are of the kind for which dlopen has little room, and all
   of a library's lie together. */
static __thread char *text __attribute__((tls_model("initial-exec")));
#define THREAD_BYTES (L2S_THREAD_TEXT_CAPACITY + sizeof(int))
static pthread_key_t text_key;
static int text_key_is_there;

static void end_text(void *page) {
    munmap(page, THREAD_BYTES);
    text = NULL;
}
static void make_text_key(void) { text_key_is_there = pthread_key_create(&text_key, end_text) == 0; }

char *l2s_thread_text(int make) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    void *page;
    if (text != NULL || !make) return text;
    pthread_once(&once, make_text_key);
    if (!text_key_is_there) return NULL;
    page = mmap(NULL, THREAD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return NULL;
    if (pthread_setspecific(text_key, page) != 0) { end_text(page); return NULL; }
    return text = page;
}

int l2s_thread_error(void) { return text == NULL ? 0 : *(int *)(void *)(text + L2S_THREAD_TEXT_CAPACITY); }
void l2s_set_thread_error(int code) {
    if (text != NULL) *(int *)(void *)(text + L2S_THREAD_TEXT_CAPACITY) = code;
}

int l2s_write_behind(int descriptor, int64_t from, int64_t until) {
    const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    int failed = sync_file_range(descriptor, from, 0, SYNC_FILE_RANGE_WRITE);
    if (!failed && until > 0) failed = sync_file_range(descriptor, 0, until, all);
    return failed && (errno == EIO || errno == ENOSPC || errno == EDQUOT) ? -1 : 0;
}

uint64_t *l2s_handle_pieces(void) {
    static uint64_t pieces[L2S_HANDLE_PIECES];
    return pieces;
}

uint64_t l2s_process_number(void) {
    static uint64_t *page, none, last;
    uint64_t *mine = __atomic_load_n(&page, __ATOMIC_ACQUIRE), number = 0, fresh;
    if (mine == NULL) {
        void *new = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (new != MAP_FAILED && madvise(new, 4096, MADV_WIPEONFORK) != 0) { munmap(new, 4096); new = MAP_FAILED; }
        if (new == MAP_FAILED) new = &none;
        if (__atomic_compare_exchange_n(&page, &mine, new, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) mine = new;
        else if (new != &none) munmap(new, 4096);
    }
    if (mine == &none) return (uint64_t)getpid();
    number = __atomic_load_n(mine, __ATOMIC_ACQUIRE);
    if (number != 0) return number;
    /* `last` is inherited, so that a child's number is larger than any of its ancestors' */
    fresh = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    return __atomic_compare_exchange_n(mine, &number, fresh, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ? fresh : number;
}

int l2s_start_thread(pthread_t *thread, const char *name, void *(*body)(void *), void *argument) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    pthread_attr_t attributes;
    unsigned i;
    int code = pthread_attr_init(&attributes);
    if (code != 0) return code;
    pthread_attr_setstacksize(&attributes, L2S_STACK_BYTES);
    sigfillset(&blocked);
    for (i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before); /* a new thread begins with its creator's mask */
    code = pthread_create(thread, &attributes, body, argument);
    /* thread-local memory of the host's is part of the stack: where it is larger than that, the host's size */
    if (code == EINVAL) code = pthread_create(thread, NULL, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (code == 0) pthread_setname_np(*thread, name);
    return code;
}

void *l2s_resize_mapping(void *mapping, size_t size, size_t wanted) {
    void *moved = mremap(mapping, size, wanted, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
}
