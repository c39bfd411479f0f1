// The integer weight of a code: 2^30 exp(x) for x <= 0, rounded. Integer sums do not depend on order, lanes or threads,
// so totals, filters and draws are equal everywhere.
#pragma once

#include "tokenmask/macros.h"

namespace tokenmask {

constexpr float kInfinity = __builtin_inff();
constexpr int32_t kFullWeight = 1 << 30;

// exp is 2^n p(r) with n = round(x / ln 2), r = x - n ln 2 and p a polynomial fitted to exp on [-ln 2 / 2, ln 2 / 2]
// (relative error 2e-9, below float32 rounding). Only separate float32 products, sums and a truncation are used, and
// tokenmask/ops/weight.py does the same steps. Weights below 2^-31 of the largest are 0. Here p is of 2^30 times the
// coefficients, and n is added to its exponent: the same bits as two exact products.
constexpr float kSmallestExponent = -24.0f;

TM_HOST_DEVICE float series_of_weight(float r) {
  float p = 0x1.6ae73p+20f;
  p = add(multiply(p, r), 0x1.126782p+23f);
  p = add(multiply(p, r), 0x1.555822p+25f);
  p = add(multiply(p, r), 0x1.55541ap+27f);
  p = add(multiply(p, r), 0x1.fffffcp+28f);
  p = add(multiply(p, r), 0x1p+30f);
  return add(multiply(p, r), 0x1p+30f);
}

TM_HOST_DEVICE int32_t weight(float x) {
  x = x > kSmallestExponent ? x : kSmallestExponent;
  const float magic = 12582912.0f;                                // 1.5 * 2^23: adding it rounds to an integer
  const float shifted = add(multiply(x, 0x1.715476p+0f), magic);  // n stands in its lowest bits
  const float n = add(shifted, -magic);
  const float r = add(add(x, multiply(n, -0x1.62e4p-1f)), multiply(n, -0x1.7f7d1cp-20f));
  const float p = series_of_weight(r);
  return int32_t(add(bits_as<float>(bits_as<uint32_t>(p) + (bits_as<uint32_t>(shifted) << 23)), 0.5f));
}

// What a code adds to the entropy: -x weight(x) in quarters, rounded, at most 4 2^30 / e. As
// integers these, too, sum to the same in any order. `x` is not below kSmallestExponent.
TM_HOST_DEVICE int32_t surprise(float x, int32_t weight) {
  return int32_t(add(multiply(multiply(x, -4.0f), float(weight)), 0.5f));
}

}  // namespace tokenmask
