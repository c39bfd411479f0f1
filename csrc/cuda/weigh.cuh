// weight and surprise of weight.h in fewer instructions: products whose rounding no float up to 0 tells are fused with the
// sums behind them. tests/native/cuda/weights.cpp tries every float.
#pragma once

#ifndef EMULATED
#include <cuda_runtime.h>
#endif

#include "tokenmask/weight.h"

namespace tokenmask {

struct Weighed {
  int32_t weight, surprise;
};

__device__ inline Weighed weigh(float x) {
  x = x > kSmallestExponent ? x : kSmallestExponent;
  const float magic = 12582912.0f;
  const float shifted = add(multiply(x, 0x1.715476p+0f), magic);  // fused, this would tell of three floats
  const float n = add(shifted, -magic);
  const float r = __fmaf_rn(n, -0x1.7f7d1cp-20f, __fmaf_rn(n, -0x1.62e4p-1f, x));
  const float p =
      add(bits_as<float>(bits_as<uint32_t>(series_of_weight(r)) + (bits_as<uint32_t>(shifted) << 23)), 0.5f);
  const auto w = int32_t(p);
  return {w, int32_t(__fmaf_rn(multiply(x, float(w)), -4.0f, 0.5f))};
}

}  // namespace tokenmask
