// How quantize_residual splits numbers for tensor cores, and what scores of the parts may be off by.
//
// A number x is a high part h, x rounded to bfloat16, a low part l, the rest rounded to bfloat16, and r, what is left:
// |l| <= 2^-8 |x| and |r| <= 2^-17 |x|. Of a product x c three are summed, h h', l h' and h l', and l l' + r c + (x - r) r'
// is dropped, at most 2.0001 * 2^-16 |x c|. Tensor cores multiply exactly and add with single precision at least, in any
// order, and may cut instead of round: 16 products and a sum so far differ from what they should be by at most 20 * 2^-23
// of the sum of their magnitudes. That is at most 1.016 p, p = |x| |c| the product of the vectors' lengths, so 3 width / 16
// times make 3.82 width * 2^-23 p. Where they take numbers below 2^-126 for zero, that is less than width * 2^-123
// (1 + |x| + |c|). The chain of fused steps errs by 0.505 width * 2^-23 (p + b), where b is the largest bias, and the sum
// of a bias and a product, as that of a limit, by less than 0.6 * 2^-23 (p + b). All of it is below
//
//     e = p (2.05 * 2^-16 + 4.5 width * 2^-23) + 0.6 b width * 2^-23 + width * 2^-123 (1 + |x| + |c|)
//
// for widths from 32 to 4096, of which the 2 % that is over covers how p and e themselves are rounded. With it the score
// of tensor cores is within e of the chain's, and a code whose score is more than 2e above the least is not the nearest,
// nor as near. Of lengths so large that sums could overflow nothing is known, and all codes are scored by the chain, as they
// are where more are near than are kept.
#pragma once

#include "report.cuh"
#include "tokenmask/floats.h"

namespace tokenmask {

// The high part, and above it the low one.
__device__ inline uint32_t parts_of(float value) {
  const uint16_t high = narrow_bfloat16(value);
  return high | uint32_t{narrow_bfloat16(add(value, -widen_bfloat16(high)))} << 16;
}

// 2e, of a row by its numbers' squares and of a level by the largest sum of its codes'.
__device__ inline float slack_of(float square, float largest, int64_t padded, bool unit_norm) {
  const float lost = float(padded) * 0x1p-149f;  // of squares, where they are too small for a float
  const float x = sqrtf(square + lost), c = sqrtf(largest + lost), product = x * c;
  const float bias = unit_norm ? 0.0f : 0.5f * largest, width = float(padded);
  const float bound = product * (2.05f * 0x1p-16f + width * (4.5f * 0x1p-23f)) + bias * (width * (0.6f * 0x1p-23f)) +
                      width * 0x1p-123f * (1.0f + x + c);
  return product + bias < 0x1p120f ? 2.0f * bound : not_a_number();
}

}  // namespace tokenmask
