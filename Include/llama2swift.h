/*
 * llama2swift: inference of Llama models on the CPU.
 *
 * This header is the specification of the library: what is not said here is not promised.
 *
 * A short tour
 *
 *     llama2_model_load        a GGUF file, a Hugging Face folder, ... becomes a model (mapped, not copied)
 *     llama2_tokenize          text becomes tokens;  llama2_chat_encode does so for a conversation
 *     llama2_context_create    a KV cache, work memory and threads for one conversation or many
 *     llama2_eval              tokens go in, logits of the last one come out
 *     llama2_sample            a token is chosen from the logits
 *     llama2_generate          the loop of the two above, with text given to a callback
 *     llama2_beam_search       the most probable texts;  llama2_best_of the best of several samplers'
 *     llama2_scheduler_submit  many texts at once on one context, a step at a time
 *     llama2_quantize          any of those files becomes a GGUF file with smaller weights
 *     llama2_perplexity        how well the model predicts a text;  llama2_score does so for an answer
 *     *_free                   in any order
 *
 * Rules that hold everywhere
 *
 * - A function that can fail returns a status: LLAMA2_OK (0) or one of the negative LLAMA2_E_ codes.
 *   Results come through out-parameters, which keep their value when the call fails, except where
 *   a comment says otherwise. LLAMA2_E_NULL_ARGUMENT and LLAMA2_E_BAD_HANDLE are possible wherever
 *   a pointer or a handle is passed, and are not repeated below; nothing has changed after them.
 * - The sentence for a failure is in llama2_last_error() of the same thread, for a context also in
 *   llama2_context_last_error(), and in `error` where a function has one: a buffer of
 *   `error_capacity` bytes, NULL and 0 if it is not wanted; always terminated, one line, at most 1023
 *   bytes, cut if need be; what is no visible character in names from a file (control and format characters such as
 *   U+202E, separators of lines, private and unassigned ones) becomes U+FFFD.
 * - A handle is an id that looks like a pointer. One that was freed, or one of another kind, gives
 *   LLAMA2_E_BAD_HANDLE. It must not be dereferenced or computed with. Freeing NULL does nothing.
 * - Texts are UTF-8 with a length in bytes; no terminator is needed or written.
 * - Output of unknown size: (buffer, capacity, needed). *needed is always set to the full size;
 *   LLAMA2_E_BUFFER_TOO_SMALL when it exceeds the capacity, and then the buffer is untouched. A call
 *   with (NULL, 0, &needed) asks for the size.
 * - Structs that are passed in or filled begin with `struct_size`: set it to sizeof, or call the
 *   struct's _init. In options zero means the default, and NULL means all defaults. Fields are only
 *   ever appended; a smaller struct from an older program works, a larger one works if
 *   what this version does not know is zero. Otherwise LLAMA2_E_STRUCT_SIZE.
 *   In C and C++ each _init is a macro around llama2_struct_init, which is told the sizeof of the header that
 *   the program is compiled with. The function of the same name, which is what dlsym() and the foreign function
 *   interfaces of other languages find, cannot know that: it states the size of the struct's first version for
 *   ever, so that fields which came later are not read. These call llama2_struct_init with their own size.
 * - Threads: models may be used by any number of threads at once. Contexts, samplers and decoders
 *   belong to one thread at a time; a second one inside the same handle gets LLAMA2_E_BUSY, and so
 *   does a callback that calls back in. Nobody ever waits for another thread.
 *   Functions on different handles never disturb each other.
 * - Freeing a handle while another thread or a callback's caller is inside: the handle is bad at once, the call goes on
 *   and ends as it would have, and what belongs to the handle goes when it returns. (Pointers that the library gave out,
 *   logits for instance, end then too.)
 * - Callbacks run on the thread that called, and must return: no longjmp, no exception across the library.
 * - The library does not print, exit, read the environment, install signal handlers or change
 *   process-wide state; nor does the Swift runtime inside it, which would look for SWIFT_* variables and finds none. It starts threads only in llama2_context_create, joined in
 *   llama2_context_free, and for the time of llama2_quantize and llama2_convert. These have stacks of their own size
 *   (1 MiB) and block all signals but those of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS): the
 *   host's handlers run on the host's threads. The host's own threads need 64 KiB of stack.
 * - Threads that wait for each other sleep after some microseconds, so that a caller of any priority makes progress on any
 *   number of CPUs. More than two threads for each CPU of the process would only wake each other up: then as many
 *   as there are CPUs take part in an eval, and the others sleep.
 * - Signals disturb no call; a system call that one interrupts is repeated.
 * - The floating-point mode of the calling thread (MXCSR, the x87 control word; FPCR on ARM) changes no bit of any result
 *   and is as before when a call returns, its flags included; callbacks run in it.
 * - fork(): the child may use everything but contexts from before, whose threads it does not have: these give
 *   LLAMA2_E_FORKED and can be freed. Models, samplers and decoders work,
 *   new contexts too; a sampler or decoder that another thread was inside of stays LLAMA2_E_BUSY. The library
 *   holds no lock, so that this is so at whatever moment the fork comes, once a first call of
 *   the same kind has returned (until then the language's runtime sets itself up under locks). A child of a callback's
 *   gets LLAMA2_E_FORKED from the call when it returns from the callback; llama2_quantize's file is the parent's.
 * - exit() at any time, with anything unfreed and evals under way, is clean. The library stays loaded after dlclose().
 * - Logits depend on the weights and on the tokens of the sequence, and on nothing else: they are
 *   the same bits for every number of threads, split of the prompt, neighbour in the batch and x86
 *   kernel.
 * - A model file must not change while it is in use: see LLAMA2_MODEL_COPY.
 * - Memory that the system refuses gives LLAMA2_E_NO_MEMORY, or the call succeeds all the same; afterwards the same
 *   call can be made again. What is as large as a file or an argument says is allocated checked. The small values of the
 *   Swift runtime, which cannot be checked, then come from address space that the call has mapped before in
 *   proportion to its file (a cover, untouched unless needed), or from 256 KiB of the library's own. What remains: the
 *   runtime ends the process when one moment without memory takes more than those 256 KiB in small values.
 *   Evaluating, sampling and decoding text allocate nothing once the context, the sampler (after its first token)
 *   and the decoder are there; the first two evals with more rows of logits than ever before take memory, checked.
 * - A signal that interrupts a system call, and reads and writes that do a part, are not seen by the caller.
 */
#ifndef LLAMA2SWIFT_H
#define LLAMA2SWIFT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Version and status ------------------------------------------------------------------- */

/* Of this header: major, minor, patch. Additions raise the minor number. */
#define LLAMA2_VERSION_MAJOR 0
#define LLAMA2_VERSION_MINOR 3
#define LLAMA2_VERSION_PATCH 0

#define LLAMA2_OK 0
/* The call was wrong. Nothing has changed. */
#define LLAMA2_E_NULL_ARGUMENT (-1)    /* a pointer that is required is NULL */
#define LLAMA2_E_INVALID_ARGUMENT (-2) /* a value that this parameter cannot have */
#define LLAMA2_E_BAD_HANDLE (-3)       /* freed, of another kind, or never a handle */
#define LLAMA2_E_STRUCT_SIZE (-4)      /* struct_size is 0, too small, or larger with content */
#define LLAMA2_E_OUT_OF_RANGE (-5)     /* an index, position or sequence beyond the limit */
#define LLAMA2_E_BUFFER_TOO_SMALL (-6) /* *needed says how much */
#define LLAMA2_E_INVALID_TOKEN (-7)    /* not in the vocabulary */
#define LLAMA2_E_NOT_FOUND (-8)        /* no entry of this name */
#define LLAMA2_E_FORBIDDEN (-9)        /* a token that the grammar does not allow here */
/* The system refused. Nothing has changed. */
#define LLAMA2_E_NO_MEMORY (-20)
#define LLAMA2_E_IO (-21)
#define LLAMA2_E_THREAD (-22)
/* The file. Nothing was created. */
#define LLAMA2_E_FORMAT (-40)           /* no format that is known */
#define LLAMA2_E_CORRUPT (-41)          /* truncated, or contradicts itself */
#define LLAMA2_E_UNSUPPORTED (-42)      /* well formed, but not for this version */
#define LLAMA2_E_UNKNOWN_TEMPLATE (-43) /* there is no chat template, or it cannot be followed */
/* The context. Its cache and logits are as before the call. */
#define LLAMA2_E_CONTEXT_FULL (-60)
#define LLAMA2_E_CANCELLED (-61)
#define LLAMA2_E_BUSY (-62)      /* in use by another thread, or by the caller of this callback */
#define LLAMA2_E_NO_LOGITS (-63) /* nothing evaluated yet, or no such row */
#define LLAMA2_E_FORKED (-64)    /* made before a fork, and this is the child */

/* The library's version, "major.minor.patch". Never fails. Threads: any. Since 0.1. */
const char *llama2_version(void);

/* A short name for a status, e.g. "context full"; "unknown status" for any other number.
   Never fails. Threads: any. Since 0.1. */
const char *llama2_status_string(int32_t status);

/* The sentence of the last failed call on this thread, "" if none failed or the system refuses the memory for it.
   Terminated; valid until the next failing call on this thread. Never fails. Threads: any. Since 0.1. */
const char *llama2_last_error(void);

/* The errno of the system call that made the last failed call on this thread fail, ENOENT for instance, for hosts whose
   language has an exception for each; 0 if it was none. Never fails. Threads: any. Since 0.3. */
int32_t llama2_last_system_error(void);

/* Structs by number, for bindings that declare them anew. */
#define LLAMA2_STRUCT_MODEL_OPTIONS 1
#define LLAMA2_STRUCT_CONTEXT_OPTIONS 2
#define LLAMA2_STRUCT_SAMPLER_OPTIONS 3
#define LLAMA2_STRUCT_GENERATE_OPTIONS 4
#define LLAMA2_STRUCT_HYPERPARAMETERS 5
#define LLAMA2_STRUCT_SPECIAL_TOKENS 6
#define LLAMA2_STRUCT_CONTEXT_INFO 7
#define LLAMA2_STRUCT_TIMINGS 8
#define LLAMA2_STRUCT_MEMORY 9
#define LLAMA2_STRUCT_GENERATE_RESULT 10
#define LLAMA2_STRUCT_MESSAGE 11
#define LLAMA2_STRUCT_BATCH_ENTRY 12
#define LLAMA2_STRUCT_TEXT 13
#define LLAMA2_STRUCT_LOGIT_BIAS 14
#define LLAMA2_STRUCT_TYPE_OVERRIDE 15
#define LLAMA2_STRUCT_QUANTIZE_OPTIONS 16
#define LLAMA2_STRUCT_PERPLEXITY_RESULT 17
#define LLAMA2_STRUCT_IO 18
#define LLAMA2_STRUCT_TENSOR_INFO 19
#define LLAMA2_STRUCT_GRAMMAR_OPTIONS 20
#define LLAMA2_STRUCT_CHAT_OPTIONS 21
#define LLAMA2_STRUCT_ADAPTER_INFO 22
#define LLAMA2_STRUCT_SCALED_ADAPTER 23
#define LLAMA2_STRUCT_SCHEDULER_OPTIONS 24
#define LLAMA2_STRUCT_REQUEST_OPTIONS 25
#define LLAMA2_STRUCT_EVENT 26
#define LLAMA2_STRUCT_SCHEDULER_STATS 27
#define LLAMA2_STRUCT_LAYER_OPTIONS 28
#define LLAMA2_STRUCT_LAYER_VIEW 29
#define LLAMA2_STRUCT_TEXT_BIAS 30
#define LLAMA2_STRUCT_CANDIDATE 31
#define LLAMA2_STRUCT_OWN_STEP 32
#define LLAMA2_STRUCT_TOKEN_REPORT 33
#define LLAMA2_STRUCT_SEARCH_OPTIONS 34
#define LLAMA2_STRUCT_FOUND 35

/* sizeof of a LLAMA2_STRUCT_ as the library was compiled.
   Returns OK, INVALID_ARGUMENT (no such number). Threads: any. Since 0.1. */
int32_t llama2_struct_size(uint32_t structure, size_t *size);

/* Writes `size` into the struct_size of the struct at `structure` and zeroes the other bytes up to `size`: a struct with all
   defaults, whatever the version of the header that declared it. `size` is sizeof where the struct was declared, 4 to 4096.
   Returns OK, INVALID_ARGUMENT (another size; nothing is written). Threads: any. Since 0.3. */
int32_t llama2_struct_init(void *structure, size_t size);

/* What the _init macros below are made of; not for programs. The compiler still checks the type, and NULL does nothing. */
#ifdef __cplusplus
#define LLAMA2_INIT_(type, options) ((void)llama2_struct_init(static_cast<type *>(options), sizeof(type)))
#else
#define LLAMA2_INIT_(type, options) ((void)llama2_struct_init(1 ? (options) : (type *)0, sizeof(type)))
#endif

/* The kernels that this machine can run. */
#define LLAMA2_KERNELS_BEST 0u
#define LLAMA2_KERNELS_REFERENCE 1u
#define LLAMA2_KERNELS_AVX2 2u   /* AVX2, FMA, F16C */
#define LLAMA2_KERNELS_AVX512 3u /* AVX-512 F BW VL DQ VNNI */
#define LLAMA2_KERNELS_NEON 4u   /* arm64. Since 0.3 */
#define LLAMA2_KERNELS_DOTPROD 5u /* arm64 with dot products of bytes (FEAT_DotProd). Since 0.3 */
#define LLAMA2_KERNELS_I8MM 6u    /* arm64 with products of matrices of bytes, too (FEAT_I8MM). Since 0.3 */
#define LLAMA2_KERNELS_AVX_VNNI 7u /* AVX2 with AVX-VNNI, products of bytes in 256 bits. Since 0.3 */
#define LLAMA2_KERNELS_AVX512_VBMI 8u /* AVX-512 as above, and VBMI. Since 0.3 */

/* *mask: bit k is set when LLAMA2_KERNELS_ value k can run here. Bit 1 always is.
   Returns OK. Threads: any. Since 0.1. */
int32_t llama2_kernels_available(uint32_t *mask);

/* ---- Model -------------------------------------------------------------------------------- */

typedef struct llama2_model llama2_model;
typedef struct llama2_context llama2_context;
typedef struct llama2_sampler llama2_sampler;
typedef struct llama2_decoder llama2_decoder;
typedef struct llama2_grammar llama2_grammar;
typedef struct llama2_grammar_state llama2_grammar_state;
typedef struct llama2_adapter llama2_adapter;
typedef struct llama2_scheduler llama2_scheduler;

/* Reads the file into memory of its own instead of mapping it. A mapped file that is truncated
   by someone else while in use raises SIGBUS in this process; a copy cannot. */
#define LLAMA2_MODEL_COPY 1u
/* The same copy, with or without LLAMA2_MODEL_COPY, for machines whose memory is several nodes (NUMA): its pages lie in turn on each node that this
   process may use, by its cpuset and by a policy that binds the calling thread (numactl --membind), and so does what of a file's weights has to be
   converted. Threads take pieces of weights as they come free, so that no node is nearer to a piece than another. A page is the system's: 4 KiB, or
   2 MiB where it gives large ones unasked; a node without free memory leaves its turn to others. With one node nothing changes but that policy. A
   system that refuses it (mbind(2), in a container without the capability SYS_NICE for instance) gives UNSUPPORTED. Since 0.3 */
#define LLAMA2_MODEL_INTERLEAVE 2u

typedef struct llama2_model_options {
    uint32_t struct_size;
    uint32_t flags; /* LLAMA2_MODEL_ */
    uint32_t context_length; /* positions the model was trained on, where that is known better than the file says it; 0: as
                                the file says. Since 0.3 */
    uint32_t first_layer; /* a piece of the model: from this layer on, counted from 0; see llama2_eval_layers. Since 0.3 */
    uint32_t layer_count; /* so many; 0: to the last. Since 0.3 */
    uint32_t reserved;    /* 0 */
} llama2_model_options;

/* Sets struct_size and all defaults. NULL: does nothing. Threads: any. Since 0.1. */
void llama2_model_options_init(llama2_model_options *options);
#define llama2_model_options_init(options) LLAMA2_INIT_(llama2_model_options, options)

/* Loads a model, its format told by the content:
   - GGUF, versions 1 to 3 (of several files, the path of the first);
   - a folder of Hugging Face's (config.json of a LlamaForCausalLM, tokenizer files, and the first of model.safetensors,
     model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json), or a file of its weights;
   - a folder of Meta's (params.json, consolidated.00.pth ..., tokenizer.model in it or above). Its params.json do not say
     on how many positions the model was trained: where what they say is that of no published model but of
     several, the least of these counts, llama2_model_description says so, and options->context_length decides;
   - a checkpoint of llama2.c, versions 0 to 2 (version 2 is expanded to F32), its tokenizer file beside it.
   What a file says is followed or refused by name (UNSUPPORTED): every tensor, every key under `llama.`, of config.json and
   of params.json. A GGUF file with a vocabulary and no weights loads for tokenizing alone: what needs weights gives UNSUPPORTED.
   Only regular files and folders are read. path: terminated, as open(2) takes it. *model: receives a handle, to be freed by the caller;
   NULL on failure.
   With first_layer and layer_count the tensors of these layers are used and counted, those of others never read; the embedding
   belongs to the first layer, norm and output matrix to the last.
   Returns OK, INVALID_ARGUMENT (unknown flag, context_length beyond 2^30; LLAMA2_MODEL_COPY or LLAMA2_MODEL_INTERLEAVE of a piece), OUT_OF_RANGE (layers that the model does not have), STRUCT_SIZE, IO, NO_MEMORY, FORMAT, CORRUPT,
   UNSUPPORTED. Time: the directory and the vocabulary are read, the weights are not touched unless they are copied.
   Threads: any. Since 0.1. */
int32_t llama2_model_load(const char *path, const llama2_model_options *options, llama2_model **model,
                          char *error, size_t error_capacity);

/* The same for one file, GGUF or of llama2.c, that needs nothing beside it.
   data (size bytes) must stay as it is until the model and all that was made from it are freed, unless
   LLAMA2_MODEL_COPY or LLAMA2_MODEL_INTERLEAVE says to copy it; weights are read where they lie, best on a page boundary. Returns as
   llama2_model_load, without IO. Threads: any. Since 0.2. */
int32_t llama2_model_load_memory(const void *data, size_t size, const llama2_model_options *options,
                                 llama2_model **model, char *error, size_t error_capacity);

/* The same from a descriptor that is open for reading, from its beginning; it stays the caller's and may be closed
   afterwards. Returns as llama2_model_load. Threads: any. Since 0.2. */
int32_t llama2_model_load_fd(int32_t descriptor, const llama2_model_options *options, llama2_model **model, char *error,
                             size_t error_capacity);

/* Fills buffer with `length` bytes from `offset` on. Returns 0, or anything else for a failure. */
typedef int32_t (*llama2_read_callback)(uint64_t offset, void *buffer, size_t length, void *user_data);

/* A file that the host keeps elsewhere. */
typedef struct llama2_io {
    uint32_t struct_size;
    uint32_t reserved; /* 0 */
    uint64_t size;     /* bytes */
    llama2_read_callback read;
    void *user_data;
} llama2_io;

/* The same from what `io` reads, once, into memory of the library's. Returns as llama2_model_load; IO when
   read fails. `io` is used during the call only. Threads: any. Since 0.2. */
int32_t llama2_model_load_io(const llama2_io *io, const llama2_model_options *options, llama2_model **model, char *error,
                             size_t error_capacity);

/* Frees the handle. Contexts, samplers and decoders made from the model keep what they need.
   NULL or a bad handle: does nothing. Threads: any. Since 0.1. */
void llama2_model_free(llama2_model *model);

/* Touvron et al., LLaMA (2023) and Llama 2 (2023); in GGUF's words. */
typedef struct llama2_hyperparameters {
    uint32_t struct_size;
    uint32_t vocabulary_size;
    uint32_t embedding_length;
    uint32_t block_count; /* layers */
    uint32_t feed_forward_length;
    uint32_t head_count;
    uint32_t head_count_kv; /* fewer than head_count: grouped-query attention */
    uint32_t head_dimension;
    uint32_t rope_dimension; /* leading components of a head that are rotated */
    uint32_t context_length; /* positions the model was trained on */
    float rms_epsilon;
    float rope_scale; /* positions are divided by it */
    double rope_base;
    uint64_t parameter_count; /* weights, a tied output matrix once */
    uint64_t file_bytes;      /* of all its files; of a piece, of its tensors */
    /* Since 0.3: block_count is that of the piece that was loaded, */
    uint32_t first_layer; /* which begins here, */
    uint32_t all_layers;  /* of so many */
} llama2_hyperparameters;

/* Fills *values as far as its struct_size reaches; of a file without weights vocabulary_size and file_bytes, the rest is
   0. Returns OK, STRUCT_SIZE. Threads: any. Since 0.1. */
int32_t llama2_model_hyperparameters(const llama2_model *model, llama2_hyperparameters *values);

/* A line for people, e.g. "llama 134.5M, Q4_1, 30 layers, GGUF v3".
   Returns OK, BUFFER_TOO_SMALL. Threads: any. Since 0.1. */
int32_t llama2_model_description(const llama2_model *model, char *text, size_t capacity, size_t *needed);

/* Number of metadata entries of the file. Returns OK. Threads: any. Since 0.1. */
int32_t llama2_model_metadata_count(const llama2_model *model, size_t *count);

/* The key of entry `index`, in the file's order.
   Returns OK, OUT_OF_RANGE, BUFFER_TOO_SMALL. Threads: any. Since 0.1. */
int32_t llama2_model_metadata_key(const llama2_model *model, size_t index, char *text, size_t capacity,
                                  size_t *needed);

/* The value of `key` (key_length bytes) as text; strings in full, arrays by length and first elements.
   Returns OK, NOT_FOUND, BUFFER_TOO_SMALL. Threads: any. Since 0.1. */
int32_t llama2_model_metadata(const llama2_model *model, const char *key, size_t key_length, char *text,
                              size_t capacity, size_t *needed);

/* ---- Tokenizer ---------------------------------------------------------------------------- */

#define LLAMA2_TOKENIZE_BOS 1u     /* begin with BOS, if the vocabulary has one */
#define LLAMA2_TOKENIZE_SPECIAL 2u /* names of control tokens in the text become these tokens: for
                                      trusted text only */
#define LLAMA2_TOKENIZE_DEFAULT_BOS 4u /* begin with BOS if the model expects it */
#define LLAMA2_TOKENIZE_EOS 8u     /* end with EOS, if the vocabulary has one */
#define LLAMA2_TOKENIZE_DEFAULT_EOS 16u /* end with EOS if the file says so (add_eos_token): for a whole text, not
                                      for one that goes on. Both since 0.3 */

/* The tokens of `text` (text_length bytes of any content). Bytes that are not UTF-8 are kept, each for itself; a
   byte for which a byte-level vocabulary has no token at all is left out.
   *count is always set to the full number.
   Returns OK, INVALID_ARGUMENT (unknown flag, more than 512 MiB), BUFFER_TOO_SMALL,
   UNSUPPORTED (the file has no vocabulary). Time: O(n log n). Threads: any. Since 0.1. */
int32_t llama2_tokenize(const llama2_model *model, const char *text, size_t text_length, uint32_t flags,
                        int32_t *tokens, size_t capacity, size_t *count);

#define LLAMA2_DETOKENIZE_SPECIAL 1u /* control tokens by their names; otherwise they give nothing */

/* The bytes of `tokens` (count); detokenize(tokenize(x)) is x, except that SentencePiece's vocabulary cannot tell
   U+2581 from a space. *length is always set to the full size.
   Returns OK, INVALID_ARGUMENT, INVALID_TOKEN, BUFFER_TOO_SMALL, UNSUPPORTED. Threads: any. Since 0.1. */
int32_t llama2_detokenize(const llama2_model *model, const int32_t *tokens, size_t count, uint32_t flags,
                          char *text, size_t capacity, size_t *length);

/* The bytes of one token; may be part of a UTF-8 character. Flags as llama2_detokenize.
   Returns OK, INVALID_ARGUMENT, INVALID_TOKEN, BUFFER_TOO_SMALL, UNSUPPORTED. Threads: any. Since 0.1. */
int32_t llama2_token_piece(const llama2_model *model, int32_t token, uint32_t flags, char *text,
                           size_t capacity, size_t *needed);

/* *is_end: 1 if generation ends with this token (EOS, end of turn), else 0.
   Returns OK, INVALID_TOKEN, UNSUPPORTED. Threads: any. Since 0.1. */
int32_t llama2_token_is_end(const llama2_model *model, int32_t token, int32_t *is_end);

/* Ids, -1 for those that the vocabulary does not have. */
typedef struct llama2_special_tokens {
    uint32_t struct_size;
    int32_t bos;
    int32_t eos;
    int32_t eot; /* end of turn */
    int32_t unknown;
    int32_t adds_bos; /* 1: the model expects BOS before a text */
    int32_t adds_eos; /* 1: the file says that EOS ends a text (add_eos_token). Since 0.3 */
} llama2_special_tokens;

/* Returns OK, STRUCT_SIZE, UNSUPPORTED. Threads: any. Since 0.1. */
int32_t llama2_model_special_tokens(const llama2_model *model, llama2_special_tokens *tokens);

typedef struct llama2_message {
    const char *role; /* "system", "user" or "assistant" */
    size_t role_length;
    const char *content;
    size_t content_length;
} llama2_message;

#define LLAMA2_CHAT_NO_PROMPT 1u /* do not open the assistant's next turn */
#define LLAMA2_CHAT_CONTINUE 2u  /* leave the last message open: the answer goes on with it; includes the flag above */

/* A conversation as the model's chat template writes it. Templates are Jinja, rendered by the library as Hugging Face's
   transformers does (jinja2 3.1 in its immutable sandbox, loop controls, generation, strftime_now, raise_exception, tojson); what
   of the language is not here (inheritance, inclusion, autoescape, integers beyond 64 bits, filters about HTML and chance) is
   refused by name and line. A rendering is bounded: 10 million steps and 200 for each byte of what goes in, 20 MiB and 12 bytes
   for each.
   The text of messages, tools and variables is told apart from the template's own all the way: it never becomes a control
   token, nor part of one. The roles system, developer, user, assistant, tool, function, ipython, model, observation,
   human and gpt count as the template's. BOS stands at the beginning if the vocabulary wants it, once.
   messages: (count). tokens, capacity, needed: as everywhere.
   Returns OK, INVALID_ARGUMENT (no messages, unknown flag; or the template itself refuses the conversation, in its words),
   UNKNOWN_TEMPLATE (there is none, or it cannot be followed: what and in which line), BUFFER_TOO_SMALL, UNSUPPORTED (no
   vocabulary), NO_MEMORY. Threads: any. Since 0.1; any template since 0.3. */
int32_t llama2_chat_encode(const llama2_model *model, const llama2_message *messages, size_t count,
                           uint32_t flags, int32_t *tokens, size_t capacity, size_t *needed);

/* All that a template can be given. Each text is JSON (RFC 8259, UTF-8, values nested up to 64) of (length) bytes, or NULL and 0. */
typedef struct llama2_chat_options {
    uint32_t struct_size;
    uint32_t flags;       /* LLAMA2_CHAT_ */
    const char *messages; /* an array of objects: role, content, and what the template knows more */
    size_t messages_length;
    const char *tools; /* an array of objects, as transformers passes them; none: null to the template */
    size_t tools_length;
    const char *documents; /* the same for documents */
    size_t documents_length;
    const char *variables; /* an object: more variables of the template, enable_thinking for instance */
    size_t variables_length;
    const char *template_text; /* Jinja, the name of one of the model's templates ("default", "tool_use", "rag", ...), or a format's name;
                                  NULL: the model's usual one, with tools its "tool_use" if there is one */
    size_t template_length;
    int64_t time; /* for strftime_now: seconds since 1970 of the local clock; 0: the system's clock, UTC */
} llama2_chat_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.3. */
void llama2_chat_options_init(llama2_chat_options *options);
#define llama2_chat_options_init(options) LLAMA2_INIT_(llama2_chat_options, options)

/* llama2_chat_encode with all that a template can be given. `content` may be whatever the template takes. A list of parts of type
   text goes to a template that reads their texts as it is, to any other as their texts put together; a text goes to a template
   that finds texts in parts alone as one part.
   Returns as llama2_chat_encode; INVALID_ARGUMENT for what is not JSON of that kind, too; STRUCT_SIZE. Threads: any. Since 0.3. */
int32_t llama2_chat_encode_json(const llama2_model *model, const llama2_chat_options *options, int32_t *tokens,
                                size_t capacity, size_t *needed);

/* The text that the template writes, in which control tokens and messages are no longer told apart.
   Returns as llama2_chat_encode_json. Threads: any. Since 0.3. */
int32_t llama2_chat_render(const llama2_model *model, const llama2_chat_options *options, char *text, size_t capacity,
                           size_t *needed);

/* The name of the format that the template writes: "llama2", "chatml", "llama3", "zephyr", "mistral-v1", "mistral-v3",
   "mistral-v3-tekken", "vicuna", "alpaca"; "" for any other. It is found by what the template writes of some
   conversations, never by marks in it, and decides nothing. A SentencePiece vocabulary without a template is taken for
   Llama 2's, whose older files have none; a byte-level one without gives "".
   Returns OK, BUFFER_TOO_SMALL, UNSUPPORTED. Threads: any. Since 0.1. */
int32_t llama2_chat_format(const llama2_model *model, char *text, size_t capacity, size_t *needed);

#define LLAMA2_DECODER_SPECIAL 1u    /* control tokens by their names */
#define LLAMA2_DECODER_TEXT_START 2u /* the tokens begin a text: drop the space that tokenize added */

/* A streaming decoder: tokens in, whole UTF-8 characters out.
   Returns OK, INVALID_ARGUMENT, UNSUPPORTED, NO_MEMORY. *decoder is NULL on failure. Since 0.1. */
int32_t llama2_decoder_create(const llama2_model *model, uint32_t flags, llama2_decoder **decoder,
                              char *error, size_t error_capacity);

/* The characters that `token` completes, possibly none. Valid UTF-8 whatever the tokens: bytes that
   can become no character give U+FFFD.
   Returns OK, INVALID_TOKEN, BUFFER_TOO_SMALL; after a failure the decoder is as before. Since 0.1. */
int32_t llama2_decoder_append(llama2_decoder *decoder, int32_t token, char *text, size_t capacity,
                              size_t *length);

/* What is held back: U+FFFD if a character was left unfinished. The decoder is then at a beginning.
   Returns OK, BUFFER_TOO_SMALL. Since 0.1. */
int32_t llama2_decoder_finish(llama2_decoder *decoder, char *text, size_t capacity, size_t *length);

/* What a decoder is in the midst of, to go on in another process: the format is in STATE.md, byte by byte. data (capacity): receives it;
   *needed: its bytes. Returns OK, BUFFER_TOO_SMALL, NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_decoder_save(const llama2_decoder *decoder, void *data, size_t capacity, size_t *needed);

/* The decoder goes on where llama2_decoder_save was called, with the same characters for the same tokens. It needs the same vocabulary and
   LLAMA2_DECODER_SPECIAL alike. data (size bytes) is read during the call only.
   Returns OK, INVALID_ARGUMENT (of another vocabulary or flag), FORMAT (no saved decoder), CORRUPT, UNSUPPORTED (a newer version), NO_MEMORY, BUSY.
   After a failure nothing has changed. Since 0.3. */
int32_t llama2_decoder_load(llama2_decoder *decoder, const void *data, size_t size);

/* NULL or a bad handle: does nothing. Since 0.1. */
void llama2_decoder_free(llama2_decoder *decoder);

/* ---- Context ------------------------------------------------------------------------------ */

#define LLAMA2_CONTEXT_KV_F32 1u        /* KV cache in F32; default F16, half the memory, at a price: keys and values are
                                           rounded to 11 bits. On the test model of 260,000 weights the logits differ by up to
                                           0.05, and the greedy text of 4 of 40 prompts becomes another one; larger models
                                           are less sensitive. A number beyond 65504 is refused by the eval. */
#define LLAMA2_CONTEXT_DETERMINISTIC 2u /* forbids every path whose bits could depend on the batch;
                                           this version has none */
#define LLAMA2_CONTEXT_EMBEDDINGS 4u    /* made for llama2_embeddings alone: takes no memory for logits and computes none;
                                           what needs them is UNSUPPORTED. Since 0.3 */
#define LLAMA2_CONTEXT_PIN_THREADS 8u   /* each thread that the context starts stays on one CPU: the first on the second of those that the
                                           caller may run on, and so on around; the caller's own is the host's. They are counted by
                                           number, on a machine of several memory nodes one of each node in turn. For machines
                                           that run nothing else. Since 0.3 */

/* Types of keys and values in the cache. Q8_0 and Q4_0: blocks of 32 components with a scale in F16, 8.5 and 4.5 bits a number (heads of other
   lengths than multiples of 64 are filled up). What is quantized is turned by a Walsh-Hadamard transform first, a head at a time (the largest power of
   two that divides its length), so that no component stands out (Ashkboos et al., QuaRot, 2024). Logits are the same bits for
   all threads, batches and kernels in each type, and others in each. A number that a scale in F16 cannot reach is
   refused by the eval as in F16; an infinity makes NaN of its block. */
#define LLAMA2_KV_F32 1u
#define LLAMA2_KV_F16 2u
#define LLAMA2_KV_Q8_0 3u
#define LLAMA2_KV_Q4_0 4u

#define LLAMA2_ROPE_NONE 1u   /* no scaling, whatever the file says */
#define LLAMA2_ROPE_LINEAR 2u /* positions divided by rope_factor (Chen et al., 2023) */
#define LLAMA2_ROPE_NTK 3u    /* NTK-aware: the base times rope_factor^(d / (d - 2)), d the rotated components of a head */
#define LLAMA2_ROPE_YARN 4u   /* fast pairs as they are, slow ones divided by rope_factor, queries and keys times 1 + ln(rope_factor) / 10 (Peng et al.,
                                 YaRN, 2023) */
#define LLAMA2_ROPE_LLAMA3 5u /* as YaRN, but by how often pairs turn and with nothing multiplied (Llama 3.1's "rope_type": "llama3") */

typedef struct llama2_context_options {
    uint32_t struct_size;
    uint32_t flags;          /* LLAMA2_CONTEXT_ */
    uint32_t context_length; /* positions of all sequences together; 0: the model's, at most 4096 */
    uint32_t max_sequences;  /* 0: 1; at most 1024 */
    uint32_t batch_size;     /* tokens of one pass through the weights; 0: 256; at most 4096 */
    uint32_t threads;        /* 0: the CPUs that this process may run on, no more than those whose time its control groups give it
                                (cpu.max, cpu.cfs_quota_us, rounded down); at most 1024 */
    uint32_t kernels;        /* LLAMA2_KERNELS_ */
    uint32_t reserved;       /* 0 */
    const char *energy_path; /* folder of the kernel's power capping interface, "/sys/class/powercap" on Linux, for the energy in
                                llama2_timings: of all of intel-rapl:0, intel-rapl:1, ... that are a whole processor ("package-0").
                                Terminated. NULL: it is not measured. Since 0.3 */
    /* Since 0.3: RoPE in place of the file's. rope_freqs and the like in the file are followed all the same. A model whose
       scaling is "longrope" has none but its own; one with rope_freqs has no LLAMA3, which rope_freqs are. */
    uint32_t rope_scaling;        /* LLAMA2_ROPE_; 0: as the file says, and then of the following rope_base alone may be given */
    uint32_t rope_trained_length; /* with YARN, LLAMA3: positions before the scaling; 0: as the file says */
    float rope_factor;            /* with LINEAR, NTK, YARN, LLAMA3: 0.001 to 1,000,000 */
    float rope_base;              /* 1 to 1e12; 0: the file's */
    float rope_attention;         /* queries and keys are multiplied by it, with YARN beside its own factor; 0.001 to 1000; 0: 1 */
    float rope_beta_fast;         /* with YARN, LLAMA3 (its high_freq_factor): pairs that turn so often within the trained length stay as
                                     they are; 0: 32, of LLAMA3 4 */
    float rope_beta_slow;         /* with YARN, LLAMA3 (its low_freq_factor): pairs that turn no more often are divided by the factor; 0: 1 */
    uint32_t type_k; /* LLAMA2_KV_, of keys; 0: F16, or with LLAMA2_CONTEXT_KV_F32 F32 */
    uint32_t type_v; /* the same of values */
} llama2_context_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.1. */
void llama2_context_options_init(llama2_context_options *options);
#define llama2_context_options_init(options) LLAMA2_INIT_(llama2_context_options, options)

/* Bytes that a model and a context take. */
typedef struct llama2_memory {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t model_bytes;   /* mapped (or copied) file */
    uint64_t kv_bytes;      /* KV cache; touched as positions are used */
    uint64_t work_bytes;    /* activations of one pass */
    uint64_t logits_bytes;  /* for one row; evals that ask for more rows take more */
} llama2_memory;

/* What loading `path` and creating a context would take, before anything of it is allocated.
   Returns OK and everything that llama2_model_load and llama2_context_create can return for these
   arguments, except NO_MEMORY and THREAD. Threads: any. Since 0.1. */
int32_t llama2_preflight(const char *path, const llama2_model_options *model_options,
                         const llama2_context_options *context_options, llama2_memory *memory, char *error,
                         size_t error_capacity);

/* A KV cache, logits and threads on `model`, which it keeps alive.
   RoPE scaling of the file is followed: linear, NTK-aware, yarn, rope_freqs (llama3's), as llama.cpp reads it; of "longrope" the long factors
   where context_length is more than the positions before the scaling, else the short ones, as llama.cpp chooses them (transformers goes
   by the length of each text; the two agree where both are beyond it or both are not).
   *context: receives a handle, to be freed by the caller; NULL on failure.
   Returns OK, INVALID_ARGUMENT (a value beyond its limit, unknown flag), UNSUPPORTED (kernels that
   this machine does not have; more positions than a model whose RoPE scaling is "dynamic" was trained on, because there every further
   token would change the keys of all before it; RoPE scaling for a model whose own is "longrope", LLAMA2_ROPE_LLAMA3 for one with
   rope_freqs), IO (energy_path: there is no processor's counter, or one that this process may not read), STRUCT_SIZE, NO_MEMORY, THREAD. Threads: any. Since 0.1. */
int32_t llama2_context_create(llama2_model *model, const llama2_context_options *options,
                              llama2_context **context, char *error, size_t error_capacity);

/* Joins the threads and frees the handle. From inside a callback of this context it takes effect when
   the call returns. NULL or a bad handle: does nothing. Since 0.1. */
void llama2_context_free(llama2_context *context);

typedef struct llama2_context_info {
    uint32_t struct_size;
    uint32_t context_length;
    uint32_t max_sequences;
    uint32_t batch_size;
    uint32_t threads;
    uint32_t kernels; /* those in use, never LLAMA2_KERNELS_BEST */
    uint32_t flags;
    uint32_t reserved;
    uint64_t memory_bytes; /* allocated, logits included */
    /* Since 0.3: pages of 64 positions, of all layers. */
    uint64_t pages;        /* in all */
    uint64_t pages_used;   /* that a sequence has */
    uint64_t pages_shared; /* that several have */
    uint64_t pages_cached; /* that none has, kept for llama2_sequence_adopt until their room is needed */
    uint64_t positions;    /* in use, of context_length; shared ones count once */
    uint32_t type_k;       /* LLAMA2_KV_, never 0 */
    uint32_t type_v;
} llama2_context_info;

/* Fills *info. Returns OK, STRUCT_SIZE, BUSY. Since 0.1. */
int32_t llama2_context_get_info(const llama2_context *context, llama2_context_info *info);

/* The sentence of the context's last failure, "" if none; LLAMA2_E_BUSY is not recorded here. A sentence
   about the handle if that is bad. Valid until the next call on the context. Never fails. Since 0.1. */
const char *llama2_context_last_error(const llama2_context *context);

/* Empties all sequences and forgets the logits. Returns OK, BUSY. Since 0.1. */
int32_t llama2_context_reset(llama2_context *context);

/* Asked whether a call is to end, on the thread that made it: between layers of an eval, and again after some milliseconds of
   arithmetic within one; by llama2_quantize and llama2_convert after some milliseconds. Non-zero cancels. */
typedef int32_t (*llama2_cancel_callback)(void *user_data);

/* Such a callback, for hosts that do not want their own language entered in the midst of a call: user_data is an int32_t, which
   another thread or a signal handler may set; non-zero cancels. It is read only, and must be there as long as it is set.
   Returns 1 or 0; 0 for NULL. Never fails. Threads: any. Since 0.3. */
int32_t llama2_cancel_flag(void *user_data);

/* Sets the callback; NULL removes it. Returns OK, BUSY. Since 0.1. */
int32_t llama2_context_set_cancel(llama2_context *context, llama2_cancel_callback callback, void *user_data);

/* Appends `tokens` (count, at least 1) to sequence 0; logits of the last one. The sentence for CONTEXT_FULL says which
   sequences hold how much. Returns OK, INVALID_ARGUMENT (count 0), INVALID_TOKEN, CONTEXT_FULL, CANCELLED, NO_MEMORY,
   UNSUPPORTED (a key or value that the type of the cache has no number for: LLAMA2_CONTEXT_KV_F32 has one; a context for embeddings alone; a piece of a model), BUSY. NaN and infinity in weights
   stay what they are: logits that depend on them are NaN, all with the bits 0x7fc00000, or infinite.
   All or nothing: after a failure cache, positions and logits are as before. Since 0.1. */
int32_t llama2_eval(llama2_context *context, const int32_t *tokens, size_t count);

#define LLAMA2_BATCH_LOGITS 1u /* this entry's logits are wanted */

typedef struct llama2_batch_entry {
    int32_t token;
    int32_t sequence; /* 0 ... max_sequences - 1; the token goes to its end */
    uint32_t flags;   /* LLAMA2_BATCH_ */
} llama2_batch_entry;

/* Appends each entry's token to its sequence; entries of a sequence in their order. Rows of logits
   are those entries that asked, in their order; if none asked there are no logits afterwards.
   Returns as llama2_eval, and OUT_OF_RANGE (sequence), INVALID_ARGUMENT (unknown flag). All or
   nothing, as llama2_eval. Since 0.1. */
int32_t llama2_eval_batch(llama2_context *context, const llama2_batch_entry *entries, size_t count);

/* A piece of a model's layers, where the others are computed elsewhere: what goes from one to the next are rows of the residual stream, in F32.
   Each piece holds the keys and values of its own layers. Logits over any number of pieces are the same bits as one process's.
   entries: as llama2_eval_batch, the same for every piece; LLAMA2_BATCH_LOGITS for the last one only. hidden_in: (count, embedding length), what the
   layers before left of the same entries; NULL for a piece with layer 0. hidden_out: the same behind this piece; NULL only where it is the last. The two
   may be one. A whole model may be evaluated so, too; other evaluations of a piece are UNSUPPORTED. What is computed from hidden_in is never
   found by llama2_sequence_adopt.
   Returns as llama2_eval_batch, and INVALID_ARGUMENT (hidden states that are missing or not wanted, or hold NaN or infinity; logits of a
   piece that has none). All or nothing, but that hidden_out may be partly written. Since 0.3. */
int32_t llama2_eval_layers(llama2_context *context, const llama2_batch_entry *entries, size_t count, const float *hidden_in,
                           float *hidden_out);

/* Number of rows of logits. Returns OK, BUSY. Since 0.1. */
int32_t llama2_logits_rows(const llama2_context *context, size_t *rows);

/* *logits: row `row` of the last successful eval, (count) floats, count the vocabulary size; rows follow
   each other without gaps. The memory is the context's: valid until its next eval, generate, reset or
   free. Returns OK, NO_LOGITS, UNSUPPORTED (a context for embeddings alone has none), BUSY. Since 0.1. */
int32_t llama2_logits(const llama2_context *context, size_t row, const float **logits, size_t *count);

#define LLAMA2_POOLING_NONE 0u  /* each token has its own */
#define LLAMA2_POOLING_MEAN 1u  /* the mean of all tokens */
#define LLAMA2_POOLING_LAST 2u  /* the last token's */
#define LLAMA2_POOLING_FIRST 3u /* the first token's, which has seen nothing but itself */

#define LLAMA2_EMBEDDINGS_NORMALIZE 1u /* each to the length 1 (Euclid's); zeros stay zeros */

/* Embeddings of `count` texts (at least 1): what the logits would be computed from, the residual stream after its last norm, as the
   last hidden state of Hugging Face's transformers.
   tokens: the texts one behind the other, lengths (count) tokens of each, at least 1; texts are evaluated beside each other
   as far as max_sequences and context_length reach. pooling: LLAMA2_POOLING_; flags: LLAMA2_EMBEDDINGS_.
   embeddings: (rows, embedding length) floats, a row a text, or with POOLING_NONE a row a token; capacity and *needed in
   floats. The same bits for every number of threads, batch and x86 kernel.
   The context is emptied, before and after; when the call was wrong or does not fit it is as before. Returns OK, INVALID_ARGUMENT (no
   texts, one without tokens, unknown pooling or flag; sequences with different adapters: all have to have the same), INVALID_TOKEN, CONTEXT_FULL (a text longer than the context), BUFFER_TOO_SMALL, CANCELLED,
   NO_MEMORY, UNSUPPORTED (as llama2_eval), BUSY; after CANCELLED, NO_MEMORY and UNSUPPORTED the buffer may be partly
   written. Since 0.3. */
int32_t llama2_embeddings(llama2_context *context, const int32_t *tokens, const size_t *lengths, size_t count, uint32_t pooling,
                          uint32_t flags, float *embeddings, size_t capacity, size_t *needed);

/* Number of positions of a sequence. Returns OK, OUT_OF_RANGE, BUSY. Since 0.1. */
int32_t llama2_sequence_length(const llama2_context *context, int32_t sequence, size_t *length);

/* Removes the positions from `length` on; the sequence then has `length` positions. The logits are
   forgotten. What was removed is still found by llama2_sequence_adopt as long as nobody needs the room. Returns OK, OUT_OF_RANGE (no such sequence, or shorter than that), BUSY. Since 0.1. */
int32_t llama2_sequence_remove(llama2_context *context, int32_t sequence, size_t length);

/* The KV cache is made of pages of 64 positions, which sequences share. Where sequences with the same beginning meet in
   a page, it is stored once and counts once against context_length, also when both were evaluated. Who
   goes on in a page behind which another went on gets a copy of its part of it first. Nothing of this changes a bit of
   any logits. */

/* `target` becomes the first `length` positions of `source`; what it had before is removed. Nothing is copied: the two
   share their pages, and the last one, if `length` ends inside it, is copied when one of them goes on in it (that is when it
   takes room). The logits stay, unless `target` had positions: then they are forgotten.
   Returns OK, OUT_OF_RANGE (no such sequence, or `source` is shorter than that), INVALID_ARGUMENT (both are the same), BUSY.
   After a failure nothing has changed. Since 0.3. */
int32_t llama2_sequence_copy(llama2_context *context, int32_t source, int32_t target, size_t length);

/* Starts `sequence`, which is empty, with the longest beginning of `tokens` (count, at least 1) that is stored anywhere in
   the context: in other sequences, and in pages of sequences that were removed or emptied, which are kept for as long as
   nobody needs their room, those not used for longest going first. At least the last token is left to be evaluated.
   *found: the length of `sequence` now; evaluate tokens[*found] and those after it. Tokens are compared one by one: what
   is found is what an evaluation would have computed, bit for bit. The logits stay.
   Returns OK (also when *found is 0), OUT_OF_RANGE (no such sequence), INVALID_ARGUMENT (count 0; the sequence is not
   empty), INVALID_TOKEN, BUSY. After a failure nothing has changed. Since 0.3. */
int32_t llama2_sequence_adopt(llama2_context *context, int32_t sequence, const int32_t *tokens, size_t count,
                              size_t *found);

/* Drops the positions keep ... keep + drop - 1 of a sequence; those behind move up, so that there is room at its end, and
   their keys are turned back by `drop` positions (RoPE). Keep the first four: attention leans on them whatever they say
   (Xiao et al., Efficient Streaming Language Models with Attention Sinks, 2023).
   The logits afterwards are not those of a fresh context with the tokens that are left: their keys and values were computed
   with the dropped ones before them, and are rounded once more (in a cache of F16, one turned beyond 65504 becomes NaN). But they are the same bits for the same
   evals and shifts, whatever the threads, splits, neighbours and kernels. From `keep` on, what the sequence holds is not found by
   llama2_sequence_adopt any more. The logits are forgotten if drop > 0.
   Returns OK, OUT_OF_RANGE (no such sequence, or it is shorter than keep + drop), CONTEXT_FULL (what it shares with others
   has to become its own, and there is no room for that), BUSY. After a failure nothing has changed. Since 0.3. */
int32_t llama2_sequence_shift(llama2_context *context, int32_t sequence, size_t keep, size_t drop);

/* A LoRA adapter (Hu et al., LoRA, 2021): of some products W x of the model the addition s B (A x), computed beside them in F32. The
   model's own weights are not touched. Read are a GGUF file as llama.cpp's convert_lora_to_gguf.py writes it, and a folder of
   PEFT's (adapter_config.json with adapter_model.safetensors or .bin). Every key of the settings is followed (rank and alpha, also by
   patterns, rsLoRA, target modules and layers) or refused by name: DoRA, biases, modules that are saved as a whole, ...
   Adapters of attention, feed-forward and the output matrix are read; one of the embedding is refused. A control vector (Zou et al.,
   Representation Engineering, 2023) in llama.cpp's GGUF form (general.architecture "controlvector", direction.N) is an adapter, too: it adds
   s direction.N to the residual stream behind layer N, counted from 0.
   path: terminated. *adapter: receives a handle, to be freed by the caller; NULL on failure. It keeps the model, never changes, and serves
   any number of contexts and threads. Memory: 4 bytes for each of its weights, of the second matrices with the rank rounded up to 16.
   Returns OK, IO, NO_MEMORY, FORMAT (no adapter), CORRUPT (a shape or rank that is not the model's, NaN or infinity: with the tensor's
   name), UNSUPPORTED (a name that the model does not have; what cannot be followed; the model has no weights). Threads: any. Since 0.3. */
int32_t llama2_adapter_load(const llama2_model *model, const char *path, llama2_adapter **adapter, char *error,
                            size_t error_capacity);

/* Frees the handle; sequences that have the adapter keep what they need. NULL or a bad handle: does nothing. Threads: any. Since 0.3. */
void llama2_adapter_free(llama2_adapter *adapter);

typedef struct llama2_adapter_info {
    uint32_t struct_size;
    uint32_t products; /* of the model that it adds to; 0: a control vector */
    uint32_t rank;     /* the largest */
    uint32_t reserved;
    uint64_t bytes;       /* of memory */
    uint64_t fingerprint; /* a hash of what it computes: the same in every process */
} llama2_adapter_info;

/* Fills *info. Returns OK, STRUCT_SIZE. Threads: any. Since 0.3. */
int32_t llama2_adapter_get_info(const llama2_adapter *adapter, llama2_adapter_info *info);

/* An adapter, and what it counts: s is scale * alpha / rank, as a rule. */
typedef struct llama2_scaled_adapter {
    const llama2_adapter *adapter;
    float scale;
    uint32_t reserved; /* 0 */
} llama2_scaled_adapter;

/* `sequence` has these adapters (count, 0 to 64; 0: none) from now on, until others are set: evals, llama2_sequence_remove and
   llama2_context_reset do not change that, llama2_sequence_copy gives those of `source` to `target`. Sequences with different adapters
   are evaluated together. The logits depend on the adapters, their scales and order, beside weights and tokens, and on
   nothing else. Pages that were computed with other adapters are never shared or adopted. A state says which adapters its sequences have, and
   is loaded into sequences that have the same.
   Returns OK, OUT_OF_RANGE (no such sequence), INVALID_ARGUMENT (more than 64, one twice, one for another model, a scale that is not finite;
   the sequence has positions, and other adapters), BAD_HANDLE (also of an adapter), NO_MEMORY, BUSY. After a failure nothing has changed.
   Since 0.3. */
int32_t llama2_sequence_set_adapters(llama2_context *context, int32_t sequence, const llama2_scaled_adapter *adapters, size_t count);

/* The residual stream behind a layer, at consecutive positions of a sequence that an eval is computing. */
typedef struct llama2_layer_view {
    uint32_t struct_size;
    uint32_t layer; /* counted from 0 */
    int32_t sequence;
    uint32_t width;    /* the embedding length */
    uint64_t position; /* of the first row */
    uint64_t count;    /* rows */
    float *hidden;     /* (count, width): the eval's own memory, during the call only */
} llama2_layer_view;

/* Shown such rows, on the thread that made the call, while the eval waits. Non-zero: the eval ends with CANCELLED. Calls on the same
   context from inside give LLAMA2_E_BUSY. */
typedef int32_t (*llama2_layer_callback)(const llama2_layer_view *view, void *user_data);

#define LLAMA2_LAYERS_CHANGE 1u   /* the callback may write to the rows; else it must not */
#define LLAMA2_LAYERS_SEQUENCE 2u /* of `sequence` only; else of all */

typedef struct llama2_layer_options {
    uint32_t struct_size;
    uint32_t flags; /* LLAMA2_LAYERS_ */
    uint32_t first_layer;
    uint32_t layer_count; /* 0: to the last */
    int32_t sequence;
    uint32_t reserved; /* 0 */
    uint64_t first_position;
    uint64_t position_count; /* 0: all from the first on */
} llama2_layer_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.3. */
void llama2_layer_options_init(llama2_layer_options *options);
#define llama2_layer_options_init(options) LLAMA2_INIT_(llama2_layer_options, options)

/* `callback` is shown the residual stream behind layers in every eval from now on, as `options` say (NULL: all of it), in the order of
   layers, and of tokens within each; NULL: nobody is. What the last layer leaves is before the final norm. With
   LLAMA2_LAYERS_CHANGE what it writes is what the eval goes on with; whatever is computed at those positions and behind them in their sequence is then
   never found by llama2_sequence_adopt, nor shared with what was computed without. Without a callback nothing is asked at any token.
   Returns OK, OUT_OF_RANGE (layers that the model does not have; no such sequence), INVALID_ARGUMENT (unknown flag), STRUCT_SIZE, BUSY.
   After a failure nothing has changed. Since 0.3. */
int32_t llama2_context_set_layer_callback(llama2_context *context, llama2_layer_callback callback, void *user_data,
                                          const llama2_layer_options *options);

/* The state of a context or of one of its sequences: tokens, keys and values, for the whole context the logits too. The format
   is in STATE.md, byte by byte. It is the same on every machine; after a load the next logits are the same bits, with
   any number of threads, batch size and kernels. It needs the same model file (compared by shape and by a
   hash over samples of all its weights), the same type of keys and values, and the same adapters in each sequence, set before.
   A load checks everything against checksums before anything changes, and keeps pages that are in the cache already
   once. Whoever can change a state and its checksums can make a model say anything: it is as trusted as the model.
   sequence: a sequence, or LLAMA2_ALL_SEQUENCES. Loading one sequence needs an empty one, of any number; loading a
   whole context replaces all its sequences and its logits. */
#define LLAMA2_ALL_SEQUENCES (-1)

/* Bytes of a state. Returns OK, OUT_OF_RANGE (no such sequence), NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_state_size(const llama2_context *context, int32_t sequence, uint64_t *size);

/* Writes a state to the file `path` (terminated), which is then complete or as it was: see llama2_quantize.
   Returns OK, OUT_OF_RANGE, IO, NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_state_save(llama2_context *context, int32_t sequence, const char *path);

/* The same to memory. Returns OK, OUT_OF_RANGE, BUFFER_TOO_SMALL, NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_state_save_memory(llama2_context *context, int32_t sequence, void *data, size_t capacity, size_t *needed);

/* Takes the next `length` bytes of a state. Returns 0, or anything else for a failure. */
typedef int32_t (*llama2_write_callback)(const void *data, size_t length, void *user_data);

/* The same piece by piece to the host. Returns OK, OUT_OF_RANGE, IO (the callback's failure), NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_state_save_io(llama2_context *context, int32_t sequence, llama2_write_callback write, void *user_data);

/* Takes a state over from the file `path`.
   Returns OK, OUT_OF_RANGE (no such sequence; the state has more), INVALID_ARGUMENT (of another model, other adapters or another type of keys
   and values; of one sequence where a whole context was asked for, or the other way; the sequence is not empty), FORMAT (no
   state), CORRUPT (what and where is in the sentence), UNSUPPORTED (a newer version), CONTEXT_FULL, IO, NO_MEMORY, BUSY.
   After a failure nothing has changed. Since 0.3. */
int32_t llama2_state_load(llama2_context *context, int32_t sequence, const char *path);

/* The same from memory (size bytes), which is read during the call only. Returns as llama2_state_load, without IO. Since 0.3. */
int32_t llama2_state_load_memory(llama2_context *context, int32_t sequence, const void *data, size_t size);

/* The same from what `io` reads, once. Returns as llama2_state_load. Since 0.3. */
int32_t llama2_state_load_io(llama2_context *context, int32_t sequence, const llama2_io *io);

typedef struct llama2_timings {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t prefill_tokens; /* in evals of more than one token */
    uint64_t prefill_nanoseconds;
    uint64_t decode_tokens; /* in evals of one token, and chosen by llama2_generate */
    uint64_t decode_nanoseconds;
    /* Since 0.3 */
    uint64_t prefill_cpu_nanoseconds; /* CPU time of the caller and of the context's threads in those evals */
    uint64_t decode_cpu_nanoseconds;
    uint64_t prefill_microjoules; /* what the measured processors took during those evals, for whomever they worked */
    uint64_t decode_microjoules;
    uint32_t energy_zones; /* processors that are measured; 0: none (no energy_path, or a counter that failed later), and then the
                              energies are less than what was taken */
    uint32_t reserved_2;   /* 0 */
} llama2_timings;

/* Since creation or the last reset of the context. Returns OK, STRUCT_SIZE, BUSY. Since 0.1. */
int32_t llama2_context_timings(const llama2_context *context, llama2_timings *timings);

/* ---- Sampler ------------------------------------------------------------------------------ */

typedef struct llama2_text {
    const char *data;
    size_t length;
} llama2_text;

typedef struct llama2_logit_bias {
    int32_t token;
    float bias; /* added to the logit; -infinity forbids the token */
} llama2_logit_bias;

typedef struct llama2_text_bias {
    const char *text; /* (length); each token that it is made of, without BOS, gets the bias */
    size_t length;    /* 1 to 4096 */
    float bias;       /* as above */
    uint32_t reserved; /* 0 */
} llama2_text_bias;

/* A token that may come. */
typedef struct llama2_candidate {
    int32_t token;
    float logit;
} llama2_candidate;

/* A step of the host's. candidates: (*count) that the steps before it have left, with their logits: by falling logit where one of these
   was a filter, else in the order of tokens. It may change logits (-infinity takes a candidate out), their order and *count: the
   first *count are left, and no token may come twice. The memory is the library's and valid during the call. Non-zero: the sample
   fails with LLAMA2_E_CANCELLED and the sampler is as before; so it is when what was left is refused (a token that is not in the vocabulary
   or comes twice, a logit that is NaN or +infinity, *count larger than it was). Calls on the sampler from inside give LLAMA2_E_BUSY. */
typedef int32_t (*llama2_step_callback)(llama2_candidate *candidates, size_t *count, void *user_data);

typedef struct llama2_own_step {
    llama2_step_callback callback;
    void *user_data;
} llama2_own_step;

/* Steps by number, for llama2_sampler_options.steps. */
#define LLAMA2_STEP_BIAS 1u
#define LLAMA2_STEP_PENALTIES 2u
#define LLAMA2_STEP_DRY 3u
#define LLAMA2_STEP_TOP_N_SIGMA 4u
#define LLAMA2_STEP_TOP_K 5u
#define LLAMA2_STEP_TYPICAL 6u
#define LLAMA2_STEP_TOP_P 7u
#define LLAMA2_STEP_MIN_P 8u
#define LLAMA2_STEP_TOP_A 9u
#define LLAMA2_STEP_EPSILON 10u
#define LLAMA2_STEP_ETA 11u
#define LLAMA2_STEP_XTC 12u
#define LLAMA2_STEP_TEMPERATURE 13u
#define LLAMA2_STEP_SMOOTHING 14u
#define LLAMA2_STEP_OWN 65536u /* own step i is LLAMA2_STEP_OWN + i */

#define LLAMA2_SAMPLER_GREEDY 1u /* the best token always (temperature zero); penalties and bias count */
#define LLAMA2_SAMPLER_NO_DRY_BREAKERS 2u /* DRY without any sequence breaker. Since 0.3 */

/* How a token is chosen. First what must not come is forbidden (by a grammar, banned texts and n-grams, ends before min_tokens), then the steps follow
   each other, then one of the candidates that they left is drawn. The usual order is llama.cpp's, with what it does not have between:
   bias, penalties, DRY, top-n-sigma, top-k, typical, top-p, top-a, min-p, epsilon, eta, XTC, temperature, smoothing. `steps` gives
   another one: what is not in it is not done, a step may stand in it twice, and options that ask for a step which is
   not in it are refused. Every filter sees the probabilities of what the steps before it have left, and keeps at least
   one candidate. Zero is the default; the value that switches a step off is given beside it. */
typedef struct llama2_sampler_options {
    uint32_t struct_size;
    uint32_t flags;            /* LLAMA2_SAMPLER_ */
    uint64_t seed;             /* any number, 0 too */
    float temperature;         /* 0: 0.8; for "zero" set LLAMA2_SAMPLER_GREEDY */
    float top_p;               /* 0: 0.95; off: 1 */
    float min_p;               /* 0: 0.05; off: negative */
    float repetition_penalty;  /* 0: 1, which is off (Keskar et al., CTRL, 2019) */
    float frequency_penalty;   /* off: 0; per occurrence */
    float presence_penalty;    /* off: 0; once */
    int32_t top_k;             /* 0: 40; off: negative */
    int32_t penalty_last_n;    /* accepted tokens that count; 0: 64; -1: 1048576, the most */
    const llama2_logit_bias *logit_bias; /* (logit_bias_count), copied */
    size_t logit_bias_count;
    /* Since 0.3 */
    float typical_p;        /* locally typical (Meister et al. 2022): share of the probability nearest to the entropy; 0: 1, which is off */
    float top_a;            /* at least this times the square of the best probability (BlinkDL 2022); off: 0 */
    float top_n_sigma;      /* at most so many standard deviations below the best logit (Tang et al. 2024); off: 0 or negative */
    float epsilon_cutoff;   /* at least this probability (Hewitt et al. 2022); off: 0 */
    float eta_cutoff;       /* at least min(this, sqrt(this) e^-entropy) (the same); off: 0 */
    float xtc_probability;  /* XTC (p-e-w 2024): how often all tokens above the threshold but the last are taken out; off: 0 */
    float xtc_threshold;    /* 0: 0.1; off: above 0.5 */
    float dynamic_range;    /* the temperature goes so far down and up with the entropy (Menhguin et al. 2023); off: 0 */
    float dynamic_exponent; /* 0: 1 */
    float smoothing_factor; /* quadratic sampling (kalomaze 2024); off: 0 */
    float smoothing_curve;  /* 1 to 3; 0: 1 */
    uint32_t mirostat;      /* (Basu et al. 2021) off: 0; 1, 2: the version. It draws, in place of the usual top-k, top-p and min-p, which
                               are off unless set to another value or listed */
    float mirostat_tau;     /* the surprise aimed at, in bits; 0: 5 */
    float mirostat_eta;     /* how fast it is followed; 0: 0.1 */
    float dry_multiplier;   /* DRY (p-e-w 2024): less likely is what goes on with a repetition; off: 0 */
    float dry_base;         /* 0: 1.75 */
    int32_t dry_allowed_length; /* repetitions that are shorter do no harm; 0: 2; for none negative */
    int32_t dry_last_n;     /* accepted tokens that count; 0: 64; -1: 1048576, the most */
    const llama2_text *dry_breakers; /* (dry_breaker_count) at most 64 of at most 40 bytes; 0: "\n", ":", "\"" and "*"; needs `model` */
    size_t dry_breaker_count;
    const llama2_model *model; /* whose tokens the texts and the minimum below and the breakers are about; else NULL. A context of another
                                  vocabulary refuses the sampler then */
    const uint32_t *steps;     /* (step_count) LLAMA2_STEP_, at most 64; 0: the usual order */
    size_t step_count;
    const llama2_own_step *own_steps; /* (own_step_count) at most 64; each has its place in `steps` */
    size_t own_step_count;
    const llama2_text_bias *text_bias; /* (text_bias_count) at most 65536, copied; needs `model` */
    size_t text_bias_count;
    uint64_t min_tokens;      /* so many are sampled before a token may end the text; needs `model` */
    uint32_t no_repeat_ngram; /* no sequence of so many accepted tokens comes twice (Paulus et al. 2017); off: 0; at most 1024 */
    uint32_t reserved;        /* 0 */
    const llama2_text *banned_texts; /* (banned_text_count) at most 1024 of 1 to 256 bytes, 16384 together: none of them comes in a text that is sampled,
                                        however its tokens lie; needs `model` */
    size_t banned_text_count;
} llama2_sampler_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.1. */
void llama2_sampler_options_init(llama2_sampler_options *options);
#define llama2_sampler_options_init(options) LLAMA2_INIT_(llama2_sampler_options, options)

/* A sampler: options, a random generator (xoshiro256** seeded by splitmix64, Blackman & Vigna 2018:
   the same seed gives the same tokens on every machine) and the tokens accepted so far.
   *sampler: receives a handle, to be freed by the caller; NULL on failure.
   Returns OK, OUT_OF_RANGE (a value outside its range, a bias for a negative token), INVALID_ARGUMENT (NaN,
   unknown flag or step, a step that is asked for and not listed, texts or a minimum without a model), UNSUPPORTED (a model without a
   vocabulary), STRUCT_SIZE, NO_MEMORY. Threads: any. Since 0.1. */
int32_t llama2_sampler_create(const llama2_sampler_options *options, llama2_sampler **sampler, char *error,
                              size_t error_capacity);

/* NULL or a bad handle: does nothing. Since 0.1. */
void llama2_sampler_free(llama2_sampler *sampler);

/* Back to the seed, nothing accepted. Returns OK, BUSY. Since 0.1. */
int32_t llama2_sampler_reset(llama2_sampler *sampler);

/* Counts `token` for the penalties, as if it had been sampled (a prompt's, for instance).
   Returns OK, INVALID_TOKEN (negative), BUSY. Since 0.1. */
int32_t llama2_sampler_accept(llama2_sampler *sampler, int32_t token);

/* Chooses a token from the last row of logits and accepts it.
   Returns OK, NO_LOGITS, INVALID_ARGUMENT (logits that are not numbers, or all forbidden), OUT_OF_RANGE
   (a bias for a token beyond the vocabulary), FORBIDDEN (the text of the sampler's grammar has ended), UNSUPPORTED
   (a grammar, and the model has no vocabulary; too many ways to read the grammar at once; a context for embeddings alone), NO_MEMORY, BUSY. After a
   failure the sampler is as before. Since 0.1. */
int32_t llama2_sample(llama2_context *context, llama2_sampler *sampler, int32_t *token);

/* The same from a row of the caller's: logits (count), -infinity for tokens that must not come. Errors as llama2_sample, and CANCELLED (an own
   step), FORBIDDEN (the grammar's text has ended). Since 0.3. */
int32_t llama2_sample_logits(llama2_sampler *sampler, const float *logits, size_t count, int32_t *token);

/* What llama2_sample_logits would draw from: candidates (*needed) that the steps leave, by falling probability, with its natural
   logarithm as `logit`. Nothing is chosen, the sampler is as before. Returns as llama2_sample_logits, and BUFFER_TOO_SMALL. Since 0.3. */
int32_t llama2_sampler_distribution(llama2_sampler *sampler, const float *logits, size_t count, llama2_candidate *candidates,
                                    size_t capacity, size_t *needed);

/* What a sampler is in the midst of, to go on in another process: the state of its generator and of mirostat, the tokens that it
   remembers, and where its text stands, in its grammar too. The format is in STATE.md, byte by byte. data (capacity): receives it; *needed:
   its bytes. Returns OK, BUFFER_TOO_SMALL, NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_sampler_save(const llama2_sampler *sampler, void *data, size_t capacity, size_t *needed);

/* The sampler goes on where llama2_sampler_save was called: the same logits give the same tokens. It needs the same options (compared by a
   hash over all but the seed, to which llama2_sampler_reset goes back as before; own steps have to be as many, what they do is the
   host's) and the same grammar, set before. With llama2_state_load and llama2_decoder_load a text goes on as if nothing had been between.
   data (size bytes) is read during the call only.
   Returns OK, INVALID_ARGUMENT (of other options, or another grammar, or of one where there is none, or the other way), FORMAT (no saved sampler),
   CORRUPT, UNSUPPORTED (a newer version), NO_MEMORY, BUSY. After a failure nothing has changed. Since 0.3. */
int32_t llama2_sampler_load(llama2_sampler *sampler, const void *data, size_t size);

/* ---- Grammars ----------------------------------------------------------------------------- */

/* The languages that a grammar can be given in. */
#define LLAMA2_GRAMMAR_GBNF 1u        /* llama.cpp's: rules, the text is `root`; <[id]> and <name> are tokens */
#define LLAMA2_GRAMMAR_JSON_SCHEMA 2u /* JSON Schema 2020-12, and draft 7 where its $schema says so */
#define LLAMA2_GRAMMAR_REGEX 3u       /* a regular expression in RE2's syntax, for the whole text */
#define LLAMA2_GRAMMAR_CHOICES 4u     /* a JSON array of strings, one of which is the text */

/* JSON without white space; else as much as JSON allows, though after eight tokens of nothing else no more is offered. */
#define LLAMA2_GRAMMAR_COMPACT 1u
#define LLAMA2_GRAMMAR_ANY_ORDER 2u /* members of objects in any order; else in the schema's, others behind them */
/* What a schema says and cannot be followed is left out, and llama2_grammar_ignored lists it; else UNSUPPORTED. */
#define LLAMA2_GRAMMAR_IGNORE_UNSUPPORTED 4u

typedef struct llama2_grammar_options {
    uint32_t struct_size;
    uint32_t flags; /* LLAMA2_GRAMMAR_COMPACT, _ANY_ORDER, _IGNORE_UNSUPPORTED */
} llama2_grammar_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.3. */
void llama2_grammar_options_init(llama2_grammar_options *options);
#define llama2_grammar_options_init(options) LLAMA2_INIT_(llama2_grammar_options, options)

/* A language of texts, as tokens of `model` can write them. What is generated under it is of the language byte by byte;
   a token may reach over several of its symbols; the end tokens may come exactly where the text is complete; no way
   that is offered ends nowhere. A schema is followed or refused: no keyword is passed over, except those that are
   annotations by the specification (unknown keywords and formats among them; all formats of section 7.3 of 2020-12 are
   asserted, idn-hostname, idn-email and regex by a part of their languages that every validator takes). Numbers that are
   held to something are written without exponents, and integers without a point: 2.0, which is an integer to JSON Schema and to
   many of its readers is not, is not of the language of "type": "integer".
   text: (text_length), at most 16 MiB. *grammar: receives a handle, to be freed by the caller; NULL on failure. It keeps
   what it needs of the model, never changes, and serves any number of samplers and threads.
   Returns OK, INVALID_ARGUMENT (no such kind or flag; not of the kind's language, with the line or path; nothing
   satisfies it; left recursion, with the rule), UNSUPPORTED (well formed, but it cannot be followed: named by keyword and
   path; the model has no vocabulary; an automaton or a number of combinations beyond the limits, which keep time and
   memory bounded), STRUCT_SIZE, NO_MEMORY. Threads: any. Since 0.3. */
int32_t llama2_grammar_create(const llama2_model *model, uint32_t kind, const char *text, size_t text_length,
                              const llama2_grammar_options *options, llama2_grammar **grammar, char *error,
                              size_t error_capacity);

/* Frees the handle; samplers and states keep what they need. NULL or a bad handle: does nothing. Since 0.3. */
void llama2_grammar_free(llama2_grammar *grammar);

/* *accepts: 1 if the whole of `text` (text_length bytes) is of the language, else 0: whether it could have been generated (members
   in their order, integers without a point), which is less than what a validator of the schema takes. Returns OK, UNSUPPORTED (too many
   ways to read it at once), NO_MEMORY. Threads: any. Since 0.3. */
int32_t llama2_grammar_accepts(const llama2_grammar *grammar, const char *text, size_t text_length, int32_t *accepts);

/* What LLAMA2_GRAMMAR_IGNORE_UNSUPPORTED left out: path and keyword, a line each, "" if nothing.
   Returns OK, BUFFER_TOO_SMALL. Threads: any. Since 0.3. */
int32_t llama2_grammar_ignored(const llama2_grammar *grammar, char *text, size_t capacity, size_t *needed);

/* A text on its way through the grammar, for hosts that choose tokens by themselves. One thread at a time.
   *state: receives a handle, to be freed by the caller; NULL on failure. Returns OK, NO_MEMORY. Since 0.3. */
int32_t llama2_grammar_start(const llama2_grammar *grammar, llama2_grammar_state **state, char *error,
                             size_t error_capacity);

/* NULL or a bad handle: does nothing. Since 0.3. */
void llama2_grammar_state_free(llama2_grammar_state *state);

/* mask: (vocabulary size / 32, rounded up) words; bit (t % 32) of word t / 32 is set when token t may come.
   *needed in words. Returns OK, BUFFER_TOO_SMALL, FORBIDDEN (an end token was taken: nothing can come), UNSUPPORTED,
   NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_grammar_state_allowed(llama2_grammar_state *state, uint32_t *mask, size_t capacity, size_t *needed);

/* Takes a token. Returns OK, FORBIDDEN (nothing has changed), INVALID_TOKEN, UNSUPPORTED, NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_grammar_state_accept(llama2_grammar_state *state, int32_t token);

/* Gives back the last `count` tokens. Returns OK, OUT_OF_RANGE (so many were not taken), BUSY. Since 0.3. */
int32_t llama2_grammar_state_withdraw(llama2_grammar_state *state, size_t count);

/* Back to the beginning. Returns OK, BUSY. Since 0.3. */
int32_t llama2_grammar_state_reset(llama2_grammar_state *state);

/* *complete: 1 if the text may end here. Returns OK, BUSY. Since 0.3. */
int32_t llama2_grammar_state_complete(const llama2_grammar_state *state, int32_t *complete);

/* The bytes that must come next, as far as there is only one way to go on (at most 4096); "" where there is a choice.
   Returns OK, BUFFER_TOO_SMALL, UNSUPPORTED, NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_grammar_state_forced(llama2_grammar_state *state, char *text, size_t capacity, size_t *needed);

/* The same mask where the text must be complete within `tokens` tokens, the end token among them (if the vocabulary has one): only those tokens behind
   which it still can be. Where so few do not suffice, those that bring the end nearest. Whoever takes one of them each time, and asks with one token
   less, comes to the end. A text whose shortest end is longer than 256 KiB is not brought to one: the mask is that of llama2_grammar_state_allowed.
   Returns what that returns. Since 0.3. */
int32_t llama2_grammar_state_allowed_within(llama2_grammar_state *state, uint64_t tokens, uint32_t *mask, size_t capacity, size_t *needed);

/* A shortest text that completes what was taken so far (in bytes; where an array's or object's parts depend on each other, as with several `contains`, a
   short one), "" where it is complete. *tokens: so many are enough to write it, the end token not counted. The state stays as it is.
   Returns OK, BUFFER_TOO_SMALL, UNSUPPORTED (longer than 256 KiB), NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_grammar_state_shortest(llama2_grammar_state *state, uint64_t *tokens, char *text, size_t capacity, size_t *needed);

/* Holds the sampler to a grammar, from its beginning; NULL: to none. What the grammar does not allow is forbidden before all
   other steps. Every token that llama2_sample or llama2_generate chooses moves it on (llama2_sampler_accept does not);
   llama2_sampler_reset, and llama2_generate with a prompt, begin anew. A context of another vocabulary refuses
   the sampler with INVALID_ARGUMENT; when the text has ended, llama2_sample gives FORBIDDEN and llama2_generate ends
   with LLAMA2_END_TOKEN. The sampler keeps what it needs. Returns OK, NO_MEMORY, BUSY. Threads: the sampler's. Since 0.3. */
int32_t llama2_sampler_set_grammar(llama2_sampler *sampler, const llama2_grammar *grammar);

/* ---- Generate ----------------------------------------------------------------------------- */

#define LLAMA2_END_TOKEN 1      /* the model ended its text */
#define LLAMA2_END_MAX_TOKENS 2 /* max_tokens were made */
#define LLAMA2_END_STOP 3       /* a stop string came */
#define LLAMA2_END_CALLBACK 4   /* the callback said so */
#define LLAMA2_END_CONTEXT 5    /* the context is full */
/* Of requests to a scheduler only. Since 0.3 */
#define LLAMA2_END_CANCELLED 6 /* by llama2_scheduler_cancel */
#define LLAMA2_END_DEADLINE 7  /* its time is over */
#define LLAMA2_END_ERROR 8     /* the event's status says which */

typedef struct llama2_generate_result {
    uint32_t struct_size;
    int32_t reason;         /* LLAMA2_END_; 0 when the call failed */
    uint64_t prompt_tokens; /* of the prompt that are in the sequence */
    uint64_t tokens;        /* sampled, the end token included */
    /* Since 0.3 */
    uint64_t adopted; /* of the prompt tokens, those that were found and not evaluated */
    uint64_t dropped; /* positions that shifts dropped */
    uint64_t guessed;       /* tokens that were evaluated before they were chosen; see LLAMA2_GENERATE_NO_GUESS */
    uint64_t guessed_right; /* of these, those that were then chosen */
} llama2_generate_result;

#define LLAMA2_GENERATE_PENALIZE_PROMPT 1u /* the sampler's penalties count the prompt's tokens too, as llama.cpp's do. Since 0.3 */
#define LLAMA2_GENERATE_NO_ADOPT 2u /* evaluate the whole prompt, whatever is stored of it */
#define LLAMA2_GENERATE_LOGPROBS 8u /* token_callback is told probabilities */
/* token_callback is told about the prompt's tokens too. The prompt is then evaluated as a whole, nothing of it is adopted; after an
   error in it sequence 0 is as before and has no logits. */
#define LLAMA2_GENERATE_ECHO 16u
#define LLAMA2_GENERATE_SHIFT 4u    /* when the context is full, go on by llama2_sequence_shift, which drops the older half */

/* What llama2_generate tells about a token. Logarithms are natural ones of probabilities; NaN where LLAMA2_GENERATE_LOGPROBS did not ask for
   them, and for the first token of a prompt. Texts and arrays are valid during the call. */
typedef struct llama2_token_report {
    int32_t token;
    int32_t reason;             /* LLAMA2_END_ when the text ends with it; else 0. (What was held back for a stop string may end it
                                   after the last token: *result has the last word.) */
    uint32_t is_of_prompt;      /* 1 or 0 */
    float log_probability;      /* by the softmax of the model's logits */
    float log_probability_after; /* among what the sampler's steps left */
    uint32_t reserved;          /* 0 */
    const char *text;           /* (text_length) what the token writes, whole characters or not */
    size_t text_length;
    const llama2_candidate *best; /* (best_count) the most probable tokens by the model, with log-probabilities as `logit` */
    size_t best_count;
    const llama2_candidate *best_after; /* (best_after_count) and of what the steps left; none for a prompt's token */
    size_t best_after_count;
    uint64_t nanoseconds; /* since the report before, or since the call */
} llama2_token_report;

/* Called when a token counts: it was evaluated, or ends the text. Non-zero ends the generation. */
typedef int32_t (*llama2_token_callback)(const llama2_token_report *report, void *user_data);

/* Evaluate no token before it is chosen. Else several are evaluated at once where they can be guessed: what a grammar leaves no choice
   about, and what came after the same tokens before (Saxena, Prompt Lookup Decoding, 2023). A guess counts where the sampler draws the same token,
   and is withdrawn otherwise: text, tokens, logits and sampler are the same bits. It pauses where it does not pay. Since 0.3 */
#define LLAMA2_GENERATE_NO_GUESS 32u
/* What the sampler's grammar asks for is complete when max_tokens are chosen, the end token among them, or the context is full: as soon as what is
   left could become too little, only those tokens may come behind which it still suffices (llama2_grammar_state_allowed_within). Before that all is as
   without. Where max_tokens is below what the shortest text needs (llama2_grammar_state_shortest and an end token) the text takes a shortest way and
   is cut. Without a grammar INVALID_ARGUMENT. Since 0.3 */
#define LLAMA2_GENERATE_COMPLETE 64u

typedef struct llama2_generate_options {
    uint32_t struct_size;
    uint32_t flags;              /* LLAMA2_GENERATE_ */
    const int32_t *prompt;       /* (prompt_count) tokens, evaluated first; with none it goes on from the logits */
    size_t prompt_count;
    const llama2_text *stops;    /* (stop_count) strings; none is ever given out, not even in part */
    size_t stop_count;           /* at most 64, each at most 4096 bytes; an empty one is none */
    uint64_t max_tokens;         /* 0: until the context is full */
    llama2_generate_result *result; /* may be NULL */
    uint64_t shift_keep; /* Since 0.3: with LLAMA2_GENERATE_SHIFT, first positions that are never dropped; 0: 4 */
    /* Since 0.3 */
    llama2_token_callback token_callback; /* may be NULL; LLAMA2_GENERATE_LOGPROBS and _ECHO need it */
    void *token_data;                     /* for token_callback */
    uint32_t best;                        /* most probable tokens that are told, at most 1024; needs LLAMA2_GENERATE_LOGPROBS */
    uint32_t reserved;                    /* 0 */
    llama2_context *draft; /* guesses too, see llama2_generate; NULL: none. Since 0.3 */
} llama2_generate_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.1. */
void llama2_generate_options_init(llama2_generate_options *options);
#define llama2_generate_options_init(options) LLAMA2_INIT_(llama2_generate_options, options)

/* A piece of text: whole UTF-8 characters, at least one, not terminated; valid during the call. Non-zero ends the
   generation. Calls on the same context from inside give LLAMA2_E_BUSY. */
typedef int32_t (*llama2_piece_callback)(const char *piece, size_t length, void *user_data);

/* Evaluates the prompt on sequence 0, then samples and evaluates until an end; `callback` (may be NULL)
   gets the text as it comes. If sequence 0 is empty, the prompt's beginning is adopted as by llama2_sequence_adopt. Every sampled token but the end token is evaluated, so that a further call
   goes on where this one ended. The sampler is in use, too, until the call returns.
   With options->draft, a context of a smaller model, tokens are guessed also where neither the grammar nor what came before says them:
   what the sampler would choose by the draft's logits (the most probable one, where it has steps of the host's), one after the other, as many as pay by the sizes of both models and by how often it was right
   (Leviathan et al., Fast Inference from Transformers via Speculative Decoding, 2023). Such a guess counts as the others do (see
   LLAMA2_GENERATE_NO_GUESS, with which a draft is INVALID_ARGUMENT): text, tokens, logits and sampler are the same bits. Where none pays
   it pauses, after the third time for the rest of the call. The draft is in use until the call returns, its sequence 0 is written over, the
   context's cancel callback is asked in place of its own, and nothing that fails in it is a reason to fail. Refused are, before anything
   changes: the context itself, another vocabulary, fewer positions than the context has (INVALID_ARGUMENT), a draft without logits or of a
   piece of a model (UNSUPPORTED), one in use (BUSY).
   Returns OK (the reason in *result), INVALID_ARGUMENT (unknown flag, a stop too long; logits that are not
   numbers, or all forbidden), INVALID_TOKEN, OUT_OF_RANGE (a bias for a token beyond the vocabulary), NO_LOGITS
   (no prompt and no logits), CONTEXT_FULL (the prompt does not fit), CANCELLED, UNSUPPORTED (no vocabulary; what the
   F16 cache cannot hold, see llama2_eval), NO_MEMORY, STRUCT_SIZE, BUSY. After CANCELLED, after a sampled token whose eval
   was UNSUPPORTED, and after logits that nothing can be sampled from, the tokens evaluated so far
   stay in sequence 0, with the logits of the last of them; the sampler has chosen these and no others, so that
   a further call chooses what this one would have; *result counts them. Pieces given out stay given out, the text of the
   token whose evaluation was cancelled among them; what was held back for a stop string comes before the call
   returns. After all other statuses nothing has changed, but that room for the prompt may have been made by
   LLAMA2_GENERATE_SHIFT. Since 0.1. */
int32_t llama2_generate(llama2_context *context, llama2_sampler *sampler, const llama2_generate_options *options,
                        llama2_piece_callback callback, void *user_data);

/* ---- Search ------------------------------------------------------------------------------- */

/* Ends as soon as `width` texts have ended (early_stopping=True of transformers). Without this and the next, when none that goes on is
   better now by its score so far. Since 0.3 */
#define LLAMA2_SEARCH_STOP_FULL 1u
/* Ends only when no text that goes on can become better (early_stopping="never"); not with the other. Since 0.3 */
#define LLAMA2_SEARCH_STOP_EXACT 2u

typedef struct llama2_search_options {
    uint32_t struct_size;
    uint32_t flags;        /* LLAMA2_SEARCH_ */
    const int32_t *prompt; /* (prompt_count) at least 1 */
    size_t prompt_count;
    uint64_t max_tokens;   /* of each text, 1 to context_length */
    uint32_t width;        /* beams, at most 256; 0: 4 */
    uint32_t reserved;     /* 0 */
    double length_penalty; /* a sum of logarithms is divided by length^length_penalty (transformers: 1); 0: it is not divided */
} llama2_search_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. */
#define llama2_search_options_init(options) LLAMA2_INIT_(llama2_search_options, options)

/* A text that was found. */
typedef struct llama2_found {
    uint64_t first; /* of the array of tokens: where it begins */
    uint64_t count; /* its tokens, the end token among them */
    double score;
    int32_t reason; /* LLAMA2_END_TOKEN or LLAMA2_END_MAX_TOKENS */
    uint32_t index; /* llama2_best_of: of its sampler; else 0 */
} llama2_found;

/* The most probable texts behind a prompt that a search with `width` beams finds, the best first: beam search without sampling, the
   algorithm of Hugging Face's transformers (num_beams, length_penalty, early_stopping). A score is the sum of the natural logarithms of the tokens'
   probabilities, divided as the options say. Beams are sequences that share their pages: `width` sequences without positions are used, the
   first ones, and are empty again when the call returns; they have the adapters of the first of them then. The prompt's beginning is
   adopted as by llama2_sequence_adopt. There are no logits afterwards.
   found: (found_count) texts at most, 1 to width. tokens: (token_capacity) at least found_count * max_tokens. *needed: how many were found.
   Returns OK, INVALID_ARGUMENT (no prompt, unknown flag, width, found_count, length_penalty that is not finite or with which
   max_tokens^length_penalty is not between 1e-100 and 1e100; not enough empty sequences; logits that are NaN or +infinity), OUT_OF_RANGE (max_tokens), BUFFER_TOO_SMALL, INVALID_TOKEN, CONTEXT_FULL (at most prompt_count +
   width * (max_tokens + 63) positions are needed: beams that part inside a page have a copy of it each; fewer where texts begin alike), CANCELLED, UNSUPPORTED (no vocabulary; as llama2_eval), NO_MEMORY,
   STRUCT_SIZE, BUSY. After CONTEXT_FULL and what an eval says there are no logits, and `tokens` may be partly written. Since 0.3. */
int32_t llama2_beam_search(llama2_context *context, const llama2_search_options *options, llama2_found *found, size_t found_count,
                           int32_t *tokens, size_t token_capacity, size_t *needed);

/* A text of each sampler (sampler_count, 1 to 256, all different), side by side behind one prompt that is evaluated once; the most probable
   first, by the mean of the logarithms of its tokens' probabilities (those of the model, before the samplers' steps). Each text is what
   llama2_generate would write with that sampler. Of the options flags, width and length_penalty are 0. Sequences, `found` (sampler_count) and
   `tokens` as above; found.index says whose text it is.
   Returns as llama2_beam_search, and as llama2_sample: after a failure of that kind the samplers have chosen what they had chosen. Since 0.3. */
int32_t llama2_best_of(llama2_context *context, const llama2_search_options *options, llama2_sampler *const *samplers,
                       size_t sampler_count, llama2_found *found, int32_t *tokens, size_t token_capacity);

/* Classifier-free guidance (Sanchez et al., Stay on Topic with Classifier-Free Guidance, 2023) with a negative prompt: of two rows of logits
   (count) behind a prompt that is wanted and one that is not becomes a row to sample from,
       mixed = scale * log p(wanted) - (scale - 1) * log p(unwanted)
   A scale of 1 is the wanted row, larger ones lead away from the other. Evaluate both prompts on sequences of one context, mix their
   rows, llama2_sample_logits, evaluate the token on both, and so on. mixed: (count), may be one of the other rows.
   Returns OK, INVALID_ARGUMENT (count 0; a scale that is not finite; NaN, +infinity, or a row of nothing but -infinity). Threads: any. Since 0.3. */
int32_t llama2_guide_logits(const float *wanted, const float *unwanted, size_t count, float scale, float *mixed);

/* ---- Scheduler ---------------------------------------------------------------------------- */

/* Many requests on one context. A step evaluates one batch: a token of every request that is under way, and beside them
   pieces of the prompts of those that begin (Yu et al., Orca, 2022; Agrawal et al., Sarathi-Serve, 2024). What the context has
   stored of a prompt's beginning is adopted and not evaluated; of several prompts that begin alike the common part is evaluated
   once. A request of higher priority comes before all of lower ones, and takes their place and room if there is no other; of the
   same priority who came first is admitted first, and prompts share what a step has room for. When the cache is full, the least
   important request gives its pages up and is computed again later.
   A request's text, tokens and end are those of llama2_generate alone on such a context, bit for bit, whatever else runs: only
   when they come depends on the others. */

typedef struct llama2_scheduler_options {
    uint32_t struct_size;
    uint32_t flags;                  /* 0 */
    uint32_t prompt_tokens_per_step; /* of prompts at most, in steps in which other requests have text coming; fewer make that text
                                        steadier and the prompts later. 0: twice as many as such requests, at least 16; where more
                                        requests of their priority still have a prompt than have text coming, as many times more; at most 4096 */
    uint32_t max_requests;           /* waiting and running ones; 0: 1024; at most 65536 */
    llama2_context *draft; /* guesses for all requests as in llama2_generate, and has as many sequences as the context; NULL: none */
} llama2_scheduler_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.3. */
void llama2_scheduler_options_init(llama2_scheduler_options *options);
#define llama2_scheduler_options_init(options) LLAMA2_INIT_(llama2_scheduler_options, options)

/* A scheduler on `context`, which is its own from then on: sequences are emptied (what they held is still adopted) and lose their adapters, and all other
   calls on the context give BUSY until the scheduler is freed. As many requests run at once as the context has sequences. A
   cancel callback of the context, set before, ends a step with CANCELLED.
   *scheduler: receives a handle, to be freed by the caller; NULL on failure.
   options->draft is the scheduler's, too, until it is freed. The more requests have text coming the less it guesses.
   Returns OK, INVALID_ARGUMENT (unknown flag, a value beyond its limit, a draft that llama2_generate would refuse or that has fewer
   sequences), UNSUPPORTED (no vocabulary; a draft as there), STRUCT_SIZE, NO_MEMORY, BUSY. Since 0.3. */
int32_t llama2_scheduler_create(llama2_context *context, const llama2_scheduler_options *options, llama2_scheduler **scheduler,
                                char *error, size_t error_capacity);

/* Frees the handle; from inside a callback it takes effect when the step returns. Requests that have not ended are told nothing
   any more. The context is then empty and free for other calls. NULL or a bad handle: does nothing. Since 0.3. */
void llama2_scheduler_free(llama2_scheduler *scheduler);

/* What has come of a request. Each has one event with a reason, which is its last. */
typedef struct llama2_event {
    uint32_t struct_size;
    int32_t reason;   /* LLAMA2_END_, or 0: it goes on */
    uint64_t request; /* its number */
    const char *piece; /* (length) bytes: whole UTF-8 characters, possibly none; not terminated */
    size_t length;
    int32_t token;  /* that was chosen, the end token too; -1: none was, this event ends the text or is about a token of the prompt */
    int32_t status; /* with LLAMA2_END_ERROR what llama2_generate would have returned, else 0 */
    const char *error; /* the sentence for it, terminated; "" if there is none */
    uint64_t prompt_tokens; /* of the request */
    uint64_t adopted;       /* of these, found and not evaluated */
    uint64_t tokens;        /* chosen until now, the end token included */
    const llama2_token_report *report; /* what llama2_generate tells about the token that was chosen, or with LLAMA2_REQUEST_ECHO about one of
                                          the prompt (then without a piece); NULL: this event is about none */
} llama2_event;

/* Called by llama2_scheduler_step, on its thread. *event and what it points to are valid during the call. Non-zero ends the request
   (LLAMA2_END_CALLBACK). It may submit and cancel; a step from inside gives LLAMA2_E_BUSY. */
typedef int32_t (*llama2_event_callback)(const llama2_event *event, void *user_data);

#define LLAMA2_REQUEST_PENALIZE_PROMPT 1u /* the sampler's penalties count the prompt's tokens too */
#define LLAMA2_REQUEST_NO_GUESS 2u /* as LLAMA2_GENERATE_NO_GUESS */
#define LLAMA2_REQUEST_LOGPROBS 4u /* reports tell probabilities; needs a callback */
/* The prompt's tokens are reported too, each with an event of its own before the first that is chosen; needs a callback. The prompt is then
   evaluated as a whole, nothing of it is adopted. */
#define LLAMA2_REQUEST_ECHO 8u
#define LLAMA2_REQUEST_COMPLETE 16u /* as LLAMA2_GENERATE_COMPLETE */

typedef struct llama2_request_options {
    uint32_t struct_size;
    uint32_t flags;        /* LLAMA2_REQUEST_ */
    const int32_t *tokens; /* (token_count) of the prompt, at least one; copied */
    size_t token_count;
    llama2_sampler *sampler; /* in use until the request ends: other calls on it give BUSY; it may be freed at once. NULL: one of
                                sampler_options is made */
    const llama2_sampler_options *sampler_options; /* NULL: all defaults; with a sampler it must be NULL */
    const llama2_grammar *grammar; /* set on the sampler as by llama2_sampler_set_grammar; NULL: its own, from the beginning */
    const llama2_text *stops;      /* (stop_count) as in llama2_generate_options; copied */
    size_t stop_count;
    const llama2_scaled_adapter *adapters; /* (adapter_count) as in llama2_sequence_set_adapters; copied */
    size_t adapter_count;
    uint64_t max_tokens;            /* 0: until the context is full */
    uint64_t deadline_milliseconds; /* from now on; looked at between steps; 0: none */
    int32_t priority;               /* the more the sooner */
    uint32_t reserved;              /* 0 */
    llama2_event_callback callback; /* may be NULL */
    void *user_data;
    uint32_t best;       /* most probable tokens that are told, at most 1024; needs LLAMA2_REQUEST_LOGPROBS */
    uint32_t reserved_2; /* 0 */
} llama2_request_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.3. */
void llama2_request_options_init(llama2_request_options *options);
#define llama2_request_options_init(options) LLAMA2_INIT_(llama2_request_options, options)

/* Hands in a request; nothing of it is evaluated before the next step. *request: its number, never given twice.
   Returns OK, INVALID_ARGUMENT (no tokens, unknown flag, a flag without the callback that it needs, a stop too long; a grammar of another vocabulary; adapters
   that llama2_sequence_set_adapters would refuse), INVALID_TOKEN, OUT_OF_RANGE (a bias for a token beyond the vocabulary), CONTEXT_FULL (more tokens than the context has positions), STRUCT_SIZE,
   NO_MEMORY, BUSY (the sampler is in use; max_requests are waiting or running). After a failure nothing has changed, but that a
   sampler may have got the grammar. Threads: any, also during a step. Since 0.3. */
int32_t llama2_scheduler_submit(llama2_scheduler *scheduler, const llama2_request_options *options, uint64_t *request);

/* Ends a request: the next step tells it LLAMA2_END_CANCELLED, first of all, and it gives back what it has. One that has ended is no
   matter. Returns OK, NOT_FOUND (no request had this number), NO_MEMORY. Threads: any, also during a step. Since 0.3. */
int32_t llama2_scheduler_cancel(llama2_scheduler *scheduler, uint64_t request);

/* One batch; the callbacks of all requests that it concerns are called before it returns. *remaining: requests that have not ended;
   0: there is nothing to do until the next submit.
   Returns OK, CANCELLED (by the context's callback), NO_MEMORY, BUSY. After a failure no request is lost or behind: the next step
   does what this one would have. What concerns one request alone (logits that are not numbers, keys that the F16 cache cannot
   hold) is told to that request with LLAMA2_END_ERROR. Threads: one at a time, not always the same. Since 0.3. */
int32_t llama2_scheduler_step(llama2_scheduler *scheduler, size_t *remaining);

typedef struct llama2_scheduler_stats {
    uint32_t struct_size;
    uint32_t reserved;
    uint64_t waiting; /* requests now, those too whose sequence was taken away */
    uint64_t running; /* that have a sequence */
    /* Since the scheduler was made */
    uint64_t prompt_tokens;    /* of requests that have begun */
    uint64_t adopted_tokens;   /* of these, found and not evaluated */
    uint64_t tokens;           /* chosen */
    uint64_t evaluated_tokens; /* in all, those computed again too */
    uint64_t steps;
    uint64_t preemptions; /* how often a sequence was taken away */
    /* The cache behind the last step, as in llama2_context_info */
    uint64_t pages;
    uint64_t pages_used;
    uint64_t pages_shared;
    uint64_t pages_cached;
    uint64_t positions;
    uint64_t guessed_tokens; /* evaluated before they were chosen, see LLAMA2_GENERATE_NO_GUESS */
    uint64_t guessed_right;  /* of these, those that were then chosen */
} llama2_scheduler_stats;

/* Fills *stats. Returns OK, STRUCT_SIZE. Threads: any, also during a step. Since 0.3. */
int32_t llama2_scheduler_get_stats(const llama2_scheduler *scheduler, llama2_scheduler_stats *stats);

/* ---- Tensors ------------------------------------------------------------------------------ */

typedef struct llama2_tensor_info {
    uint32_t struct_size;
    uint32_t type;    /* ggml's number */
    uint64_t columns; /* of a row */
    uint64_t rows;    /* 1 for a vector */
    uint64_t bytes;
} llama2_tensor_info;

/* The number of tensors; those that nobody needs, of a type that is not computed with, are left out. Returns OK. Threads: any. Since 0.2. */
int32_t llama2_model_tensor_count(const llama2_model *model, size_t *count);

/* Tensor `index` in the file's order, under GGUF's name. Returns OK, OUT_OF_RANGE, BUFFER_TOO_SMALL (*info is
   filled), STRUCT_SIZE. Threads: any. Since 0.2. */
int32_t llama2_model_tensor(const llama2_model *model, size_t index, llama2_tensor_info *info, char *name, size_t capacity,
                            size_t *needed);

/* The name of a type, e.g. "Q4_K"; "unknown type" for a number that is none. Never fails. Threads: any. Since 0.2. */
const char *llama2_type_name(uint32_t type);

/* ---- Tools -------------------------------------------------------------------------------- */

/* Told how much is done, 0 to 1. Non-zero: stop, which gives LLAMA2_E_CANCELLED. */
typedef int32_t (*llama2_progress_callback)(double part, void *user_data);

/* Tensors whose name contains `pattern` get `type`. Both terminated. */
typedef struct llama2_type_override {
    const char *pattern;
    const char *type; /* F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K */
} llama2_type_override;

/* A matrix with a weight that would be infinite in its type is kept in a wider one, BF16 or F32, and not refused. Every weight
   is read twice. Since 0.3 */
#define LLAMA2_QUANTIZE_KEEP_WIDER 1u

typedef struct llama2_quantize_options {
    uint32_t struct_size;
    uint32_t flags;   /* LLAMA2_QUANTIZE_ */
    uint32_t threads; /* 0: as many as the process may use */
    uint32_t reserved; /* 0 */
    /* What the file is made of: a type (F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q6_K) or one of llama.cpp's mixes
       (Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M). Terminated. NULL: Q4_K_M, for llama2_convert F16. */
    const char *type;
    const llama2_type_override *overrides; /* (override_count), the first that fits counts; one that no matrix is left for is
                                               INVALID_ARGUMENT */
    size_t override_count;                 /* at most 1024 */
    const char *importance; /* the file of an importance matrix, for the K types, in either form of llama.cpp's (GGUF, or the
                               older imatrix.dat); terminated; NULL: none. Where no matrix of a layer becomes one, INVALID_ARGUMENT */
    llama2_progress_callback progress; /* may be NULL */
    void *user_data;
    llama2_cancel_callback cancel; /* may be NULL. Since 0.3 */
    void *cancel_data;             /* for cancel. Since 0.3 */
    uint32_t context_length; /* see llama2_model_options. Since 0.3 */
    uint32_t reserved_2;     /* 0 */
    const char *adapter;     /* see llama2_adapter_load: becomes part of the weights before they are quantized; terminated; NULL: none. Since 0.3 */
    float adapter_scale;     /* what it counts; 0: 1, and without an adapter nothing else. Since 0.3 */
    uint32_t reserved_3;     /* 0 */
} llama2_quantize_options;

/* Sets struct_size and zeroes the rest. NULL: does nothing. Threads: any. Since 0.2. */
void llama2_quantize_options_init(llama2_quantize_options *options);
#define llama2_quantize_options_init(options) LLAMA2_INIT_(llama2_quantize_options, options)

/* Reads the model at `path`, in any format that llama2_model_load takes, and writes it to `output` as GGUF with its
   matrices in other types; norms stay F32. The output matrix gets Q6_K in files of less than 8 bits, the mixes give
   more bits to attn_v and ffn_down in some layers: llama.cpp's rules. Q4_0, Q4_1, Q5_0, Q5_1 and Q8_0 are byte by
   byte those of the `gguf` package. A row that is no whole number of blocks gets a type of smaller blocks.
   With options->adapter every product is W + s B A, summed in F32; one for the output matrix of a model that shares it with
   the embedding is UNSUPPORTED.
   Written beside `output` under another name, synced and renamed: after a failure `output` is as it was and nothing
   is left beside it; it may be what is read, too. A regular file keeps its mode, a link is followed to what it leads to; a device, FIFO, socket or folder
   is not replaced (IO). A process that is killed meanwhile leaves `output`.PROCESS.part (.llama2swift.PROCESS.part where that name would be
   too long), which may be deleted: it is never taken for `output`, and as long as it is incomplete it does not load. A file
   beyond the process's limit (RLIMIT_FSIZE) is IO; no signal reaches the host. Memory: the mapped input and some rows.
   Returns OK, INVALID_ARGUMENT (no such type, unknown flag, more than 1024 threads or overrides), UNSUPPORTED (a type that
   is read but not written), IO, CORRUPT (also: a weight that is not finite, or would not be in its type: tensor, row, column and value
   are in the sentence), FORMAT, CANCELLED, NO_MEMORY, THREAD,
   STRUCT_SIZE. Threads: any. Since 0.2. */
int32_t llama2_quantize(const char *path, const char *output, const llama2_quantize_options *options, char *error,
                        size_t error_capacity);

/* The same for a file in one type: F32, F16 (default), BF16 or Q8_0; any other is INVALID_ARGUMENT. Since 0.2. */
int32_t llama2_convert(const char *path, const char *output, const llama2_quantize_options *options, char *error,
                       size_t error_capacity);

/* Evaluates `tokens` (count) in windows of `window` tokens (0: the context's length) and writes to `output` how much each
   column of each matrix matters: the mean square of its input, as an importance matrix in llama.cpp's GGUF form.
   The context is emptied, before and after; when the call was wrong it is as before. What does not fill a window is left
   out. `output` is written as by llama2_quantize. Returns OK, OUT_OF_RANGE (the window), INVALID_ARGUMENT (not one
   window), INVALID_TOKEN, IO, CANCELLED, NO_MEMORY, UNSUPPORTED (as llama2_eval), BUSY. Since 0.2. */
int32_t llama2_importance(llama2_context *context, const int32_t *tokens, size_t count, size_t window, const char *output,
                          llama2_progress_callback progress, void *user_data);

typedef struct llama2_perplexity_result {
    uint32_t struct_size;
    uint32_t windows;      /* evaluated */
    double perplexity;     /* e^mean */
    double mean;           /* negative logarithm of a token's probability, nats */
    double standard_error; /* of the mean */
    uint64_t tokens;       /* counted */
} llama2_perplexity_result;

/* The running value after each window, of `windows`. Non-zero: stop, which gives LLAMA2_E_CANCELLED. */
typedef int32_t (*llama2_perplexity_callback)(const llama2_perplexity_result *so_far, size_t windows, void *user_data);

/* How well the model predicts `tokens` (count), in windows of `window` tokens (0: the context's length) that do not
   overlap; in each only the second half is counted, and BOS replaces its first token where the model
   expects one: as llama.cpp's perplexity tool does. What does not fill a window is left out.
   The context is emptied, before and after; when the call was wrong it is as before. Returns OK, OUT_OF_RANGE (a window of
   less than 4 or more than the context), INVALID_ARGUMENT (not one window), INVALID_TOKEN, CANCELLED, NO_MEMORY, UNSUPPORTED (as llama2_eval),
   STRUCT_SIZE, BUSY. Since 0.2. */
int32_t llama2_perplexity(llama2_context *context, const int32_t *tokens, size_t count, size_t window,
                          llama2_perplexity_callback callback, void *user_data, llama2_perplexity_result *result);

/* log_probabilities (continuation_count): the natural logarithm of the probability of each token of `continuation`
   after the prompt and those before it; is_best (continuation_count), may be NULL: 1 where it was the most
   probable token, else 0. The prompt has at least one token, BOS for instance.
   The context is emptied, before and after; when the call was wrong or does not fit it is as before. Returns OK,
   INVALID_ARGUMENT (no prompt), INVALID_TOKEN, CONTEXT_FULL, CANCELLED, NO_MEMORY, UNSUPPORTED (as llama2_eval), BUSY; after
   CANCELLED, NO_MEMORY and UNSUPPORTED the arrays may be partly written. Since 0.2. */
int32_t llama2_score(llama2_context *context, const int32_t *prompt, size_t prompt_count, const int32_t *continuation,
                     size_t continuation_count, float *log_probabilities, uint8_t *is_best);

#ifdef __cplusplus
}
#endif
#endif
