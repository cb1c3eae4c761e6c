/* Chat templates on a thread with 64 KiB of stack: expressions, values and calls nested as deep as they may be, and deeper. */
#define _POSIX_C_SOURCE 200809L
#include "llama2swift.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static llama2_model *model;
static char message[4096], template_text[1 << 16];
static int32_t status;

static void *render(void *unused) {
    static char text[1 << 16];
    llama2_chat_options options;
    size_t length;
    llama2_chat_options_init(&options);
    options.messages = message;
    options.messages_length = strlen(message);
    options.template_text = template_text;
    options.template_length = strlen(template_text);
    status = llama2_chat_render(model, &options, text, sizeof text, &length);
    return unused;
}

static void on_small_stack(void) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, 64 << 10) != 0 || pthread_create(&thread, &attributes, render, NULL) != 0) exit(2);
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

static void repeat(char *target, const char *before, int count, const char *middle, const char *after) {
    int i;
    for (i = 0; i < count; i++) target += sprintf(target, "%s", before);
    target += sprintf(target, "%s", middle);
    for (i = 0; i < count; i++) target += sprintf(target, "%s", after);
}

int main(int argc, char **argv) {
    static const char *const nested[][2] = {{"(", ")"}, {"[", "]"}, {"range(", ")"}, {"{1:", "}"}, {"1|d(", ")"}, {"x[", "]"}, {"x[1:", "]"},
                                            {"1 or 1 and 1 == 1 + 1 ~ 1 * 1 ** (", ")"}, {"1 if 1 else ", ""}, {"1 is eq ", ""}, {"f(a=", ")"}};
    static const char *const deep[] = {
        "{{ messages[0].d|tojson(indent=1) }}", "{{ messages[0].d }}", "{{ messages[0].d == messages[1].d }}",
        "{{ [messages[0].d, messages[1].d]|sort|length }}", "{% set ns = namespace(x=[]) %}{% for i in range(60) %}{% set ns.x = [ns.x] %}{% endfor %}{% set ns.x = 1 %}ok",
        "{% macro f(n) %}{% if n %}{% for x in [n] %}{{ f(n - 1) }}{% endfor %}{% endif %}{% endmacro %}{{ f(190) }}"};
    char list[512], expression[1 << 15];
    size_t i;
    int count;
    if (argc != 2 || llama2_model_load(argv[1], NULL, &model, NULL, 0) != LLAMA2_OK) return 2;
    strcpy(message, "[{\"role\":\"user\",\"content\":\"x\"}]");
    for (i = 0; i < sizeof nested / sizeof *nested; i++)
        for (count = 1; count < 60; count++) {
            repeat(expression, nested[i][0], count, "1", nested[i][1]);
            sprintf(template_text, "{{ %s }}", expression);
            on_small_stack();
        }
    repeat(list, "[", 60, "1", "]");
    sprintf(message, "[{\"role\":\"user\",\"content\":\"x\",\"d\":%s},{\"role\":\"user\",\"content\":\"x\",\"d\":%s}]", list, list);
    for (i = 0; i < sizeof deep / sizeof *deep; i++) {
        strcpy(template_text, deep[i]);
        on_small_stack();
        if (status != LLAMA2_OK) {
            printf("%s: %s\n", deep[i], llama2_last_error());
            return 1;
        }
    }
    llama2_model_free(model);
    puts("all of them");
    return 0;
}
