// The largest logit of a row, then the sum of exp(z - largest) by a short series: a third of what the integer weights of
// sample_codes cost. No result depends on it but which rows are looked at again.
#pragma once

#include <cmath>

#include "tokenmask/bound_best.h"
#include "weight.h"

namespace tokenmask::TM_ISA {

constexpr int kFour = 4;  // vectors at a time
constexpr int64_t kFourVectors = kFour * kLanes;

// `next(from)` on all codes of a row; what fills the last vectors is -inf.
template <typename Next>
TM_HOST_DEVICE void by_four_vectors(const float* z, int64_t size, const Next& next) {
  int64_t i = 0;
  for (; i + kFourVectors <= size; i += kFourVectors) next(z + i);
  if (i == size) return;
  float last[kFourVectors];
  for (int64_t lane = 0; lane < kFourVectors; ++lane) last[lane] = i + lane < size ? z[i + lane] : -kInfinity;
  next(last);
}

TM_HOST_DEVICE int64_t bound_row(const BoundBestArgs& args, int64_t row) {
  const float* z = args.logits + row * args.size;
  Floats top[kFour], sum[kFour];
  Mask nan = unordered(Floats{}, Floats{});
  for (int v = 0; v < kFour; ++v) top[v] = all(-kInfinity), sum[v] = Floats{};
  by_four_vectors(z, args.size, [&](const float* from) __attribute__((always_inline)) {
    Floats values[kFour];
    for (int v = 0; v < kFour; ++v) {
      values[v] = load<Floats>(from + v * kLanes);
      top[v] = larger(top[v], values[v]);
    }
    for (int v = 0; v < kFour; v += 2) nan = nan | unordered(values[v], values[v + 1]);
  });
  const float largest = largest_lane(larger(larger(top[0], top[1]), larger(top[2], top[3])));
  if (any(nan)) return failure(row, Reason::not_a_number);
  if (largest == kInfinity) return failure(row, Reason::plus_infinity);
  if (largest == -kInfinity) return failure(row, Reason::nothing_allowed);

  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  by_four_vectors(z, args.size, [&](const float* from) __attribute__((always_inline)) {
    for (int v = 0; v < kFour; ++v) {
      // The memory of the next row is read while this row is worked on.
      if (v % (16 / kLanes) == 0) __builtin_prefetch(from + v * kLanes + args.size, 0, 2);
      const Floats x = larger(load<Floats>(from + v * kLanes) - largest, all(kSmallestExponent));
      const Floats power = x * 0x1.715476p+0f, shifted = power + magic, r = power - (shifted - magic);
      Floats p = fused(r, all(0.009618129f), all(0.05550411f));  // of 2^r, by Taylor
      p = fused(p, r, all(0.2402265f));
      p = fused(p, r, all(0.6931472f));
      p = fused(p, r, all(1.0f));
      sum[v] += (Floats)((Ints)p + ((Ints)shifted << 23));  // the whole power of 2 stands in the lowest bits
    }
  });
  args.about[row] = float(-::log(double(sum_lanes((sum[0] + sum[1]) + (sum[2] + sum[3])))));
  return kNoFailure;
}

inline int64_t bound_best(const BoundBestArgs& args, int64_t begin, int64_t end) {
  for (int64_t row = begin; row < end; ++row) {
    const int64_t failed = bound_row(args, row);
    if (failed != kNoFailure) return failed;
  }
  return kNoFailure;
}

}  // namespace tokenmask::TM_ISA
