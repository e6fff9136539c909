// Copyright 2026 The mnist-text-gen authors. Licensed under the Apache License, Version 2.0.
//
// GPT-2 and the CNN of mnist-text-gen in WebAssembly, for the page without a server. `make wasm` compiles this file;
// kernels.h explains layouts and arithmetic.
#include "kernels.h"

// ---- GPT-2, which reads one token of every text per call.

// y = (x - mean) / sqrt(variance + epsilon) gain + bias; x and y [G][PAD(K)][8]
static void normalize(const float *x, const float *gain, const float *bias, float epsilon, float *y, uint32_t G,
                      uint32_t K) {
  for (uint32_t i = 0; i < G * 2; i++) {
    uint32_t start = i / 2 * PAD(K) * 8 + i % 2 * 4;
    v128_t sum = SPLAT(0), squares = SPLAT(0), share = SPLAT(1.0f / K);
    for (uint32_t k = 0; k < K; k++) sum = ADD(sum, LOAD(x + start + k * 8));
    v128_t mean = MUL(sum, share);
    for (uint32_t k = 0; k < K; k++) {
      v128_t distance = SUB(LOAD(x + start + k * 8), mean);
      squares = ADD(squares, MUL(distance, distance));
    }
    v128_t factor = DIV(SPLAT(1.0f), wasm_f32x4_sqrt(ADD(MUL(squares, share), SPLAT(epsilon))));
    for (uint32_t k = 0; k < K; k++) {
      v128_t distance = MUL(SUB(LOAD(x + start + k * 8), mean), factor);
      STORE(y + start + k * 8, ADD(MUL(distance, SPLAT(gain[k])), SPLAT(bias[k])));
    }
  }
}

typedef struct {
  const float *gain_1, *bias_1, *gain_2, *bias_2;
  const Matrix *qkv, *projection, *expand, *contract;
  float scale;  // factor of the products of queries and keys
} Layer;

static struct {
  uint32_t width, heads, layers, inner, positions, vocabulary, groups;
  int activation;
  float epsilon;
  Layer *layer;                         // [layers]
  const float *tokens, *places;         // embeddings [vocabulary][width], [positions][width]
  const float *final_gain, *final_bias;
  const Matrix *head;
} model;

static float *x, *y, *qkv, *inner, *logits, *attention;
static void *keys, *values;              // the cache, float32 or int8
static float *key_units, *value_units;  // the value of 1 in an int8 cache, [layers][G][heads][T][8]
static int32_t *ids;  // [G][8]

EXPORT("model") int set_model(uint32_t width, uint32_t heads, uint32_t layers, uint32_t inner_width,
                              uint32_t positions, uint32_t vocabulary, int activation, float epsilon) {
  model.width = width, model.heads = heads, model.layers = layers, model.inner = inner_width;
  model.positions = positions, model.vocabulary = vocabulary;
  model.activation = activation, model.epsilon = epsilon;
  model.layer = alloc(layers * sizeof(Layer));
  return model.layer != 0;
}

EXPORT("layer") void set_layer(uint32_t l, const float *gain_1, const float *bias_1, const Matrix *of_qkv,
                               const Matrix *projection, const float *gain_2, const float *bias_2,
                               const Matrix *expand, const Matrix *contract, float scale) {
  model.layer[l] = (Layer){gain_1, bias_1, gain_2, bias_2, of_qkv, projection, expand, contract, scale};
}

EXPORT("ends") void set_ends(const float *tokens, const float *places, const float *gain, const float *bias,
                             const Matrix *head) {
  model.tokens = tokens, model.places = places, model.final_gain = gain, model.final_bias = bias, model.head = head;
}

// For each head and group, keys are [T][D][8] and values [PAD(D)/4][T][4][8], so that four inputs are read in a row.
// If the matrices are integers, the cache is int8, with a unit per vector and text. It is stored in pairs, as for
// `multiply`: keys [T][PAD(D)/2][8][2], and values [PAD(D)/4][T/2][4][8][2], where a pair is two positions.
static uint32_t head_size(void) { return model.width / model.heads; }
static uint32_t num_positions(void) { return PAD(model.positions); }
static uint64_t head_index(uint32_t l, uint32_t g, uint32_t h) {
  return (uint64_t)(l * model.groups + g) * model.heads + h;
}
static uint64_t cache_start(uint32_t l, uint32_t g, uint32_t h) {
  return head_index(l, g, h) * num_positions() * PAD(head_size()) * 8;
}
static int has_integers(void) { return model.layer[0].qkv->scales != 0; }

// Allocates memory for `groups` groups of texts; returns 0 if there is not enough.
EXPORT("room") int make_room(uint32_t groups) {
  uint32_t D = PAD(model.width), widest = PAD(model.inner > model.width ? model.inner : model.width) * groups;
  model.groups = groups;
  uint64_t cache = cache_start(model.layers, 0, 0) * (has_integers() ? 1 : 4);
  uint64_t num_units = has_integers() ? head_index(model.layers, 0, 0) * num_positions() * 8 : 1;
  if (cache > 0xffffffff) return 0;
  struct { void **place; uint32_t bytes; } rooms[] = {
    {(void **)&x, groups * D * 32}, {(void **)&y, groups * D * 32},
    {(void **)&qkv, groups * PAD(3 * model.width) * 32},
    {(void **)&inner, groups * PAD(model.inner) * 32}, {(void **)&logits, groups * PAD(model.vocabulary) * 32},
    {(void **)&attention, num_positions() * 32}, {(void **)&ids, groups * 32}, {(void **)&units, groups * 32},
    {(void **)&integers, (widest + num_positions()) * 16}, {&keys, cache}, {&values, cache},
    {(void **)&key_units, num_units * 4}, {(void **)&value_units, num_units * 4}};
  for (uint32_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
    if (!(*rooms[i].place = alloc(rooms[i].bytes))) return 0;
  return 1;
}

EXPORT("ids_at") int32_t *ids_at(void) { return ids; }
EXPORT("logits_at") float *logits_at(void) { return logits; }  // [G][PAD(vocabulary)][8]

// scores [T][8] = scale q k of one head, for positions 0 to t
static void score_keys(const float *q, const float *k, float *scores, uint32_t t, uint32_t D, float scale) {
  for (uint32_t j = 0; j <= t; j += 4, k += 4 * D * 8) {  // reads some values after t, which are not used
    v128_t sums[8] = {};
    for (uint32_t d = 0; d < D; d++) {
      v128_t low = LOAD(q + d * 8), high = LOAD(q + d * 8 + 4);
      UNROLL for (int i = 0; i < 4; i++) {
        sums[2 * i] = ADD(sums[2 * i], MUL(low, LOAD(k + (i * D + d) * 8)));
        sums[2 * i + 1] = ADD(sums[2 * i + 1], MUL(high, LOAD(k + (i * D + d) * 8 + 4)));
      }
    }
    UNROLL for (int i = 0; i < 8; i++) STORE(scores + j * 8 + i * 4, MUL(sums[i], SPLAT(scale)));
  }
}

static void softmax(float *scores, uint32_t t) {  // over positions 0 to t of [T][8], in place
  for (uint32_t half = 0; half < 8; half += 4) {
    float *s = scores + half;
    v128_t largest = LOAD(s), sum = SPLAT(0);
    for (uint32_t j = 1; j <= t; j++) largest = MAX(largest, LOAD(s + j * 8));
    for (uint32_t j = 0; j <= t; j++) {
      v128_t power = exp4(SUB(LOAD(s + j * 8), largest));
      STORE(s + j * 8, power);
      sum = ADD(sum, power);
    }
    for (uint32_t j = 0; j <= t; j++) STORE(s + j * 8, DIV(LOAD(s + j * 8), sum));
  }
}

// out [D][8] = sum over positions 0 to t of weights [T][8] times values
static void mix_values(const float *weights, const float *v, float *out, uint32_t t, uint32_t D) {
  for (uint32_t d = 0; d < D; d += 4, v += num_positions() * 32) {
    v128_t sums[8] = {};
    for (uint32_t j = 0; j <= t; j++) {
      v128_t low = LOAD(weights + j * 8), high = LOAD(weights + j * 8 + 4);
      UNROLL for (int i = 0; i < 4; i++) {
        sums[2 * i] = ADD(sums[2 * i], MUL(low, LOAD(v + j * 32 + i * 8)));
        sums[2 * i + 1] = ADD(sums[2 * i + 1], MUL(high, LOAD(v + j * 32 + i * 8 + 4)));
      }
    }
    UNROLL for (int i = 0; i < 8; i++)
      if (d + i / 2 < D) STORE(out + d * 8 + i * 4, sums[i]);
  }
}

// The same two in integers: q is int16 [PAD(D)/2][8][2] in units `unit` [8], and keys are int8 in units `k_units`.
static void score_integer_keys(const int16_t *q, const float *unit, const int8_t *k, const float *k_units,
                               float *scores, uint32_t t, uint32_t D, float scale) {
  for (uint32_t j = 0; j <= t; j += 4, k += 4 * D * 8) {
    v128_t sums[8] = {};
    for (uint32_t d = 0; d < D; d += 2) {
      v128_t low = LOAD(q + d * 8), high = LOAD(q + d * 8 + 8);
      UNROLL for (int i = 0; i < 4; i++) {
        const int8_t *key = k + (i * D + d) * 8;
        sums[2 * i] = wasm_i32x4_add(sums[2 * i], wasm_i32x4_dot_i16x8(low, wasm_i16x8_load8x8(key)));
        sums[2 * i + 1] = wasm_i32x4_add(sums[2 * i + 1], wasm_i32x4_dot_i16x8(high, wasm_i16x8_load8x8(key + 8)));
      }
    }
    UNROLL for (int i = 0; i < 8; i++) {
      v128_t worth = MUL(MUL(LOAD(unit + i % 2 * 4), SPLAT(scale)), LOAD(k_units + j * 8 + i * 4));
      STORE(scores + j * 8 + i * 4, MUL(wasm_f32x4_convert_i32x4(sums[i]), worth));
    }
  }
}

// weights are int16 [T/2][8][2] in units `unit` [8]
static void mix_integer_values(const int16_t *weights, const float *unit, const int8_t *v, float *out, uint32_t t,
                               uint32_t D) {
  for (uint32_t d = 0; d < D; d += 4, v += num_positions() * 32) {
    v128_t sums[8] = {};
    for (uint32_t j = 0; j <= t; j += 2) {
      v128_t low = LOAD(weights + j * 8), high = LOAD(weights + j * 8 + 8);
      UNROLL for (int i = 0; i < 4; i++) {
        const int8_t *value = v + j * 32 + i * 16;
        sums[2 * i] = wasm_i32x4_add(sums[2 * i], wasm_i32x4_dot_i16x8(low, wasm_i16x8_load8x8(value)));
        sums[2 * i + 1] = wasm_i32x4_add(sums[2 * i + 1], wasm_i32x4_dot_i16x8(high, wasm_i16x8_load8x8(value + 8)));
      }
    }
    UNROLL for (int i = 0; i < 8; i++)
      if (d + i / 2 < D) STORE(out + d * 8 + i * 4, MUL(wasm_f32x4_convert_i32x4(sums[i]), LOAD(unit + i % 2 * 4)));
  }
}

// Stores x [D][8] at position t of the int8 keys or values `to`, and the value of 1 in `units` [8].
static void store_integers(const float *x, int8_t *to, float *units, uint32_t D, uint32_t t, int is_value) {
  for (uint32_t half = 0; half < 8; half += 4) {
    v128_t largest = SPLAT(1e-20f);
    for (uint32_t d = 0; d < D; d++) largest = MAX(largest, wasm_f32x4_abs(LOAD(x + d * 8 + half)));
    STORE(units + half, DIV(largest, SPLAT(127.0f)));
    v128_t factor = DIV(SPLAT(127.0f), largest);
    for (uint32_t d = 0; d < D; d++) {
      uint32_t of_value = d / 4 * num_positions() * 32 + t / 2 * 64 + d % 4 * 16 + t % 2;
      int8_t *place = to + 2 * half + (is_value ? of_value : t * PAD(D) * 8 + d / 2 * 16 + d % 2);
      v128_t integer = TO_INT(MUL(LOAD(x + d * 8 + half), factor));
      place[0] = wasm_i32x4_extract_lane(integer, 0), place[2] = wasm_i32x4_extract_lane(integer, 1);
      place[4] = wasm_i32x4_extract_lane(integer, 2), place[6] = wasm_i32x4_extract_lane(integer, 3);
    }
  }
}

static void attend_in_floats(const float *q, const float *key, const float *value, float *k, float *v, float *out,
                             uint32_t t, uint32_t D, float scale) {
  for (uint32_t i = 0; i < D * 8; i += 4) {
    STORE(k + t * D * 8 + i, LOAD(key + i));
    STORE(v + (i / 32 * num_positions() + t) * 32 + i % 32, LOAD(value + i));
  }
  score_keys(q, k, attention, t, D, scale);
  softmax(attention, t);
  mix_values(attention, v, out, t, D);
}

static void attend_in_integers(const float *q, const float *key, const float *value, int8_t *k, int8_t *v,
                               float *k_units, float *v_units, float *out, uint32_t t, uint32_t D, float scale) {
  store_integers(key, k, k_units + t * 8, D, t, 0);
  store_integers(value, v, v_units + t * 8, D, t, 1);
  quantize(q, integers, units, 1, D);
  score_integer_keys(integers, units, k, k_units, attention, t, PAD(D), scale);
  softmax(attention, t);
  for (uint32_t i = 0; i < PAD(t + 1) * 8; i += 4)
    STORE(attention + i, i <= t * 8 + 4 ? MUL(LOAD(attention + i), LOAD(v_units + i)) : SPLAT(0));
  quantize(attention, integers, units, 1, t + 1);
  mix_integer_values(integers, units, v, out, t, D);
}

// Causal attention of the token at position t, whose queries, keys and values are [G][3][heads][D][8]; `out` is
// [G][heads][D][8].
static void attend(uint32_t l, uint32_t t, float *out, uint32_t G) {
  uint32_t D = head_size(), E = model.width;
  float scale = model.layer[l].scale;
  for (uint32_t g = 0; g < G; g++)
    for (uint32_t h = 0; h < model.heads; h++) {
      const float *q = qkv + (g * PAD(3 * E) + h * D) * 8, *key = q + E * 8, *value = q + 2 * E * 8;
      float *mixed = out + (g * PAD(E) + h * D) * 8;
      uint64_t start = cache_start(l, g, h), first = head_index(l, g, h) * num_positions() * 8;
      if (has_integers())
        attend_in_integers(q, key, value, (int8_t *)keys + start, (int8_t *)values + start, key_units + first,
                           value_units + first, mixed, t, D, scale);
      else
        attend_in_floats(q, key, value, (float *)keys + start, (float *)values + start, mixed, t, D, scale);
    }
}

// Computes the logits of the tokens that follow the ids at position t, for the texts in the first G groups.
EXPORT("step") void step(uint32_t t, uint32_t G) {
  uint32_t E = model.width;
  for (uint32_t text = 0; text < G * 8; text++) {
    float *to = x + text / 8 * PAD(E) * 8 + text % 8;
    for (uint32_t i = 0; i < E; i++) to[i * 8] = model.tokens[ids[text] * E + i] + model.places[t * E + i];
  }
  for (uint32_t l = 0; l < model.layers; l++) {
    const Layer *layer = model.layer + l;
    normalize(x, layer->gain_1, layer->bias_1, model.epsilon, y, G, E);
    multiply(layer->qkv, y, qkv, G, WRITE);
    attend(l, t, y, G);
    multiply(layer->projection, y, x, G, ADD_TO);
    normalize(x, layer->gain_2, layer->bias_2, model.epsilon, y, G, E);
    multiply(layer->expand, y, inner, G, model.activation);
    multiply(layer->contract, inner, x, G, ADD_TO);
  }
  normalize(x, model.final_gain, model.final_bias, model.epsilon, y, G, E);
  multiply(model.head, y, logits, G, WRITE);
}

// Copies n elements of a text, at `from`, to those of another text, at `to`; the texts of a group are side by side.
static void copy_floats(float *array, uint64_t from, uint64_t to, uint32_t n) {
  for (uint32_t i = 0; i < n * 8; i += 8) array[to + i] = array[from + i];
}
static void copy_pairs(int16_t *array, uint64_t from, uint64_t to, uint32_t n) {
  for (uint32_t i = 0; i < n * 8; i += 8) array[to + i] = array[from + i];
}

// Copies the cache of the first n positions of text `from` to text `to`.
EXPORT("fork") void fork(uint32_t from, uint32_t to, uint32_t n) {
  uint32_t D = head_size(), T = num_positions(), is_integer = has_integers(), a = from % 8, b = to % 8;
  for (uint32_t l = 0; l < model.layers; l++)
    for (uint32_t h = 0; h < model.heads; h++) {
      uint64_t source = cache_start(l, from / 8, h), target = cache_start(l, to / 8, h);
      uint64_t unit = head_index(l, from / 8, h) * T * 8 + a, new_unit = head_index(l, to / 8, h) * T * 8 + b;
      if (is_integer) {
        source /= 2, target /= 2;  // in pairs
        copy_pairs(keys, source + a, target + b, n * PAD(D) / 2);
        for (uint32_t d = 0; d < D; d += 4)
          copy_pairs(values, source + d * T * 4 + a, target + d * T * 4 + b, (n + 1) / 2 * 4);
        copy_floats(key_units, unit, new_unit, n);
        copy_floats(value_units, unit, new_unit, n);
      } else {
        copy_floats(keys, source + a, target + b, n * D);
        for (uint32_t d = 0; d < D; d += 4) copy_floats(values, source + d * T * 8 + a, target + d * T * 8 + b, n * 4);
      }
    }
}

// ---- The CNN, on groups of 8 images.

// out [S][S][PAD(N)][8] = ReLU of a 3x3 convolution of in [S][S][PAD(C)][8], with zeros around it. The matrix is
// [9 C][N], and `patches` is memory for the inputs of a row of pixels, [S][PAD(9 C)][8].
EXPORT("convolve") void convolve(const Matrix *m, const float *in, float *out, float *patches, uint32_t S) {
  uint32_t C = m->K / 9;
  for (uint32_t row = 0; row < S; row++) {
    for (uint32_t i = 0; i < S * 9; i++) {
      uint32_t above = row + i % 9 / 3, left = i / 9 + i % 3;  // the place of the tap plus one
      int inside = above >= 1 && above <= S && left >= 1 && left <= S;
      const float *from = in + ((above - 1) * S + left - 1) * PAD(C) * 8;
      float *to = patches + (i / 9 * PAD(9 * C) + i % 9 * C) * 8;
      for (uint32_t c = 0; c < C * 8; c += 4) STORE(to + c, inside ? LOAD(from + c) : SPLAT(0));
    }
    multiply(m, patches, out + row * S * PAD(m->N) * 8, S, RELU);
  }
}

// out [S/2][S/2][n][8] = the largest of each 2x2 block of in [S][S][n][8]
EXPORT("pool") void pool(const float *in, float *out, uint32_t S, uint32_t n) {
  for (uint32_t i = 0; i < (S / 2) * (S / 2); i++) {
    const float *corner = in + (i / (S / 2) * 2 * S + i % (S / 2) * 2) * n * 8;
    for (uint32_t c = 0; c < n * 8; c += 4) {
      v128_t upper = MAX(LOAD(corner + c), LOAD(corner + n * 8 + c));
      v128_t lower = MAX(LOAD(corner + S * n * 8 + c), LOAD(corner + (S + 1) * n * 8 + c));
      STORE(out + i * n * 8 + c, MAX(upper, lower));
    }
  }
}

EXPORT("linear") void linear(const Matrix *m, const float *in, float *out) { multiply(m, in, out, 1, WRITE); }

// ---- Noise: numpy's Philox(SeedSequence(words)).random_raw(n), as doubles in (0, 1), as `uniform_noise` in Python.

static uint32_t hash(uint32_t value, uint32_t *constant, uint32_t factor) {
  value ^= *constant;
  *constant *= factor;
  value *= *constant;
  return value ^ value >> 16;
}

static uint32_t mix(uint32_t a, uint32_t b) {
  uint32_t mixed = 0xca01f9ddu * a - 0x4973f715u * b;
  return mixed ^ mixed >> 16;
}

// SeedSequence: M. E. O'Neill, "Developing a seed_seq alternative" (2015), with a pool of four words
static void seed_key(const uint32_t *words, uint32_t n, uint64_t key[2]) {
  uint32_t pool[4], constant = 0x43b0d7e5u, out[4];
  for (uint32_t i = 0; i < 4; i++) pool[i] = hash(i < n ? words[i] : 0, &constant, 0x931e8875u);
  for (uint32_t from = 0; from < 4; from++)
    for (uint32_t to = 0; to < 4; to++)
      if (from != to) pool[to] = mix(pool[to], hash(pool[from], &constant, 0x931e8875u));
  for (uint32_t from = 4; from < n; from++)
    for (uint32_t to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(words[from], &constant, 0x931e8875u));
  constant = 0x8b51f9ddu;
  for (uint32_t i = 0; i < 4; i++) out[i] = hash(pool[i], &constant, 0x58f38dedu);
  key[0] = out[0] | (uint64_t)out[1] << 32, key[1] = out[2] | (uint64_t)out[3] << 32;
}

static uint64_t high_half(uint64_t a, uint64_t b) {  // the upper 64 of the 128 bits of a b
  uint64_t low = (a & 0xffffffff) * (b & 0xffffffff), one = (a >> 32) * (b & 0xffffffff) + (low >> 32);
  uint64_t other = (a & 0xffffffff) * (b >> 32) + (one & 0xffffffff);
  return (a >> 32) * (b >> 32) + (one >> 32) + (other >> 32);
}

// Philox4x64-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011)
EXPORT("uniform") void uniform(const uint32_t *words, uint32_t num_words, double *out, uint32_t n) {
  uint64_t key[2];
  seed_key(words, num_words, key);
  for (uint32_t i = 0; i < n; i += 4) {
    uint64_t c[4] = {i / 4 + 1, 0, 0, 0}, k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++, k0 += 0x9e3779b97f4a7c15u, k1 += 0xbb67ae8584caa73bu) {
      uint64_t a = c[0], b = c[2];
      c[0] = high_half(0xca5a826395121157u, b) ^ c[1] ^ k0, c[1] = 0xca5a826395121157u * b;
      c[2] = high_half(0xd2e7470ee14c6c93u, a) ^ c[3] ^ k1, c[3] = 0xd2e7470ee14c6c93u * a;
    }
    for (uint32_t j = i; j < i + 4 && j < n; j++) {
      double u = ((double)(c[j - i] >> 11) + 0.5) * 0x1p-53;
      out[j] = u < 1 ? u : 1 - 0x1p-53;
    }
  }
}
