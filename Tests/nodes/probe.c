/* probe MODEL WHERE THREADS [nohuge]: loads MODEL, evaluates, and says on which memory nodes its weights and its cache lie, for nodes.sh.
 *
 * WHERE: "copy", "interleave", or "bound", interleaved by a thread whose memory is bound to node 1. Lines on standard output:
 *     weights POLICY: PAGES PAGES          of nodes 0 and 1; the policy as /proc/self/numa_maps has it
 *     threads: CPU(NODE) ...               where each is pinned, the caller's first
 *     cache: NEAR of PAGES                 pages of one head's keys or values that lie on the node of the thread that computes this head
 *     logits: HASH                         of a prompt and some tokens after it
 * Exits with another status than 0 when something cannot be done. */
#define _GNU_SOURCE
#include <dirent.h>
#include <linux/mempolicy.h>
#include <llama2swift.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096
#define NEED(call) do { if ((call) != LLAMA2_OK) { printf("%s: %s\n", #call, llama2_last_error()); exit(1); } } while (0)

/* The library's large memory: its calls of mmap come here. */
static struct { char *at; size_t size; } mappings[1024];
static int mapping_count;
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    void *p = (void *)syscall(SYS_mmap, at, size, protection, flags, fd, offset);
    if (p != MAP_FAILED && flags & MAP_ANONYMOUS && mapping_count < 1024) {
        mappings[mapping_count].at = p;
        mappings[mapping_count++].size = size;
    }
    return p;
}

/* The last mapping of so many bytes, and up to two cache lines more. */
static char *mapping_of(size_t size) {
    int i;
    for (i = mapping_count - 1; i >= 0; i--)
        if (mappings[i].size >= size && mappings[i].size < size + 128) return mappings[i].at;
    printf("no mapping of %zu bytes\n", size);
    exit(1);
}

/* The node of a page; negative: it is not there. */
static int node_of(char *page) {
    int node = -1;
    void *at = (void *)((size_t)page & ~(size_t)(PAGE - 1));
    if (syscall(SYS_move_pages, 0, 1ul, &at, NULL, &node, 0) != 0) { perror("move_pages"); exit(1); }
    return node;
}

/* The policy of the mapping that `at` lies in. */
static void policy_of(char *at, char *policy) {
    char line[4096], word[64];
    unsigned long start;
    FILE *maps = fopen("/proc/self/numa_maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx %63s", &start, word) == 2 && start <= (unsigned long)at) strcpy(policy, word);
    if (maps) fclose(maps);
}

static int cpu_node(int cpu) {
    char path[100];
    int node;
    for (node = 0; node < 2; node++) {
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/node%d", cpu, node);
        if (access(path, F_OK) == 0) return node;
    }
    exit(1);
}

/* The only CPU of the thread that is called so; waits until it has pinned itself. */
static int cpu_of(const char *name) {
    struct dirent *entry;
    int tries;
    for (tries = 0; tries < 1000; tries++, usleep(10000)) {
        DIR *tasks = opendir("/proc/self/task");
        while (tasks && (entry = readdir(tasks))) {
            char path[300], comm[32] = "";
            cpu_set_t cpus;
            FILE *file;
            snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
            if (!(file = fopen(path, "r"))) continue;
            if (fscanf(file, "%31s", comm) == 1 && strcmp(comm, name) == 0 && sched_getaffinity(atoi(entry->d_name), sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1) {
                int cpu = 0;
                while (!CPU_ISSET(cpu, &cpus)) cpu++;
                fclose(file);
                closedir(tasks);
                return cpu;
            }
            fclose(file);
        }
        if (tasks) closedir(tasks);
    }
    printf("%s is not pinned\n", name);
    exit(1);
}

static unsigned long long hash = 14695981039346656037ull; /* FNV-1a */
static void add_logits(llama2_context *context) {
    const float *row;
    size_t count, i;
    NEED(llama2_logits(context, 0, &row, &count));
    for (i = 0; i < 4 * count; i++) hash = (hash ^ ((const unsigned char *)row)[i]) * 1099511628211ull;
}

int main(int count, char **arguments) {
    llama2_model_options mo;
    llama2_context_options co;
    llama2_memory memory;
    llama2_hyperparameters shape;
    llama2_model *model;
    llama2_context *context;
    const char *path = arguments[1], *where = arguments[2];
    unsigned threads = (unsigned)atoi(arguments[3]), i;
    int32_t tokens[300];
    int nodes[64], on[2] = {0, 0}, near = 0, there = 0;
    char policy[64] = "", *base;
    cpu_set_t first;
    size_t page, layer, head, kind, at, part, parts;
    if (count < 4 || threads < 1 || threads > 64) return 2;
    memset(&memory, 0, sizeof memory);
    memset(&shape, 0, sizeof shape);
    memory.struct_size = sizeof memory, shape.struct_size = sizeof shape;
    /* 1. the weights */
    llama2_model_options_init(&mo);
    mo.flags = strcmp(where, "copy") == 0 ? LLAMA2_MODEL_COPY : LLAMA2_MODEL_INTERLEAVE;
    if (strcmp(where, "bound") == 0) {
        unsigned long mask = 2;
        if (syscall(SYS_set_mempolicy, (long)MPOL_BIND, &mask, 64ul) != 0) { perror("set_mempolicy"); return 1; }
    }
    NEED(llama2_model_load(path, &mo, &model, NULL, 0));
    if (strcmp(where, "bound") == 0) syscall(SYS_set_mempolicy, (long)MPOL_DEFAULT, NULL, 0ul);
    NEED(llama2_model_hyperparameters(model, &shape));
    base = mapping_of((size_t)shape.file_bytes);
    policy_of(base, policy);
    for (at = 0; at < shape.file_bytes; at += PAGE) on[node_of(base + at) == 1]++;
    printf("weights %s: %d %d\n", policy, on[0], on[1]);
    /* 2. the threads; thread 0 is the caller, for whom the first CPU is left */
    llama2_context_options_init(&co);
    co.context_length = 256, co.threads = threads, co.flags = LLAMA2_CONTEXT_PIN_THREADS;
    NEED(llama2_preflight(path, &mo, &co, &memory, NULL, 0));
    NEED(llama2_context_create(model, &co, &context, NULL, 0));
    printf("threads:");
    for (i = 0; i < threads; i++) {
        char name[32];
        int cpu = 0;
        snprintf(name, sizeof name, "llama2-%u", i);
        if (i > 0) cpu = cpu_of(name);
        nodes[i] = cpu_node(cpu);
        printf(" %d(%d)", cpu, nodes[i]);
    }
    printf("\n");
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    /* 3. a prompt of more than a page of 64 positions, then tokens one by one */
    for (i = 0; i < 300; i++) tokens[i] = (int32_t)((5 * i * i + 7 * i + 3) % shape.vocabulary_size);
    NEED(llama2_eval(context, tokens, 70));
    add_logits(context);
    for (i = 70; i < 80; i++) {
        NEED(llama2_eval(context, tokens + i, 1));
        add_logits(context);
    }
    /* 4. the cache: (page of 64 positions, layer, keys or values, head), F16, a head's part a multiple of the system's page */
    base = mapping_of((size_t)memory.kv_bytes);
    part = 64 * 2 * (size_t)shape.head_dimension;
    parts = part / PAGE;
    for (page = 0; page < 2; page++)
        for (layer = 0; layer < shape.block_count; layer++)
            for (kind = 0; kind < 2; kind++)
                for (head = 0; head < shape.head_count_kv; head++)
                    for (at = 0; at < parts; at++) {
                        char *piece = base + (((page * shape.block_count + layer) * 2 + kind) * shape.head_count_kv + head) * part + at * PAGE;
                        int node = node_of(piece);
                        if (node < 0) continue;
                        there++;
                        near += node == nodes[head % threads];
                    }
    printf("cache: %d of %d\n", near, there);
    printf("logits: %016llx\n", hash);
    llama2_context_free(context);
    llama2_model_free(model);
    return 0;
}
