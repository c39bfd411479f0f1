// Blocks of rows pass through all levels while they stay in cache. A score is |c|^2 / 2 - x c, whose least
// value is that of the nearest code; it is one chain of fused steps over the width, so every tile size and
// instruction set gives the same bits. Codebooks are packed in panels of two vectors of codes.
#pragma once

#include "simd.h"
#include "tokenmask/quantize_residual.h"

namespace tokenmask::TM_ISA {

constexpr int kPanel = 2 * kLanes;
constexpr int kTileRows = kLanes == 16 ? 12 : 6;  // as many accumulators as registers allow
constexpr int64_t kBlockRows = 240;  // each block reads all codebooks, which seldom fit the caches near the core

inline int64_t panel_width() { return kPanel; }

TM_HOST_DEVICE bool is_finite(float value) { return value - value == 0.0f; }

inline int64_t pack_codebooks(const QuantizeResidualArgs& args, int64_t begin, int64_t end) {
  const int64_t panels = (args.codes + kPanel - 1) / kPanel;
  for (int64_t panel = begin; panel < end; ++panel) {
    const int64_t level = panel / panels, first = panel % panels * kPanel;
    const float* book = args.codebooks + level * args.codes * args.width;
    float* packed = args.packed + panel * args.width * kPanel;
    float* biases = args.biases + panel * kPanel;
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const bool exists = first + lane < args.codes;
      const float* code = book + (exists ? first + lane : 0) * args.width;
      float square = 0.0f;
      bool finite = true;
      for (int64_t d = 0; d < args.width; ++d) {
        packed[d * kPanel + lane] = exists ? code[d] : 0.0f;
        square = __builtin_fmaf(code[d], code[d], square);
        finite &= is_finite(code[d]);
      }
      if (!finite) return failure(level, Reason::not_finite_code);
      biases[lane] = !exists ? __builtin_inff() : args.unit_norm ? 0.0f : multiply(0.5f, square);
    }
  }
  return kNoFailure;
}

// Where a row stands at a level: for each lane of a vector, its least score so far and the vector of codes that had it.
struct Best {
  float score[kLanes];
  int32_t vector[kLanes];
};

template <int rows>
TM_HOST_DEVICE void score_tile(const float* x, int64_t width, const float* packed, const float* biases, int32_t panel,
                               Best* best) {
  Floats score[rows][2];
  for (int r = 0; r < rows; ++r) {
    score[r][0] = load<Floats>(biases);
    score[r][1] = load<Floats>(biases + kLanes);
  }
  for (int64_t d = 0; d < width; ++d) {
    Floats left = load<Floats>(packed + d * kPanel), right = load<Floats>(packed + d * kPanel + kLanes);
    pin(left);
    pin(right);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const Floats value = all(x[r * width + d]);
      score[r][0] = fused_less(score[r][0], value, left);
      score[r][1] = fused_less(score[r][1], value, right);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r) {
    Floats least = load<Floats>(best[r].score);
    Ints vector = load<Ints>(best[r].vector);
    for (int half = 0; half < 2; ++half) {
      const Mask is_less = less(score[r][half], least);
      least = select(is_less, score[r][half], least);
      vector = select(is_less, all(2 * panel + half), vector);
    }
    store(best[r].score, least);
    store(best[r].vector, vector);
  }
}

TM_HOST_DEVICE int32_t nearest_code(const Best& best) {
  float least = __builtin_inff();
  int32_t code = INT32_MAX;
  for (int32_t lane = 0; lane < kLanes; ++lane) {
    const int32_t candidate = best.vector[lane] * kLanes + lane;
    if (best.score[lane] < least || (best.score[lane] == least && candidate < code)) {
      least = best.score[lane];
      code = candidate;
    }
  }
  return code;
}

// A row that was given NaN scores only (its products overflow) takes code 0, as an arg-min over +inf does.
inline int64_t quantize_residual(const QuantizeResidualArgs& args, int64_t begin, int64_t end) {
  const int64_t width = args.width, panels = (args.codes + kPanel - 1) / kPanel;
  Buffer<float> left(kBlockRows * width);
  Buffer<Best> best(kBlockRows);
  for (int64_t block = begin; block < end; block += kBlockRows) {
    const int64_t count = end - block < kBlockRows ? end - block : kBlockRows;
    for (int64_t r = 0; r < count; ++r) {
      bool finite = true;
      for (int64_t d = 0; d < width; ++d) {
        const float value = args.x[(block + r) * width + d];
        finite &= is_finite(value);
        left[r * width + d] = value;
        args.quantized[(block + r) * width + d] = 0.0f;
      }
      if (!finite) return failure(block + r, Reason::not_finite);
    }
    for (int64_t level = 0; level < args.levels; ++level) {
      for (int64_t r = 0; r < count; ++r) {
        store(best[r].score, all(__builtin_inff()));
        store(best[r].vector, Ints{});
      }
      for (int64_t panel = 0; panel < panels; ++panel) {
        const float* packed = args.packed + (level * panels + panel) * width * kPanel;
        const float* biases = args.biases + (level * panels + panel) * kPanel;
        int64_t r = 0;
        for (; r + kTileRows <= count; r += kTileRows) {
          score_tile<kTileRows>(&left[r * width], width, packed, biases, int32_t(panel), &best[r]);
        }
        for (; r + 3 <= count; r += 3) {
          score_tile<3>(&left[r * width], width, packed, biases, int32_t(panel), &best[r]);
        }
        for (; r < count; ++r) score_tile<1>(&left[r * width], width, packed, biases, int32_t(panel), &best[r]);
      }
      const float* book = args.codebooks + level * args.codes * width;
      int32_t* chosen = args.out_codes + block * args.levels + level;
      for (int64_t r = 0; r < count; ++r) {
        const int32_t nearest = nearest_code(best[r]);
        chosen[r * args.levels] = nearest;
        prefetch<FloatType::float32>(book, nearest * width, width);
      }
      for (int64_t r = 0; r < count; ++r) {
        const float* code = book + chosen[r * args.levels] * width;
        float* rest = &left[r * width];
        float* sum = args.quantized + (block + r) * width;
        for (int64_t d = 0; d < width; ++d) {
          rest[d] -= code[d];
          sum[d] += code[d];
        }
      }
    }
  }
  return kNoFailure;
}

}  // namespace tokenmask::TM_ISA
