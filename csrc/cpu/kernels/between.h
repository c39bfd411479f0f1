// Norm, turned heads and gate, forward and backward. Sums run in a fixed order, so that a result does not depend on
// threads; on another instruction set their last bits differ.
#pragma once

#include "cache.h"
#include "simd.h"
#include "tokenmask/between.h"

namespace tokenmask::TM_ISA {

// Calls step(at, load, store) for each vector of a row; the last one, if it is not whole, goes through a copy that zeros
// fill up. load(from) gives the vector of an array at this place, store(to, vector) writes it.
template <typename Step>
TM_HOST_DEVICE void over_row(int64_t width, const Step& step) {
  int64_t at = 0;
  for (; at + kLanes <= width; at += kLanes) {
    step([at](const float* from) __attribute__((always_inline)) { return tokenmask::TM_ISA::load<Floats>(from + at); },
         [at](float* to, Floats v) __attribute__((always_inline)) { tokenmask::TM_ISA::store(to + at, v); });
  }
  if (at == width) return;
  const size_t bytes = size_t(width - at) * sizeof(float);
  step(
      [at, bytes](const float* from) __attribute__((always_inline)) {
        Floats v = {};
        memcpy(&v, from + at, bytes);
        return v;
      },
      [at, bytes](float* to, Floats v) __attribute__((always_inline)) { memcpy(to + at, &v, bytes); });
}

TM_HOST_DEVICE float scale_of(const float* x, int64_t width, float eps) {
  Floats squares = {};
  over_row(width, [&](auto load, auto) __attribute__((always_inline)) {
    const Floats v = load(x);
    squares = fused(v, v, squares);
  });
  return 1.0f / __builtin_sqrtf(sum_lanes(squares) / float(width) + eps);
}

inline void rms_norm(const RmsNormArgs& args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float* x = args.x + row * args.width;
    float* out = args.out + row * args.width;
    const float scale = scale_of(x, args.width, args.eps);
    args.scale[row] = scale;
    over_row(args.width, [&](auto load, auto store)
                             __attribute__((always_inline)) { store(out, load(x) * scale * load(args.weight)); });
  }
}

// One row: with n = x * scale, for_x = (w g - n mean(w g n)) * scale and for_weight += g n. for_x may be grad.
TM_HOST_DEVICE void norm_back(const float* grad, const float* x, float scale, const float* weight, int64_t width,
                              float* for_x, float* for_weight) {
  Floats products = {};
  over_row(width, [&](auto load, auto store) __attribute__((always_inline)) {
    const Floats each = load(grad) * (load(x) * scale);
    products = fused(each, load(weight), products);
    store(for_weight, load(for_weight) + each);
  });
  const float shared = -sum_lanes(products) / float(width);
  over_row(width, [&](auto load, auto store) __attribute__((always_inline)) {
    store(for_x, fused(load(x) * scale, all(shared), load(grad) * load(weight)) * scale);
  });
}

inline void rms_norm_backward(const RmsNormBackwardArgs& args, int64_t begin, int64_t end) {
  for (int64_t block = begin; block < end; ++block) {
    float* sums = args.for_weight + block * args.width;
    memset(sums, 0, size_t(args.width) * sizeof(float));
    const int64_t last = (block + 1) * kSumRows < args.rows ? (block + 1) * kSumRows : args.rows;
    for (int64_t row = block * kSumRows; row < last; ++row) {
      const int64_t at = row * args.width;
      norm_back(args.grad + at, args.x + at, args.scale[row], args.weight, args.width, args.for_x + at, sums);
    }
  }
}

inline void turn_heads(const TurnHeadsArgs& args, int64_t begin, int64_t end) {
  const int64_t width = args.heads * args.size;
  for (int64_t row = begin; row < end; ++row) {
    const int64_t turn = row * args.size;
    for (int64_t head = 0; head < args.heads; ++head) {
      const float* query = args.qkv + row * 3 * width + head * args.size;
      const float* key = query + width;
      const int64_t at = row * width + head * args.size;
      scale_and_turn(query, scale_of(query, args.size, args.eps), args.query_weight, args.query_cos + turn,
                     args.query_sin + turn, args.size, args.query + at);
      scale_and_turn(key, scale_of(key, args.size, args.eps), args.key_weight, args.cos + turn, args.sin + turn,
                     args.size, args.key + at);
    }
  }
}

// The gradient of x * cos + swap(x) * sin: g * cos + swap(g * sin).
TM_HOST_DEVICE void turn_back(const float* grad, const float* cos, const float* sin, int64_t size, float* out) {
  const int64_t half = size / 2;
  over_row(half, [&](auto load, auto store) __attribute__((always_inline)) {
    const Floats a = load(grad), b = load(grad + half);
    store(out, fused(b, load(sin + half), a * load(cos)));
    store(out + half, fused(a, load(sin), b * load(cos + half)));
  });
}

TM_HOST_DEVICE void head_back(const float* grad, const float* x, const float* weight, const float* cos,
                              const float* sin, const TurnHeadsArgs& of, float* out, float* sums) {
  turn_back(grad, cos, sin, of.size, out);
  norm_back(out, x, scale_of(x, of.size, of.eps), weight, of.size, out, sums);
}

inline void turn_heads_backward(const TurnHeadsBackwardArgs& args, int64_t begin, int64_t end) {
  const TurnHeadsArgs& of = args.forward;
  const int64_t width = of.heads * of.size;
  for (int64_t block = begin; block < end; ++block) {
    float* sums = args.for_weights + block * 2 * of.size;
    memset(sums, 0, size_t(2 * of.size) * sizeof(float));
    const int64_t last = (block + 1) * kSumRows < of.rows ? (block + 1) * kSumRows : of.rows;
    for (int64_t row = block * kSumRows; row < last; ++row) {
      const int64_t turn = row * of.size;
      for (int64_t head = 0; head < of.heads; ++head) {
        const int64_t at = row * width + head * of.size, packed = row * 3 * width + head * of.size;
        head_back(args.query + at, of.qkv + packed, of.query_weight, of.query_cos + turn, of.query_sin + turn, of,
                  args.for_qkv + packed, sums);
        head_back(args.key + at, of.qkv + packed + width, of.key_weight, of.cos + turn, of.sin + turn, of,
                  args.for_qkv + packed + width, sums + of.size);
      }
      memcpy(args.for_qkv + (row * 3 + 2) * width, args.value + row * width, size_t(width) * sizeof(float));
    }
  }
}

struct Shares {
  Floats on, off;
};

// 1 / (1 + exp(-x)) and what it lacks of 1, each to its own last bits, of any x; NaN stays.
TM_HOST_DEVICE Shares sigmoid(Floats x) {
  const Floats part = exp_of_negative(-larger(x, -x)), most = 1.0f / (1.0f + part), least = part * most;
  const Mask negative = less(x, Floats{}), none = unordered(x, x);
  return {select(none, x, select(negative, least, most)), select(none, x, select(negative, most, least))};
}

inline void gate(const GateArgs& args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float *gates = args.x + row * 2 * args.width, *ups = gates + args.width;
    float* out = args.out + row * args.width;
    over_row(args.width, [&](auto load, auto store) __attribute__((always_inline)) {
      const Floats x = load(gates);
      store(out, x * sigmoid(x).on * load(ups));
    });
  }
}

inline void gate_backward(const GateArgs& args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const float *gates = args.x + row * 2 * args.width, *ups = gates + args.width, *grad = args.grad + row * args.width;
    float *for_gates = args.out + row * 2 * args.width, *for_ups = for_gates + args.width;
    over_row(args.width, [&](auto load, auto store) __attribute__((always_inline)) {
      const Floats x = load(gates), g = load(grad);
      const Shares share = sigmoid(x);
      store(for_ups, g * (x * share.on));
      store(for_gates, g * load(ups) * (share.on + x * share.on * share.off));
    });
  }
}

}  // namespace tokenmask::TM_ISA
