/* Talks: chat MODEL            reads questions from standard input, one a line
 *        chat MODEL QUESTION   answers one and ends */
#include <llama2swift.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MESSAGES = 256, LINE = 4096, MAX_ANSWER = 512 };

typedef struct {
    char *text;
    size_t length;
} answer_text;

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, llama2_last_error());
    return 1;
}

/* Prints a piece and keeps it for the next turn; out of memory ends the answer. */
static int32_t receive(const char *piece, size_t length, void *user_data) {
    answer_text *answer = user_data;
    char *longer = realloc(answer->text, answer->length + length);
    if (!longer) return 1;
    memcpy(longer + answer->length, piece, length);
    answer->text = longer;
    answer->length += length;
    fwrite(piece, 1, length, stdout);
    fflush(stdout);
    return 0;
}

static void add(llama2_message *messages, size_t *count, const char *role, char *text, size_t length) {
    llama2_message *message = &messages[(*count)++];
    message->role = role;
    message->role_length = strlen(role);
    message->content = text;
    message->content_length = length;
}

/* Leaves out the oldest question with its answer. */
static void forget(llama2_message *messages, size_t *count) {
    free((char *)messages[0].content);
    free((char *)messages[1].content);
    *count -= 2;
    memmove(messages, messages + 2, *count * sizeof *messages);
}

/* One turn: encodes the conversation, evaluates what the cache does not hold yet, and streams. When the conversation leaves less
 * than a quarter of the context for the answer, the oldest turns are left out. */
static int turn(llama2_model *model, llama2_context *context, llama2_sampler *sampler, llama2_message *messages,
                size_t *count, int32_t **previous, size_t *previous_count, answer_text *answer) {
    llama2_generate_options options;
    llama2_context_info info;
    size_t needed = 0, common = 0;
    int32_t *tokens;

    info.struct_size = sizeof info;
    if (llama2_context_get_info(context, &info) != LLAMA2_OK) return fail("context");
    for (;;) {
        if (llama2_chat_encode(model, messages, *count, 0, NULL, 0, &needed) != LLAMA2_E_BUFFER_TOO_SMALL)
            return fail("chat");
        if (*count < 3 || needed < info.context_length - info.context_length / 4) break;
        forget(messages, count);
        fputs("[the context is full: the oldest question and its answer are left out from here on]\n", stderr);
    }
    tokens = malloc(needed * sizeof *tokens);
    if (!tokens || llama2_chat_encode(model, messages, *count, 0, tokens, needed, &needed) != LLAMA2_OK)
        return fail("chat");
    while (common < *previous_count && common + 1 < needed && (*previous)[common] == tokens[common]) common++;
    if (llama2_sequence_remove(context, 0, common) != LLAMA2_OK) return fail("cache");
    llama2_generate_options_init(&options);
    options.prompt = tokens + common;
    options.prompt_count = needed - common;
    options.max_tokens = MAX_ANSWER; /* small models do not always find an end */
    if (llama2_generate(context, sampler, &options, receive, answer) != LLAMA2_OK) return fail("generate");
    putchar('\n');
    free(*previous);
    *previous = tokens;
    *previous_count = needed;
    return 0;
}

int main(int argc, char **argv) {
    static llama2_message messages[MAX_MESSAGES];
    static const char template_key[] = "tokenizer.chat_template";
    llama2_model *model;
    llama2_context *context;
    llama2_sampler *sampler;
    int32_t *previous = NULL;
    size_t count = 0, previous_count = 0, needed = 0, i;
    char line[LINE];
    int status = 0;

    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s MODEL [QUESTION]\n", argv[0]);
        return 2;
    }
    if (llama2_model_load(argv[1], NULL, &model, NULL, 0) != LLAMA2_OK) return fail("model");
    if (llama2_model_metadata(model, template_key, strlen(template_key), NULL, 0, &needed) == LLAMA2_E_NOT_FOUND)
        fprintf(stderr, "The model has no chat template. Unless it was trained on Llama 2's, it goes on with the text as it likes.\n");
    if (llama2_context_create(model, NULL, &context, NULL, 0) != LLAMA2_OK) return fail("context");
    if (llama2_sampler_create(NULL, &sampler, NULL, 0) != LLAMA2_OK) return fail("sampler");

    while (status == 0) {
        answer_text answer = {NULL, 0};
        const char *question = argc == 3 ? argv[2] : fgets(line, sizeof line, stdin);
        size_t length = question ? strcspn(question, "\n") : 0;
        char *copy = malloc(length + 1);
        if (!question || !copy || length == 0) {
            free(copy);
            if (question && copy && argc < 3) continue; /* an empty line does nothing */
            break;
        }
        memcpy(copy, question, length);
        if (count + 2 > MAX_MESSAGES) forget(messages, &count);
        add(messages, &count, "user", copy, length);
        status = turn(model, context, sampler, messages, &count, &previous, &previous_count, &answer);
        add(messages, &count, "assistant", answer.text, answer.length);
        if (argc == 3) break;
    }

    for (i = 0; i < count; i++) free((char *)messages[i].content);
    free(previous);
    llama2_sampler_free(sampler);
    llama2_context_free(context);
    llama2_model_free(model);
    return status;
}
