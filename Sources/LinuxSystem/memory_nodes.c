/* Machines whose memory is several nodes, each near to some of the CPUs (NUMA). mbind(2), get_mempolicy(2), and in Linux' sources
   Documentation/admin-guide/mm/numa_memory_policy.rst; glibc has no functions for these calls. */
#define _GNU_SOURCE
#include "linux_system.h"
#include "read_start.h"
#include <errno.h>
#include <limits.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux has 1024 nodes at most; mbind reads one bit less than it is told. */
#define NODES 1024
#define NODE_BITS (2 * NODES)
typedef struct { unsigned long words[NODE_BITS / (8 * sizeof(unsigned long))]; } node_set;

/* The nodes that memory may be taken from: of the process's cpuset, and of a policy that binds the calling thread (numactl --membind). */
static int allowed_nodes(node_set *nodes) {
    int mode = MPOL_DEFAULT;
    if (syscall(SYS_get_mempolicy, &mode, nodes->words, (unsigned long)NODE_BITS, NULL, 0ul) != 0) return -1;
    if ((mode & ~MPOL_MODE_FLAGS) == MPOL_BIND) return 0;
    return syscall(SYS_get_mempolicy, NULL, nodes->words, (unsigned long)NODE_BITS, NULL, (unsigned long)MPOL_F_MEMS_ALLOWED) != 0 ? -1 : 0;
}

int l2s_memory_nodes(void) {
    node_set nodes;
    int count = 0;
    size_t i;
    if (allowed_nodes(&nodes) != 0) return 1;
    for (i = 0; i < sizeof nodes.words / sizeof *nodes.words; i++) count += __builtin_popcountl(nodes.words[i]);
    return count > 0 ? count : 1;
}

int l2s_interleave(void *mapping, size_t size) {
    node_set nodes;
    int mode = MPOL_DEFAULT;
    if (allowed_nodes(&nodes) != 0) return -1;
    if (syscall(SYS_mbind, mapping, size, (unsigned long)MPOL_INTERLEAVE, nodes.words, (unsigned long)NODE_BITS, 0ul) != 0) return -1;
    /* a sandbox may answer in the kernel's place, and have done nothing */
    if (syscall(SYS_get_mempolicy, &mode, NULL, 0ul, mapping, (unsigned long)MPOL_F_ADDR) != 0) return -1;
    if (mode == MPOL_INTERLEAVE) return 0;
    errno = ENOSYS;
    return -1;
}

/* The number that `list` begins with; -1 where there is none or one beyond `most`. Moves on behind it. */
static int number(const char **list, int most) {
    int value = -1;
    for (; **list >= '0' && **list <= '9'; ++*list) {
        value = (value < 0 ? 0 : value) * 10 + (**list - '0');
        if (value > most) return -1;
    }
    return value;
}

/* The next range of a list as the kernel writes it, "0-3,8\n". 0 at its end, and at what is no such list. */
static int next_range(const char **list, int most, int *first, int *last) {
    if (**list == ',') ++*list;
    *first = *last = number(list, most);
    if (*first >= 0 && **list == '-') {
        ++*list;
        *last = number(list, most);
    }
    return *first >= 0 && *last >= *first && (**list == ',' || **list == '\n' || **list == 0);
}

/* Of each CPU its node, where that can be read; else 0. */
static void read_nodes(const char *root, unsigned short node_of[L2S_CPUS]) {
    char path[PATH_MAX], online[4096], text[8192];
    const char *nodes = online, *cpus;
    int node, last_node, cpu, last_cpu;
    if (snprintf(path, sizeof path, "%s/sys/devices/system/node/online", root) >= (int)sizeof path) return;
    read_start(path, online, sizeof online);
    while (next_range(&nodes, NODES - 1, &node, &last_node)) {
        for (; node <= last_node; node++) {
            if (snprintf(path, sizeof path, "%s/sys/devices/system/node/node%d/cpulist", root, node) >= (int)sizeof path) return;
            read_start(path, text, sizeof text);
            for (cpus = text; next_range(&cpus, L2S_CPUS - 1, &cpu, &last_cpu);)
                for (; cpu <= last_cpu; cpu++) node_of[cpu] = (unsigned short)node;
        }
    }
}

int l2s_cpu_in_turn(const char *root, const unsigned char *allowed, int index) {
    unsigned short node_of[L2S_CPUS] = {0};
    int count[NODES] = {0}, all = 0, node, cpu, round;
    read_nodes(root, node_of);
    for (cpu = 0; cpu < L2S_CPUS; cpu++)
        if (allowed[cpu / 8] >> cpu % 8 & 1) count[node_of[cpu]]++, all++;
    if (all == 0) return -1;
    index %= all;
    /* 1. the round in which it comes: one CPU of each node that has so many */
    for (round = 0;; round++) {
        int members = 0;
        for (node = 0; node < NODES; node++) members += count[node] > round;
        if (index < members) break;
        index -= members;
    }
    /* 2. the node whose turn it is then */
    for (node = 0; count[node] <= round || index > 0; node++) index -= count[node] > round;
    /* 3. its CPU of that round */
    for (cpu = 0;; cpu++)
        if (allowed[cpu / 8] >> cpu % 8 & 1 && node_of[cpu] == node && round-- == 0) return cpu;
}
