// The integer weight of a code: 2^30 exp(x) for x <= 0, rounded. Integer sums do not depend on order, lanes or threads,
// so totals, filters and draws are equal everywhere.
#pragma once

#include "tokenmask/macros.h"

namespace tokenmask {

constexpr float kInfinity = __builtin_inff();
constexpr int32_t kFullWeight = 1 << 30;

// exp is 2^n p(r) with n = round(x / ln 2), r = x - n ln 2 and p a polynomial fitted to exp on [-ln 2 / 2, ln 2 / 2]
// (relative error 2e-9, below float32 rounding). Only separate float32 products, sums and a truncation are used, and
// tokenmask/ops/weight.py does the same steps. Weights below 2^-31 of the largest are 0.
constexpr float kSmallestExponent = -24.0f;

TM_HOST_DEVICE int32_t weight(float x) {
  x = x > kSmallestExponent ? x : kSmallestExponent;
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  const float n = add(add(multiply(x, 0x1.715476p+0f), magic), -magic);
  const float r = add(add(x, multiply(n, -0x1.62e4p-1f)), multiply(n, -0x1.7f7d1cp-20f));
  float p = 0x1.6ae73p-10f;
  p = add(multiply(p, r), 0x1.126782p-7f);
  p = add(multiply(p, r), 0x1.555822p-5f);
  p = add(multiply(p, r), 0x1.55541ap-3f);
  p = add(multiply(p, r), 0x1.fffffcp-2f);
  p = add(multiply(p, r), 1.0f);
  p = add(multiply(p, r), 1.0f);
  const float scale = bits_as<float>((int32_t(n) + 157) << 23);  // 2^(n + 30)
  return int32_t(add(multiply(p, scale), 0.5f));
}

// What a code adds to the entropy: -x weight(x) in quarters, rounded, at most 4 2^30 / e. As
// integers these, too, sum to the same in any order. `x` is not below kSmallestExponent.
TM_HOST_DEVICE int32_t surprise(float x, int32_t weight) {
  return int32_t(add(multiply(multiply(x, -4.0f), float(weight)), 0.5f));
}

}  // namespace tokenmask
