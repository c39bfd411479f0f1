// tokenmask/weight.h on vectors: the same steps, each rounded on its own, so the same bits.
#pragma once

#include "simd.h"
#include "tokenmask/weight.h"

namespace tokenmask::TM_ISA {

// Of exponents that are not below kSmallestExponent.
TM_HOST_DEVICE Ints weight_of_clamped(Floats x) {
  const float magic = 12582912.0f;
  const Floats n = (x * 0x1.715476p+0f + magic) - magic;
  const Floats r = (x + n * -0x1.62e4p-1f) + n * -0x1.7f7d1cp-20f;
  Floats p = all(0x1.6ae73p-10f);
  p = p * r + 0x1.126782p-7f;
  p = p * r + 0x1.555822p-5f;
  p = p * r + 0x1.55541ap-3f;
  p = p * r + 0x1.fffffcp-2f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Floats scale = (Floats)((__builtin_convertvector(n, Ints) + 157) << 23);
  return __builtin_convertvector(p * scale + 0.5f, Ints);
}

TM_HOST_DEVICE Ints weight(Floats x) { return weight_of_clamped(larger(x, all(kSmallestExponent))); }

}  // namespace tokenmask::TM_ISA
