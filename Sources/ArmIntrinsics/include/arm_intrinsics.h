/* Intrinsics for Swift. Those that <arm_neon.h> defines as macros are not imported by Swift; the ones the kernels need are
   wrapped here as functions, beside the few that differ between the instruction sets of the modules. */
#ifndef ARM_INTRINSICS_H
#define ARM_INTRINSICS_H
#include <arm_neon.h>

#define L2S_INLINE static inline __attribute__((always_inline))

/* What the CPU and the operating system together offer; NEON itself is part of the architecture. Numbers as Linux has them
   (asm/hwcap.h), so that this compiles without the system's headers. */
unsigned long getauxval(unsigned long type);
static inline int l2s_cpu_has_dot_product(void) { return getauxval(16 /* AT_HWCAP */) >> 20 & 1; }
static inline int l2s_cpu_has_i8mm(void) { return l2s_cpu_has_dot_product() && getauxval(26 /* AT_HWCAP2 */) >> 13 & 1; }

/* An address that is not mapped does nothing. */
L2S_INLINE void l2s_prefetch_l1(const void *p) { __builtin_prefetch(p, 0, 3); }
L2S_INLINE void l2s_prefetch_l2(const void *p) { __builtin_prefetch(p, 0, 2); }

L2S_INLINE uint8x16_t l2s_load(const void *p) { return vld1q_u8((const uint8_t *)p); }
L2S_INLINE void l2s_store(void *p, uint8x16_t x) { vst1q_u8((uint8_t *)p, x); }
L2S_INLINE float32x4_t l2s_load_floats(const float *p) { return vld1q_f32(p); }
L2S_INLINE void l2s_store_floats(float *p, float32x4_t x) { vst1q_f32(p, x); }
/* four halves, side by side or `stride` bytes apart, as floats */
L2S_INLINE float32x4_t l2s_load_halves(const void *p) {
    uint16x4_t h;
    __builtin_memcpy(&h, p, sizeof h);
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}
L2S_INLINE float32x4_t l2s_gather_halves(const void *p, long stride) {
    uint16_t h[4];
    for (int r = 0; r < 4; r++) __builtin_memcpy(h + r, (const char *)p + r * stride, 2);
    const uint16x4_t x = {h[0], h[1], h[2], h[3]};
    return vcvt_f32_f16(vreinterpret_f16_u16(x));
}
L2S_INLINE void l2s_store_halves(void *p, float32x4_t x) {
    const uint16x4_t h = vreinterpret_u16_f16(vcvt_f16_f32(x));
    __builtin_memcpy(p, &h, sizeof h);
}
/* the half in the low 16 bits of each lane, as floats */
L2S_INLINE float32x4_t l2s_low_halves(uint32x4_t x) { return vcvt_f32_f16(vreinterpret_f16_u16(vmovn_u32(x))); }

/* Shifts by a number that is a constant where this is inlined. */
L2S_INLINE uint8x16_t l2s_bytes_right(uint8x16_t x, long by) { return vshlq_u8(x, vdupq_n_s8((int8_t)-by)); }
L2S_INLINE uint8x16_t l2s_bytes_left(uint8x16_t x, long by) { return vshlq_u8(x, vdupq_n_s8((int8_t)by)); }
L2S_INLINE uint32x4_t l2s_lanes_right(uint32x4_t x, long by) { return vshlq_u32(x, vdupq_n_s32((int32_t)-by)); }
L2S_INLINE uint32x4_t l2s_lanes_left(uint32x4_t x, long by) { return vshlq_u32(x, vdupq_n_s32((int32_t)by)); }
L2S_INLINE int32x4_t l2s_signed_right(int32x4_t x, long by) { return vshlq_s32(x, vdupq_n_s32((int32_t)-by)); }

/* 16 signed bytes to four times four integers: number `index` (0 to 3, a constant) of those */
L2S_INLINE int32x4_t l2s_widen(int8x16_t x, long index) {
    const int16x8_t y = index < 2 ? vmovl_s8(vget_low_s8(x)) : vmovl_high_s8(x);
    return index % 2 == 0 ? vmovl_s16(vget_low_s16(y)) : vmovl_high_s16(y);
}
/* the lowest byte of each of sixteen lanes */
L2S_INLINE uint8x16_t l2s_low_bytes(uint32x4_t a, uint32x4_t b, uint32x4_t c, uint32x4_t d) {
    const uint16x8_t x = vuzp1q_u16(vreinterpretq_u16_u32(a), vreinterpretq_u16_u32(b));
    const uint16x8_t y = vuzp1q_u16(vreinterpretq_u16_u32(c), vreinterpretq_u16_u32(d));
    return vuzp1q_u8(vreinterpretq_u8_u16(x), vreinterpretq_u8_u16(y));
}
L2S_INLINE uint8x16_t l2s_load_two(const void *low, const void *high) {
    return vcombine_u8(vld1_u8((const uint8_t *)low), vld1_u8((const uint8_t *)high));
}
L2S_INLINE uint8x16_t l2s_two(uint64_t low, uint64_t high) { return vcombine_u8(vcreate_u8(low), vcreate_u8(high)); }
L2S_INLINE uint8x16_t l2s_four(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    const uint32x4_t x = {a, b, c, d};
    return vreinterpretq_u8_u32(x);
}

/* Sums of products of bytes, |b| at most 127: lane i gains those of bytes 4 i ..< 4 i + 4; with l2s_dot_anywhere their
   total is in the lanes, however it is spread. */
#ifdef __ARM_FEATURE_DOTPROD
L2S_INLINE int32x4_t l2s_dot(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }
L2S_INLINE int32x4_t l2s_dot_anywhere(int32x4_t sum, int8x16_t a, int8x16_t b) { return vdotq_s32(sum, a, b); }
#else
/* two products are at most 2 * 128 * 127 = 32512, which 16 bits hold */
L2S_INLINE int32x4_t l2s_dot(int32x4_t sum, int8x16_t a, int8x16_t b) {
    return vpadalq_s16(sum, vpaddq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)), vmull_high_s8(a, b)));
}
L2S_INLINE int32x4_t l2s_dot_anywhere(int32x4_t sum, int8x16_t a, int8x16_t b) {
    return vpadalq_s16(sum, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(b)), a, b));
}
#endif

/* sum, a 2x2 matrix, and the product of two rows of eight bytes with two others: FEAT_I8MM */
#ifdef __ARM_FEATURE_MATMUL_INT8
L2S_INLINE int l2s_has_matrix_products(void) { return 1; }
L2S_INLINE int32x4_t l2s_multiply_2x2(int32x4_t sum, int8x16_t a, int8x16_t b) { return vmmlaq_s32(sum, a, b); }
#else
L2S_INLINE int l2s_has_matrix_products(void) { return 0; }
L2S_INLINE int32x4_t l2s_multiply_2x2(int32x4_t sum, int8x16_t a, int8x16_t b) { return sum; } /* never called */
#endif
#endif
