#define _GNU_SOURCE
#include "linux_system.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t l2s_thread_nanoseconds(uint32_t number) {
    struct timespec time;
    /* the clock of another thread of this process: the kernel's form, which pthread_getcpuclockid makes too */
    clockid_t clock = number == 0 ? CLOCK_THREAD_CPUTIME_ID : (clockid_t)(~(uint32_t)number << 3 | 6u);
    if (clock_gettime(clock, &time) != 0) return 0;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* Reads a file of the kernel's, which is one short line, without waiting for what is no file. Terminated. */
static int line_of(int descriptor, char *line, size_t capacity) {
    ssize_t count;
    do count = pread(descriptor, line, capacity - 1, 0);
    while (count < 0 && errno == EINTR);
    if (count < 0) return -1;
    line[count] = 0;
    return 0;
}

/* A decimal number and nothing behind it but the end of the line. */
static int number_of(int descriptor, uint64_t *number) {
    char line[32], *c = line;
    uint64_t value = 0;
    if (line_of(descriptor, line, sizeof line) < 0) return -1;
    if (*c < '0' || *c > '9') { errno = EINVAL; return -1; }
    for (; *c >= '0' && *c <= '9'; c++) {
        if (value > (UINT64_MAX >> 1) / 10 - 1) { errno = ERANGE; return -1; }
        value = value * 10 + (uint64_t)(*c - '0');
    }
    if (*c != 0 && *c != '\n') { errno = EINVAL; return -1; }
    *number = value;
    return 0;
}

static int open_of(const char *folder, int zone, const char *name) {
    char path[4200];
    int length = snprintf(path, sizeof path, "%s/intel-rapl:%d/%s", folder, zone, name), descriptor;
    if (length < 0 || (size_t)length >= sizeof path) { errno = ENAMETOOLONG; return -1; }
    do descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    while (descriptor < 0 && errno == EINTR);
    return descriptor;
}

int l2s_energy_open(const char *folder, l2s_energy *meter) {
    int zone, code = ENOENT;
    memset(meter, 0, sizeof *meter);
    for (zone = 0; zone < L2S_ENERGY_ZONES; zone++) {
        char name[32];
        int i = meter->count, descriptor = open_of(folder, zone, "name"), known;
        if (descriptor < 0) {
            if (zone == 0) code = errno;
            break; /* zones are numbered without gaps */
        }
        known = line_of(descriptor, name, sizeof name) == 0 && strncmp(name, "package-", 8) == 0;
        close(descriptor);
        if (!known) continue; /* psys and the like hold what the packages hold */
        descriptor = open_of(folder, zone, "max_energy_range_uj");
        if (descriptor < 0 || number_of(descriptor, &meter->range[i]) < 0) code = errno, known = 0;
        if (descriptor >= 0) close(descriptor);
        meter->descriptor[i] = known ? open_of(folder, zone, "energy_uj") : -1;
        if (known && meter->descriptor[i] < 0) code = errno, known = 0;
        if (known && number_of(meter->descriptor[i], &meter->last[i]) < 0) {
            code = errno, known = 0;
            close(meter->descriptor[i]);
        }
        if (!known) { /* a sum without one of them would be too little */
            l2s_energy_close(meter);
            break;
        }
        meter->count++;
    }
    if (meter->count == 0) errno = code;
    return meter->count > 0 ? meter->count : -1;
}

int64_t l2s_energy_gained(l2s_energy *meter) {
    uint64_t sum = 0;
    int i;
    for (i = 0; i < meter->count; i++) {
        uint64_t now, before = meter->last[i];
        if (number_of(meter->descriptor[i], &now) < 0) return -1;
        /* the counter begins anew behind its range */
        sum += now >= before ? now - before : meter->range[i] >= before ? meter->range[i] - before + now : now;
        meter->last[i] = now;
    }
    return sum > INT64_MAX ? INT64_MAX : (int64_t)sum;
}

void l2s_energy_close(l2s_energy *meter) {
    int i;
    for (i = 0; i < meter->count; i++) close(meter->descriptor[i]);
    meter->count = 0;
}
