/* The fuzz targets: each is a function from bytes to calls of the public header. Nothing else is called, so that the
   same files make the fuzzers (with libFuzzer and the sanitizers) and the test that runs every kept input through the
   ordinary library (run_inputs.c). */
#ifndef LLAMA2SWIFT_FUZZ_H
#define LLAMA2SWIFT_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llama2swift.h"

typedef size_t (*mutator)(uint8_t *data, size_t size, size_t room, unsigned seed);

typedef struct target {
    const char *name;
    void (*run)(const uint8_t *data, size_t size);
    mutator mutate; /* NULL: libFuzzer's own */
} target;

/* NULL when there is none of this name. */
const target *find_target(const char *name);

/* What must hold, else the process ends with a line that says what did not. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition, llama2_last_error()); \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A status of the header, with a sentence when it is a failure. */
void check_status(int32_t status);

/* ---- Input, front to back; zeros after its end ---------------------------------------------- */

typedef struct input {
    const uint8_t *data;
    size_t size;
} input;

uint8_t take_u8(input *in);
uint32_t take_u32(input *in);
/* At most `count` bytes; *got says how many. */
const uint8_t *take(input *in, size_t count, size_t *got);

/* ---- Models that targets use: made by seeds.py, in the folder that FUZZ_MODELS names -------- */

enum { SPM, SPM_BARE, GPT2, SMOLLM, LLAMA_BPE, STANDARD, LLAMA2_CHAT, OTHER_CHAT, MODELS };
extern llama2_model *models[MODELS];
extern const char *const model_names[MODELS];
void load_models(void);
void free_models(void);
/* The path of a file of that folder; static. */
const char *model_path(const char *file);

/* ---- What is done with a file --------------------------------------------------------------- */

/* Everything that the header can ask about a model, and one token through it. Frees it. */
void use_model(llama2_model *model);
/* The result of a load: a status and a sentence, or a model, which is used. */
void loaded(int32_t status, llama2_model *model, const char *error);

/* A folder of this process's own in memory, with the files of a packed input: (u8 name, u32 length, bytes) ... ; a name
   is an index into `names`, modulo their number. Returns its path. Files of earlier inputs that are not in this one are
   removed. `fixed` adds one more file that is no part of the input. */
const char *unpack_folder(const uint8_t *data, size_t size, const char *const *names, unsigned count);

/* ---- A target with a file of its own ------------------------------------------------------- */

void run_scheduler(const uint8_t *data, size_t size); /* scheduling.c */
void run_search(const uint8_t *data, size_t size); /* searching.c */

/* ---- Mutators (mutate.c) -------------------------------------------------------------------- */

/* libFuzzer's; the test gives a stub that is never called. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);

size_t mutate_gguf(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t mutate_json(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t mutate_safetensors(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t mutate_zip(uint8_t *data, size_t size, size_t room, unsigned seed);
size_t mutate_protobuf(uint8_t *data, size_t size, size_t room, unsigned seed);
/* A packed folder: one of its files is mutated, by the mutator of its name's ending. */
size_t mutate_folder(uint8_t *data, size_t size, size_t room, unsigned seed, const char *const *names, unsigned count);

#endif
