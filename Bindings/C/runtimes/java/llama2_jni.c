/* The native half of Llama2.java. Arrays are copied in and out: none is held while the library works, so that the
 * collector can move what it likes. */
#include <jni.h>
#include <llama2swift.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NATIVE(result, name) JNIEXPORT result JNICALL Java_Llama2_##name

/* Throws Llama2.Failure with this thread's sentence, unless an exception of a callback is on its way already. 1: thrown. */
static int failed(JNIEnv *env, int32_t status) {
    const char *sentence = llama2_last_error();
    jclass kind;
    jbyteArray bytes;
    jobject failure;
    if ((*env)->ExceptionCheck(env)) return 1;
    if (status == LLAMA2_OK) return 0;
    kind = (*env)->FindClass(env, "Llama2$Failure");
    bytes = kind ? (*env)->NewByteArray(env, (jsize)strlen(sentence)) : NULL;
    if (!bytes) return 1; /* that threw */
    (*env)->SetByteArrayRegion(env, bytes, 0, (jsize)strlen(sentence), (const jbyte *)sentence);
    failure = (*env)->NewObject(env, kind, (*env)->GetMethodID(env, kind, "<init>", "(I[B)V"), (jint)status, bytes);
    if (failure) (*env)->Throw(env, failure);
    return 1;
}

/* A copy of `bytes`, terminated, to be freed; NULL when an exception was thrown. */
static char *text_of(JNIEnv *env, jbyteArray bytes, jsize *length) {
    char *text;
    *length = (*env)->GetArrayLength(env, bytes);
    text = malloc((size_t)*length + 1);
    if (!text) { failed(env, LLAMA2_E_NO_MEMORY); return NULL; }
    (*env)->GetByteArrayRegion(env, bytes, 0, *length, (jbyte *)text);
    text[*length] = 0;
    return text;
}

static int32_t *tokens_of(JNIEnv *env, jintArray array, jsize *count) {
    int32_t *tokens;
    *count = (*env)->GetArrayLength(env, array);
    tokens = malloc(((size_t)*count + 1) * sizeof *tokens);
    if (!tokens) { failed(env, LLAMA2_E_NO_MEMORY); return NULL; }
    (*env)->GetIntArrayRegion(env, array, 0, *count, (jint *)tokens);
    return tokens;
}

NATIVE(jlong, load)(JNIEnv *env, jclass self, jbyteArray path) {
    llama2_model *model = NULL;
    jsize length;
    char *name = text_of(env, path, &length);
    (void)self;
    if (!name) return 0;
    failed(env, llama2_model_load(name, NULL, &model, NULL, 0));
    free(name);
    return (jlong)(intptr_t)model;
}

NATIVE(void, freeModel)(JNIEnv *env, jclass self, jlong model) { (void)env; (void)self; llama2_model_free((llama2_model *)(intptr_t)model); }

NATIVE(jintArray, tokenize)(JNIEnv *env, jclass self, jlong model, jbyteArray text) {
    jsize length;
    size_t count = 0, capacity;
    jintArray result = NULL;
    char *bytes = text_of(env, text, &length);
    int32_t *tokens;
    (void)self;
    if (!bytes) return NULL;
    capacity = (size_t)length + 2; /* never more than the bytes, BOS and a leading space */
    tokens = malloc(capacity * sizeof *tokens);
    if (!failed(env, tokens ? llama2_tokenize((llama2_model *)(intptr_t)model, bytes, (size_t)length,
                                              LLAMA2_TOKENIZE_DEFAULT_BOS, tokens, capacity, &count)
                            : LLAMA2_E_NO_MEMORY)
        && (result = (*env)->NewIntArray(env, (jsize)count)))
        (*env)->SetIntArrayRegion(env, result, 0, (jsize)count, (const jint *)tokens);
    free(tokens);
    free(bytes);
    return result;
}

/* The cache is in F32 here, so that stories are the golden ones, which were made in float64. */
NATIVE(jlong, create)(JNIEnv *env, jclass self, jlong model, jint threads) {
    llama2_context_options options;
    llama2_context *context = NULL;
    (void)self;
    llama2_context_options_init(&options);
    options.flags = LLAMA2_CONTEXT_KV_F32;
    options.threads = (uint32_t)threads;
    failed(env, llama2_context_create((llama2_model *)(intptr_t)model, &options, &context, NULL, 0));
    return (jlong)(intptr_t)context;
}

NATIVE(void, freeContext)(JNIEnv *env, jclass self, jlong context) { (void)env; (void)self; llama2_context_free((llama2_context *)(intptr_t)context); }

NATIVE(void, reset)(JNIEnv *env, jclass self, jlong context) {
    (void)self;
    failed(env, llama2_context_reset((llama2_context *)(intptr_t)context));
}

NATIVE(void, eval)(JNIEnv *env, jclass self, jlong context, jintArray array) {
    jsize count;
    int32_t *tokens = tokens_of(env, array, &count);
    (void)self;
    if (tokens) failed(env, llama2_eval((llama2_context *)(intptr_t)context, tokens, (size_t)count));
    free(tokens);
}

NATIVE(jfloatArray, logits)(JNIEnv *env, jclass self, jlong context) {
    const float *row;
    size_t count;
    jfloatArray result = NULL;
    (void)self;
    if (!failed(env, llama2_logits((llama2_context *)(intptr_t)context, 0, &row, &count))
        && (result = (*env)->NewFloatArray(env, (jsize)count)))
        (*env)->SetFloatArrayRegion(env, result, 0, (jsize)count, row);
    return result;
}

/* JNIEnv belongs to a thread. The library calls back on the thread that called it, so that thread's may be used. */
typedef struct { JNIEnv *env; jobject receiver; jmethodID piece; } receiver;

/* Java's exception stays pending and ends the generation; it is thrown when the native method returns. A local
 * reference lives until then too, so each piece gives its own back. */
static int32_t receive(const char *piece, size_t length, void *user_data) {
    receiver *r = user_data;
    JNIEnv *env = r->env;
    jboolean wanted = JNI_FALSE;
    jbyteArray bytes = (*env)->NewByteArray(env, (jsize)length);
    if (!bytes) return 1;
    (*env)->SetByteArrayRegion(env, bytes, 0, (jsize)length, (const jbyte *)piece);
    wanted = (*env)->CallBooleanMethod(env, r->receiver, r->piece, bytes);
    if ((*env)->ExceptionCheck(env)) wanted = JNI_FALSE;
    (*env)->DeleteLocalRef(env, bytes);
    return !wanted;
}

static int32_t run(JNIEnv *env, jlong context, const int32_t *prompt, jsize count, jlong max_tokens, jobject object, jmethodID piece) {
    receiver r;
    llama2_generate_options options;
    llama2_sampler_options greedy;
    llama2_sampler *sampler;
    int32_t status;
    llama2_sampler_options_init(&greedy);
    greedy.flags = LLAMA2_SAMPLER_GREEDY;
    status = llama2_sampler_create(&greedy, &sampler, NULL, 0);
    if (status != LLAMA2_OK) return status;
    llama2_generate_options_init(&options);
    options.prompt = prompt;
    options.prompt_count = (size_t)count;
    options.max_tokens = (uint64_t)max_tokens;
    r.env = env;
    r.receiver = object;
    r.piece = piece;
    status = llama2_generate((llama2_context *)(intptr_t)context, sampler, &options, object ? receive : NULL, &r);
    llama2_sampler_free(sampler);
    return status;
}

static jmethodID piece_method(JNIEnv *env, jobject object) {
    return object ? (*env)->GetMethodID(env, (*env)->GetObjectClass(env, object), "piece", "([B)Z") : NULL;
}

NATIVE(void, generate)(JNIEnv *env, jclass self, jlong context, jintArray prompt, jlong max_tokens, jobject object) {
    jsize count;
    int32_t *tokens = tokens_of(env, prompt, &count);
    (void)self;
    if (tokens) failed(env, run(env, context, tokens, count, max_tokens, object, piece_method(env, object)));
    free(tokens);
}

/* ---- A thread of C's, attached to the Java machine for the time of a generation ---- */

typedef struct {
    JavaVM *machine;
    jlong context, max_tokens;
    const int32_t *prompt;
    jsize count;
    jobject receiver; /* a global reference: local ones belong to a thread */
    jmethodID piece;  /* found by the caller: the attached thread's class loader does not know the program's classes */
    int32_t status;
    int thrown;
} job;

static void *attached(void *argument) {
    job *j = argument;
    JNIEnv *env;
    if ((*j->machine)->AttachCurrentThread(j->machine, (void **)&env, NULL) != JNI_OK) return NULL;
    j->status = run(env, j->context, j->prompt, j->count, j->max_tokens, j->receiver, j->piece);
    j->thrown = (*env)->ExceptionCheck(env);
    (*env)->ExceptionClear(env);
    (*j->machine)->DetachCurrentThread(j->machine);
    return NULL;
}

NATIVE(void, onThreadOfC)(JNIEnv *env, jclass self, jlong context, jintArray prompt, jlong max_tokens, jobject object) {
    job j;
    pthread_t thread;
    int32_t *tokens = tokens_of(env, prompt, &j.count);
    (void)self;
    if (!tokens) return;
    (*env)->GetJavaVM(env, &j.machine);
    j.context = context;
    j.max_tokens = max_tokens;
    j.prompt = tokens;
    j.receiver = (*env)->NewGlobalRef(env, object);
    j.piece = piece_method(env, object);
    j.status = LLAMA2_E_THREAD;
    j.thrown = 0;
    if (pthread_create(&thread, NULL, attached, &j) == 0) pthread_join(thread, NULL);
    (*env)->DeleteGlobalRef(env, j.receiver);
    free(tokens);
    /* the sentence is that of another thread: the status has to do */
    if (j.thrown || j.status != LLAMA2_OK)
        (*env)->ThrowNew(env, (*env)->FindClass(env, "java/lang/IllegalStateException"),
                         j.thrown ? "the receiver threw" : llama2_status_string(j.status));
}
