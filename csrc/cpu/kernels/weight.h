// tokenmask/weight.h on vectors: the same steps, each rounded on its own, so the same bits.
#pragma once

#include "simd.h"
#include "tokenmask/weight.h"

namespace tokenmask::TM_ISA {

// Of several vectors of exponents that are not below kSmallestExponent. They take each step together: one vector is a
// chain so long that few of them would fit among the instructions that a processor looks at.
//
// The factor 2^30 is in the coefficients and the power of 2 is added to the exponent; both are exact.
template <int count>
TM_HOST_DEVICE void weights_of_clamped(const Floats (&x)[count], Ints (&weights)[count]) {
  const float magic = 12582912.0f;
  Floats shifted[count], r[count], p[count];
  const auto step = [&](const auto& next) __attribute__((always_inline)) {
    for (int v = 0; v < count; ++v) p[v] = next(v);
    for (int v = 0; v < count; ++v) pin(p[v]);
  };
  const auto times_r_plus = [&](float coefficient) __attribute__((always_inline)) {
    step([&](int v) __attribute__((always_inline)) { return p[v] * r[v] + coefficient; });
  };
  for (int v = 0; v < count; ++v) shifted[v] = x[v] * 0x1.715476p+0f + magic;
  for (int v = 0; v < count; ++v) pin(shifted[v]);
  for (int v = 0; v < count; ++v) {
    const Floats n = shifted[v] - magic;
    r[v] = (x[v] + n * -0x1.62e4p-1f) + n * -0x1.7f7d1cp-20f;
  }
  for (int v = 0; v < count; ++v) pin(r[v]);
  step([&](int v) __attribute__((always_inline)) { return r[v] * 0x1.6ae73p+20f + 0x1.126782p+23f; });
  times_r_plus(0x1.555822p+25f);
  times_r_plus(0x1.55541ap+27f);
  times_r_plus(0x1.fffffcp+28f);
  times_r_plus(0x1p+30f);
  times_r_plus(0x1p+30f);
  for (int v = 0; v < count; ++v) {
    const Floats scaled = (Floats)((Ints)p[v] + ((Ints)shifted[v] << 23));  // the number n stands in the lowest bits
    weights[v] = __builtin_convertvector(scaled + 0.5f, Ints);
  }
}

TM_HOST_DEVICE Ints surprise(Floats x, Ints weight) {
  return __builtin_convertvector(x * -4.0f * __builtin_convertvector(weight, Floats) + 0.5f, Ints);
}

TM_HOST_DEVICE Ints weight(Floats x) {
  const Floats clamped[1] = {larger(x, all(kSmallestExponent))};
  Ints weights[1];
  weights_of_clamped(clamped, weights);
  return weights[0];
}

}  // namespace tokenmask::TM_ISA
