/* How many CPUs' time the control groups of this process allow: a container with two CPUs on a machine of 64 may run on all of
   them, but not for longer than two could; threads beyond that are stopped, and a pass waits for its last thread.
   Documentation/admin-guide/cgroup-v2.rst ("cpu.max") and cgroup-v1's scheduler/sched-bwc.rst in Linux' sources. */
#define _GNU_SOURCE
#include "linux_system.h"
#include "read_start.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The number that `text` begins with; -1 where there is none ("max", a sign) or a longer one than any quota. Moves on behind it. */
static long long number(const char **text) {
    long long value = 0;
    int digits = 0;
    while (**text == ' ') ++*text;
    for (; **text >= '0' && **text <= '9'; ++*text)
        if (++digits <= 18) value = value * 10 + (**text - '0');
    return digits > 0 && digits <= 18 ? value : -1;
}

static int whole_cpus(long long quota, long long period) {
    if (quota <= 0 || period <= 0) return INT_MAX;
    quota /= period; /* what is left over of a CPU is no CPU: a thread for it would be stopped most of the time */
    return quota < 1 ? 1 : quota > INT_MAX ? INT_MAX : (int)quota;
}

/* Of one group, whose folder `path` is: INT_MAX where there is no limit. */
static int quota_of(char *path, size_t length, int version) {
    char text[64];
    const char *at = text;
    long long quota, period;
    if (length + 32 > PATH_MAX) return INT_MAX;
    strcpy(path + length, version == 2 ? "/cpu.max" : "/cpu.cfs_quota_us"); /* "max 100000" or "200000 100000"; -1 or 200000 */
    read_start(path, text, sizeof text);
    quota = number(&at);
    if (version == 1) {
        strcpy(path + length, "/cpu.cfs_period_us");
        read_start(path, text, sizeof text);
        at = text;
    }
    period = number(&at);
    return whole_cpus(quota, period);
}

/* The least of a group and of those above it: `mount` is the folder of the topmost. Where a container sees only its own part of
   the tree, the group's path is not below the mount, and the mount is the group. */
static int least_quota(const char *root, const char *mount, const char *group, int version) {
    char path[PATH_MAX];
    int least = INT_MAX, written = snprintf(path, sizeof path, "%s%s%s", root, mount, strcmp(group, "/") == 0 ? "" : group);
    size_t top = strlen(root) + strlen(mount), length = (size_t)written;
    if (written < 0 || length >= sizeof path || strstr(group, "/..")) return INT_MAX;
    for (;;) {
        int quota = quota_of(path, length, version);
        if (quota < least) least = quota;
        if (length <= top) return least;
        do length--;
        while (length > top && path[length] != '/');
    }
}

/* Whether "cpu" is one of the names between commas. */
static int names_cpu(const char *names) {
    while (names) {
        if (strncmp(names, "cpu", 3) == 0 && (names[3] == 0 || names[3] == ',')) return 1;
        names = strchr(names, ',');
        if (names) names++;
    }
    return 0;
}

int l2s_quota_cpus(const char *root) {
    static const char *const first_version[] = {"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"};
    char text[4096], path[PATH_MAX], *line, *rest = text;
    int least = INT_MAX, written = snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    if (written < 0 || (size_t)written >= sizeof path) return INT_MAX;
    read_start(path, text, sizeof text); /* lines of "number:names:path"; of version 2 the number is 0 and there is no name */
    while ((line = strsep(&rest, "\n"))) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        int quota = INT_MAX;
        if (!group) continue;
        *group++ = 0;
        if (group[0] != '/') continue;
        if (names[1] == 0) {
            quota = least_quota(root, "/sys/fs/cgroup", group, 2);
        } else if (names_cpu(names + 1)) {
            size_t i;
            for (i = 0; i < sizeof first_version / sizeof *first_version; i++) {
                int other = least_quota(root, first_version[i], group, 1);
                if (other < quota) quota = other;
            }
        }
        if (quota < least) least = quota;
    }
    return least;
}
