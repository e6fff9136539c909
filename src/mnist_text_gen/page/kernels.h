// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
//
// The kernels of engine.c: memory, functions of four numbers, and products of matrices.
//
// Eight texts (or images) are a group. They are side by side in the lanes of two SIMD registers: element i of a group's
// vector is 8 floats, one per text, and a kernel applies the same operations to all of them. So a text depends neither
// on its neighbours nor on their number. Only plain SIMD is used, whose results are standardized to the last bit, in
// contrast to relaxed SIMD: a seed gives the same text in every browser.
//
// Shapes are written as in Python: G groups, K inputs, N outputs, T positions, D the size of a head, [8] the texts of a
// group. PAD(n) is n rounded up to a multiple of 4. Activations are [G][PAD(n)][8], with zeros at the end.
#pragma once
#include <stdint.h>
#include <wasm_simd128.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define PAD(n) (((n) + 3) & ~3u)
#define COLUMNS 6  // columns of a matrix at a time: 12 sums, 2 inputs and a weight fill the 16 registers of SSE
#define LOAD(p) wasm_v128_load(p)
#define STORE(p, x) wasm_v128_store(p, x)
#define SPLAT(x) wasm_f32x4_splat(x)
#define ADD(a, b) wasm_f32x4_add(a, b)
#define SUB(a, b) wasm_f32x4_sub(a, b)
#define MUL(a, b) wasm_f32x4_mul(a, b)
#define DIV(a, b) wasm_f32x4_div(a, b)
#define MAX(a, b) wasm_f32x4_max(a, b)
#define TO_INT(x) wasm_i32x4_trunc_sat_f32x4(wasm_f32x4_nearest(x))

// ---- Memory, which only grows; `alloc` returns 0 if there is no more.

extern uint8_t __heap_base;
static uintptr_t heap;

EXPORT("alloc") void *alloc(uint32_t bytes) {
  if (!heap) heap = ((uintptr_t)&__heap_base + 63) & ~63u;
  uint64_t end = heap + ((uint64_t)bytes + 63) / 64 * 64;
  uint64_t pages = (end + 65535) >> 16, held = __builtin_wasm_memory_size(0);
  if (pages > 65535) return 0;
  if (pages > held && __builtin_wasm_memory_grow(0, pages - held) == (uintptr_t)-1) return 0;
  void *start = (void *)heap;
  heap = end;
  return start;
}

// ---- Functions of four numbers.

// e^x = 2^n e^r with r = x - n ln 2, |r| <= ln 2 / 2; the polynomial is that of Moshier's Cephes, `expf`
INLINE v128_t exp4(v128_t x) {
  x = wasm_f32x4_min(MAX(x, SPLAT(-87.0f)), SPLAT(88.0f));
  v128_t n = wasm_f32x4_nearest(MUL(x, SPLAT(1.44269504088896341f)));
  v128_t r = SUB(SUB(x, MUL(n, SPLAT(0.693359375f))), MUL(n, SPLAT(-2.12194440e-4f)));
  v128_t p = SPLAT(1.9875691500e-4f);
  p = ADD(MUL(p, r), SPLAT(1.3981999507e-3f));
  p = ADD(MUL(p, r), SPLAT(8.3334519073e-3f));
  p = ADD(MUL(p, r), SPLAT(4.1665795894e-2f));
  p = ADD(MUL(p, r), SPLAT(1.6666665459e-1f));
  p = ADD(MUL(p, r), SPLAT(5.0000001201e-1f));
  p = ADD(MUL(p, MUL(r, r)), ADD(r, SPLAT(1.0f)));
  v128_t power = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(n), wasm_i32x4_splat(127)), 23);
  return MUL(p, power);
}

// x/2 (1 + tanh(u)) = x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x^3): Transformers' gelu_new, gelu_pytorch_tanh
INLINE v128_t gelu_tanh(v128_t x) {
  v128_t u = MUL(x, ADD(MUL(MUL(x, x), SPLAT(0.044715f * 0.7978845608f)), SPLAT(0.7978845608f)));
  return DIV(x, ADD(SPLAT(1.0f), exp4(MUL(u, SPLAT(-2.0f)))));
}

// x/2 (1 + erf(x / sqrt 2)): Transformers' gelu. erf to 1.5e-7: Abramowitz and Stegun, 7.1.26
INLINE v128_t gelu_erf(v128_t x) {
  v128_t z = MUL(wasm_f32x4_abs(x), SPLAT(0.70710678f));
  v128_t t = DIV(SPLAT(1.0f), ADD(SPLAT(1.0f), MUL(z, SPLAT(0.3275911f))));
  v128_t p = SPLAT(1.061405429f);
  p = ADD(MUL(p, t), SPLAT(-1.453152027f));
  p = ADD(MUL(p, t), SPLAT(1.421413741f));
  p = ADD(MUL(p, t), SPLAT(-0.284496736f));
  p = ADD(MUL(p, t), SPLAT(0.254829592f));
  v128_t tail = MUL(MUL(p, t), exp4(MUL(MUL(z, z), SPLAT(-1.0f))));  // 1 - erf z
  v128_t negative = wasm_f32x4_lt(x, SPLAT(0.0f));
  v128_t twice = wasm_v128_bitselect(tail, SUB(SPLAT(2.0f), tail), negative);
  return MUL(MUL(x, SPLAT(0.5f)), twice);
}

// ---- Products of matrices, in float32 or in integers.

// A weight [K][N], split into panels of 6 columns. In float32 a panel is [PAD(K)][6]. With `scales`, column n is
// scales[n] times 8-bit integers, and a panel is int16 [PAD(K)/2][6][2], so that one instruction multiplies two rows
// and adds the two products.
typedef struct {
  uint32_t K, N;
  const void *panels;
  const float *bias, *scales;  // [N], in whole panels
} Matrix;

static const float *copy(const float *from, uint32_t n) {
  float *to = alloc((n + COLUMNS) * 4);
  for (uint32_t i = 0; to && i < n; i++) to[i] = from[i];
  return to;
}

// `bias` and `scales` may be 0; `weights` are float32, or int8 if there are scales.
EXPORT("matrix") Matrix *matrix(const void *weights, const float *scales, const float *bias, uint32_t K, uint32_t N) {
  uint32_t num_panels = (N + COLUMNS - 1) / COLUMNS;
  Matrix *m = alloc(sizeof(Matrix));
  void *panels = alloc(num_panels * PAD(K) * COLUMNS * (scales ? 2 : 4));  // all zero, also the padding
  float *zeros = alloc((N + COLUMNS) * 4);
  if (!m || !panels || !zeros) return 0;
  for (uint32_t n = 0; n < N; n++) {
    uint32_t start = n / COLUMNS * PAD(K) * COLUMNS, column = n % COLUMNS;
    for (uint32_t k = 0; k < K; k++) {
      if (scales)
        ((int16_t *)panels)[start + (k / 2 * COLUMNS + column) * 2 + k % 2] = ((const int8_t *)weights)[k * N + n];
      else
        ((float *)panels)[start + k * COLUMNS + column] = ((const float *)weights)[k * N + n];
    }
  }
  *m = (Matrix){K, N, panels, bias ? copy(bias, N) : zeros, scales ? copy(scales, N) : 0};
  return m->bias && (m->scales || !scales) ? m : 0;
}

// The largest integer of activations: the sum of `num_terms` products with 127 must fit in 32 bits.
INLINE float largest_integer(uint32_t num_terms) {
  uint32_t largest = 2147483647u / 127 / num_terms;
  return largest < 32767 ? largest : 32767;
}

INLINE v128_t pair(v128_t low, v128_t high) {  // int16 [4][2] from two int32 [4]
  return wasm_v128_or(wasm_v128_and(low, wasm_i32x4_splat(0xffff)), wasm_i32x4_shl(high, 16));
}

// x [G][PAD(K)][8] -> integers, int16 [G][PAD(K)/2][8][2], and the value of 1 for each text, `units` [G][8]
static void quantize(const float *x, int16_t *integers, float *units, uint32_t G, uint32_t K) {
  v128_t top = SPLAT(largest_integer(K)), tiny = SPLAT(1e-20f);
  for (uint32_t i = 0; i < G * 2; i++) {
    uint32_t g = i / 2, half = i % 2 * 4;
    const float *in = x + g * PAD(K) * 8 + half;
    v128_t largest = tiny;
    for (uint32_t k = 0; k < K; k++) largest = MAX(largest, wasm_f32x4_abs(LOAD(in + k * 8)));
    STORE(units + g * 8 + half, DIV(largest, top));
    v128_t factor = DIV(top, largest);
    for (uint32_t k = 0; k < PAD(K); k += 2) {
      v128_t low = TO_INT(MUL(LOAD(in + k * 8), factor)), high = TO_INT(MUL(LOAD(in + k * 8 + 8), factor));
      STORE(integers + (g * PAD(K) + k) * 8 + half * 2, pair(low, high));
    }
  }
}

// The products of 6 columns with one group: sums [6][8] as pairs of registers.
INLINE void multiply_floats(const float *x, const float *panel, uint32_t K, v128_t *sums) {
  for (uint32_t k = 0; k < PAD(K); k += 4)
    UNROLL for (int i = 0; i < 4; i++, x += 8, panel += COLUMNS) {
      v128_t low = LOAD(x), high = LOAD(x + 4);
      UNROLL for (int n = 0; n < COLUMNS; n++) {
        v128_t weight = wasm_v128_load32_splat(panel + n);
        sums[2 * n] = ADD(sums[2 * n], MUL(weight, low));
        sums[2 * n + 1] = ADD(sums[2 * n + 1], MUL(weight, high));
      }
    }
}

INLINE void multiply_integers(const int16_t *x, const int16_t *panel, uint32_t K, v128_t *sums) {
  for (uint32_t k = 0; k < PAD(K); k += 4)
    UNROLL for (int i = 0; i < 2; i++, x += 16, panel += 2 * COLUMNS) {
      v128_t low = LOAD(x), high = LOAD(x + 8);
      UNROLL for (int n = 0; n < COLUMNS; n++) {
        v128_t weights = wasm_v128_load32_splat(panel + 2 * n);  // from two rows
        sums[2 * n] = wasm_i32x4_add(sums[2 * n], wasm_i32x4_dot_i16x8(weights, low));
        sums[2 * n + 1] = wasm_i32x4_add(sums[2 * n + 1], wasm_i32x4_dot_i16x8(weights, high));
      }
    }
}

enum { WRITE, ADD_TO, GELU_TANH, GELU_ERF, RELU };  // how a product is stored

// sums [6][8] (fewer columns in a last panel) plus their bias -> y [6][8]
INLINE void finish(const v128_t *sums, const float *bias, uint32_t num_columns, float *y, int how) {
  UNROLL for (uint32_t i = 0; i < 2 * COLUMNS; i++) {
    if (i / 2 >= num_columns) break;
    v128_t sum = ADD(sums[i], wasm_v128_load32_splat(bias + i / 2));
    if (how == ADD_TO) sum = ADD(sum, LOAD(y + i * 4));
    if (how == GELU_TANH) sum = gelu_tanh(sum);
    if (how == GELU_ERF) sum = gelu_erf(sum);
    if (how == RELU) sum = MAX(sum, SPLAT(0.0f));
    STORE(y + i * 4, sum);
  }
}

static void multiply_in_floats(const Matrix *m, const float *x, float *y, uint32_t G, int how) {
  for (uint32_t first = 0; first < m->N; first += COLUMNS)
    for (uint32_t g = 0; g < G; g++) {
      v128_t sums[2 * COLUMNS] = {};
      multiply_floats(x + g * PAD(m->K) * 8, (const float *)m->panels + first * PAD(m->K), m->K, sums);
      finish(sums, m->bias + first, m->N - first, y + (g * PAD(m->N) + first) * 8, how);
    }
}

static int16_t *integers;  // the quantized activations of one product
static float *units;

static void multiply_in_integers(const Matrix *m, const float *x, float *y, uint32_t G, int how) {
  quantize(x, integers, units, G, m->K);
  for (uint32_t first = 0; first < m->N; first += COLUMNS)
    for (uint32_t g = 0; g < G; g++) {
      v128_t sums[2 * COLUMNS] = {};
      multiply_integers(integers + g * PAD(m->K) * 8, (const int16_t *)m->panels + first * PAD(m->K), m->K, sums);
      UNROLL for (int i = 0; i < 2 * COLUMNS; i++) {
        v128_t unit = MUL(wasm_v128_load32_splat(m->scales + first + i / 2), LOAD(units + g * 8 + i % 2 * 4));
        sums[i] = MUL(wasm_f32x4_convert_i32x4(sums[i]), unit);
      }
      finish(sums, m->bias + first, m->N - first, y + (g * PAD(m->N) + first) * 8, how);
    }
}

// y [G][PAD(N)][8] = x [G][PAD(K)][8] times the matrix, plus its bias
static void multiply(const Matrix *m, const float *x, float *y, uint32_t G, int how) {
  if (m->scales)
    multiply_in_integers(m, x, y, G, how);
  else
    multiply_in_floats(m, x, y, G, how);
}
