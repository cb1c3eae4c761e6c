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

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof(array)[0]))

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

/* A context of one thread; 0: the default. */
llama2_context *small_context(const llama2_model *model, uint32_t length, uint32_t sequences, uint32_t batch);
/* Whether a text is whole characters. */
int is_utf8(const uint8_t *s, size_t size);

/* ---- What is done with a file --------------------------------------------------------------- */

/* Everything that the header can ask about a model, and one token through it. Frees it. */
void use_model(llama2_model *model);
/* The result of a load: a status and a sentence, or a model, which is used. */
void loaded(int32_t status, llama2_model *model, const char *error);

/* A folder of this process's own in memory, with the files of a packed input: (u8 name, u32 length, bytes) ... ; a name
   is an index into `names`, modulo their number. Returns its path. Files of earlier inputs that are not in this one are
   removed. `fixed` adds one more file that is no part of the input. */
const char *unpack_folder(const uint8_t *data, size_t size, const char *const *names, unsigned count);

/* ---- The targets ----------------------------------------------------------------------------- */

/* target_files.c */
void load_memory(const uint8_t *data, size_t size);
void run_adapter(const uint8_t *data, size_t size);
size_t mutate_adapter(uint8_t *data, size_t size, size_t room, unsigned seed);
void run_split(const uint8_t *data, size_t size);
size_t mutate_split(uint8_t *data, size_t size, size_t room, unsigned seed);
void run_safetensors(const uint8_t *data, size_t size);
size_t mutate_hugging_face(uint8_t *data, size_t size, size_t room, unsigned seed);
void run_meta(const uint8_t *data, size_t size);
size_t mutate_meta(uint8_t *data, size_t size, size_t room, unsigned seed);
void run_llama2c(const uint8_t *data, size_t size);
size_t mutate_llama2c(uint8_t *data, size_t size, size_t room, unsigned seed);
void run_sentencepiece(const uint8_t *data, size_t size);
void run_importance(const uint8_t *data, size_t size);
/* target_texts.c */
void run_tokenize(const uint8_t *data, size_t size);
void run_detokenize(const uint8_t *data, size_t size);
void run_decoder(const uint8_t *data, size_t size);
void run_chat(const uint8_t *data, size_t size);
void run_template(const uint8_t *data, size_t size);
/* target_sampling.c */
void run_sampler(const uint8_t *data, size_t size);
void run_grammar(const uint8_t *data, size_t size);
/* target_saved.c */
void run_state(const uint8_t *data, size_t size);
void run_saved(const uint8_t *data, size_t size);
/* scheduling.c, searching.c */
void run_scheduler(const uint8_t *data, size_t size);
void run_search(const uint8_t *data, size_t size);

/* ---- Mutators (mutate*.c) ------------------------------------------------------------------- */

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
