/* What the kernels take: one struct an operation, with names. Plain data only, so that the modules of instruction sets share
   it with their callers and no code. Layouts of the operands: Llama2Kernels/Body, at the kernel of each name. */
#ifndef KERNEL_OPERANDS_H
#define KERNEL_OPERANDS_H
#include <stdbool.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/* out[t][row] = sum_k w[row][k] x[t][k], rows of panels first_panel ..< end_panel (16 each); blocks of `type`, ggml's number */
typedef struct {
    const void *data;    /* (rows, columns) blocks, rows row_bytes apart */
    const void *next;    /* what this thread reads after the last panel, to be fetched ahead */
    long row_bytes, rows, columns, first_panel, end_panel;
    const int8_t *q;     /* (tokens / width, columns / 32, width, 32) */
    const float *s;      /* (tokens / width, columns / 32, width) */
    const int32_t *c;    /* (tokens / width, columns / 32, width, 4) */
    long tokens, width;
    float *out;          /* (tokens, out_stride) */
    long out_stride;
    void *scratch;       /* product_scratch_bytes, 64-byte aligned */
    uint32_t type;
} __attribute__((swift_name("ProductOperands"))) l2s_product_operands;

/* The same for a matrix of floats, rows first_row ..< end_row. */
typedef struct {
    const void *data;    /* (rows, columns) of `type` */
    const void *next;
    long columns, first_row, end_row;
    const float *x;      /* (tokens, columns) */
    long tokens;
    float *out;          /* (tokens, out_stride) */
    long out_stride;
    void *scratch;       /* product_scratch_bytes, 64-byte aligned */
    uint32_t type;
} __attribute__((swift_name("FloatProductOperands"))) l2s_float_product_operands;

/* Query rows over the pages of one key-value head: Body/Attention.swift. */
typedef struct {
    const float *q;      /* (rows, head_stride) */
    long rows, group, head_stride;
    float scale;
    const void *_Nonnull const *_Nonnull k_pages;
    const void *_Nonnull const *_Nonnull v_pages;
    long length;
    uint32_t k_type, v_type; /* of keys and values, ggml's numbers: F32, F16, Q4_0, Q8_0 */
    float *out;          /* (rows, head_stride) */
    void *scratch;       /* AttentionScratch, 64-byte aligned */
} __attribute__((swift_name("AttentionOperands"))) l2s_attention_operands;

/* The same for the rows of one position, a part at a time: Body/DividedAttention.swift. */
typedef struct {
    const float *q;      /* (rows, head_stride) */
    long rows, head_stride;
    float scale;
    const void *_Nonnull const *_Nonnull k_pages;
    const void *_Nonnull const *_Nonnull v_pages;
    long length;         /* positions that the rows see */
    uint32_t k_type, v_type;
    long first_page, end_page; /* of scores and weights */
    long first_row, end_row, first_lane, end_lane; /* of the sum of values; lanes in vectors of 16 */
    float *weights;      /* (pages, rows, 64): scores, then weights */
    float *pages;        /* (pages, rows, 3): maximum, factor of what was summed before, sum of the weights */
    float *out;          /* (rows, head_stride) */
    void *scratch;       /* AttentionScratch, 64-byte aligned */
} __attribute__((swift_name("AttentionPartOperands"))) l2s_attention_part_operands;

/* Floats to int8, by blocks of 32: quantizeRow in Body/Vectors.swift. */
typedef struct {
    const float *x;      /* (count) */
    long count, width;
    int8_t *q;
    float *s;
    int32_t *c;
} __attribute__((swift_name("QuantizeOperands"))) l2s_quantize_operands;

/* Floats to blocks of `type`: Body/QuantizeBlocks.swift. */
typedef struct {
    const float *x;      /* (elements count) */
    const float *_Nullable importance; /* (elements count) */
    long count;          /* of blocks */
    void *out, *scratch; /* scratch: Kernels.quantizeScratchBytes */
    uint32_t type;
} __attribute__((swift_name("BlocksOperands"))) l2s_blocks_operands;

/* The kernels of one module, each with its formula in Llama2Kernels/Body. A product or quantize_blocks that answers false has no kernel
   for the type and leaves it to the next module (Matrix.swift, Quantize.swift). */
typedef struct {
    bool (*multiply)(const l2s_product_operands *);
    bool (*multiply_floats)(const l2s_float_product_operands *) __attribute__((swift_name("multiplyFloats")));
    void (*quantize)(const l2s_quantize_operands *);
    bool (*quantize_blocks)(const l2s_blocks_operands *) __attribute__((swift_name("quantizeBlocks")));
    void (*attention)(const l2s_attention_operands *);
    void (*attention_scores)(const l2s_attention_part_operands *) __attribute__((swift_name("attentionScores")));
    void (*attention_weights)(const l2s_attention_part_operands *) __attribute__((swift_name("attentionWeights")));
    void (*attention_values)(const l2s_attention_part_operands *) __attribute__((swift_name("attentionValues")));
    void (*rms_norm)(const float *x, const float *weight, long count, float epsilon, float *out) __attribute__((swift_name("rmsNorm")));
    void (*swiglu)(const float *gate, const float *up, long count, float *out) __attribute__((swift_name("swiGLU")));
    void (*add)(float *x, const float *y, long count);
    void (*rotate_pairs)(float *x, long heads, long head_stride, long pairs, const float *cos_sin) __attribute__((swift_name("rotatePairs")));
    /* x (count) to every stride-th element of out; false: F16 has no number for one of them */
    bool (*store_cache)(const float *x, long count, void *out, long stride, bool half) __attribute__((swift_name("storeCache")));
    /* of 64-byte aligned scratch for either product */
    long product_scratch_bytes __attribute__((swift_name("productScratchBytes")));
} __attribute__((swift_name("KernelTable"))) l2s_kernel_table;

#pragma clang assume_nonnull end

#endif
