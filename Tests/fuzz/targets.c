/* One function for each place where bytes that nobody vouches for come in; their files are target_*.c, scheduling.c and searching.c. */
#include "fuzz.h"

static const target targets[] = {
    {"gguf", load_memory, mutate_gguf},
    {"split", run_split, mutate_split},
    {"safetensors", run_safetensors, mutate_hugging_face},
    {"meta", run_meta, mutate_meta},
    {"llama2c", run_llama2c, mutate_llama2c},
    {"sentencepiece", run_sentencepiece, mutate_protobuf},
    {"importance", run_importance, mutate_gguf},
    {"tokenize", run_tokenize, NULL},
    {"detokenize", run_detokenize, NULL},
    {"decoder", run_decoder, NULL},
    {"chat", run_chat, NULL},
    {"template", run_template, NULL},
    {"sampler", run_sampler, NULL},
    {"grammar", run_grammar, NULL},
    {"state", run_state, NULL},
    {"saved", run_saved, NULL},
    {"adapter", run_adapter, mutate_adapter},
    {"scheduler", run_scheduler, NULL},
    {"search", run_search, NULL},
};

const target *find_target(const char *name) {
    for (unsigned i = 0; i < COUNT(targets); i++)
        if (strcmp(name, targets[i].name) == 0) return &targets[i];
    return NULL;
}
