/* Files of the kernel's, which are short lines. */
#ifndef LINUX_SYSTEM_READ_START_H
#define LINUX_SYSTEM_READ_START_H
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The beginning of a file, terminated; what cannot be read is empty. */
static inline void read_start(const char *path, char *text, size_t capacity) {
    size_t count = 0;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    while (file >= 0 && count < capacity - 1) {
        ssize_t got = read(file, text + count, capacity - 1 - count);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        count += (size_t)got;
    }
    if (file >= 0) close(file);
    text[count] = 0;
}
#endif
