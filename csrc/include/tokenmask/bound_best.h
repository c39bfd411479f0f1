// bound_best: of each row, about how probable its most probable code is, from one cheap look at its logits. Torch-free.
#pragma once

#include "tokenmask/failure.h"

namespace tokenmask {

struct BoundBestArgs {
  const float* logits;  // [rows, size]
  float* about;         // [rows] out: what sample_codes says at temperature 0 lies within kBoundOfBest of it
  int64_t rows, size;   // size at most kMostBounded
};

// What is rounded: the series of exp, 4.3e-5; float32 sums of at most kMostBounded / 16 numbers, 2.4e-4; the weights of
// sample_codes, which are integers, 2^-31 a code, so 3.1e-5; codes too improbable to weigh there, 2.5e-6. The logarithm
// and its rounding to float32 stay below 3e-6. Together 3.2e-4.
constexpr float kBoundOfBest = 1e-3f;
constexpr int64_t kMostBounded = 65536;

// Fails, in the first such row, where sample_codes would.
int64_t bound_best_cpu(const BoundBestArgs& args, int64_t begin, int64_t end);

}  // namespace tokenmask
