// sample_codes: guidance, temperature, filters, one draw and its statistics from logits. Torch-free.
#pragma once

#include "tokenmask/failure.h"
#include "tokenmask/floats.h"
#include "tokenmask/order.h"
#include "tokenmask/philox.h"
#include "tokenmask/weight.h"

namespace tokenmask {

struct SampleCodesArgs {
  const void* logits;  // [rows, size]
  const void* uncond;  // [rows, size] of the same type, or null: no guidance
  FloatType type;
  const bool* allowed;        // [size] or [rows, size], or null: all
  const int64_t* counters;    // [rows]
  const int64_t* seeds;       // [rows], or null: `seed`
  const float* temperatures;  // [rows], or null: `temperature`
  const float* guidances;     // [rows], or null: `guidance`
  int32_t* codes;             // [rows] out, like the next three
  float* logprob;
  float* entropy;  // on the CPU null where nobody reads it: then it is not made
  float* margin;
  int64_t rows, size;
  int64_t allowed_stride;  // 0 or size
  uint64_t seed;
  float temperature, guidance;
  int64_t top_k;  // at most 0: off
  double top_p;   // at least 1: off
  double min_p;   // at most 0: off
};

int64_t sample_codes_cpu(const SampleCodesArgs& args, int64_t begin, int64_t end);

// All rows; one that fails has the code -1 and NaN.
void sample_codes_cuda(const SampleCodesArgs& args, const LateFailure& late, void* stream);

// u + s (c - u); a code that either side forbids by -inf stays forbidden.
TM_HOST_DEVICE float guided(float cond, float uncond, float scale) {
  const float z = add(uncond, multiply(scale, add(cond, -uncond)));
  return (cond == -kInfinity || uncond == -kInfinity) ? -kInfinity : z;
}

// The smallest integer mass that is at least `share` of `total`, between 1 and `total`.
TM_HOST_DEVICE int64_t share_of(double share, int64_t total) {
  const double exact = share * double(total);
  int64_t mass = int64_t(exact);
  if (double(mass) < exact) ++mass;
  return mass < 1 ? 1 : (mass > total ? total : mass);
}

// 0 (the arg-max) or a positive finite number; NaN is neither.
TM_HOST_DEVICE bool is_temperature(float value) { return value >= 0.0f && value < kInfinity; }

// In nats, from sums of weights and of surprises.
TM_HOST_DEVICE float entropy_of(double log_mass, int64_t surprise, int64_t mass) {
  const double entropy = log_mass + 0.25 * double(surprise) / double(mass);
  return float(entropy > 0.0 ? entropy : 0.0);
}

// The draw: floor(word * total / 2^64), uniform in [0, total). Word 0 is the high half,
// so `uniform` of the same counter and purpose code gives the leading 24 bits.
TM_HOST_DEVICE int64_t draw_below(const SampleCodesArgs& args, int64_t row, int64_t total) {
  const uint64_t seed = args.seeds ? uint64_t(args.seeds[row]) : args.seed;
  const Random4 words = draw(seed, 0, Purpose::code, uint64_t(args.counters[row]));
  const uint64_t word = (uint64_t{words.word[0]} << 32) | words.word[1];
#ifdef __CUDA_ARCH__
  return int64_t(__umul64hi(word, uint64_t(total)));
#else
  return int64_t((static_cast<unsigned __int128>(word) * uint64_t(total)) >> 64);
#endif
}

}  // namespace tokenmask
