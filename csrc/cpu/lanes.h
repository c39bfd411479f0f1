// Eight floats at once, and the compilation of what uses them. Sums run in a fixed order, so a result does not depend on
// threads or neighbours; products and sums may fuse, which the reference allows within rounding.
#pragma once

#include <cstdint>
#include <cstring>

// Functions after this may contract a * b + c. Everything that uses lanes is inlined into a clone.
#if defined(__clang__)
#pragma clang fp contract(fast)
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=fast")
#endif

// Compiled twice, for AVX2 with FMA and without; the loader picks.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define TM_LANE_CLONES __attribute__((target_clones("arch=haswell", "default")))
#else
#define TM_LANE_CLONES
#endif
#define TM_INLINE inline __attribute__((always_inline))

namespace tokenmask {

constexpr int kLanes = 8;
typedef float Lanes __attribute__((vector_size(32), aligned(4)));  // loads from any address

// exp of a number that is at most 0, to about 2e-7 of the result; 0 below -87.
TM_INLINE float exp_of_negative(float x) {
  const float limited = x < -87.0f ? -87.0f : x;
  const float scaled = limited * 1.44269504088896341f;
  const float whole = (scaled + 12582912.0f) - 12582912.0f;  // rounds: 1.5 * 2^23 leaves no fraction bits
  const float rest = (limited - whole * 0.693145751953125f) - whole * 1.42860682030941723e-6f;
  float series = 1.9875691500e-4f;
  series = series * rest + 1.3981999507e-3f;
  series = series * rest + 8.3334519073e-3f;
  series = series * rest + 4.1665795894e-2f;
  series = series * rest + 1.6666665459e-1f;
  series = series * rest + 5.0000001201e-1f;
  series = series * rest * rest + rest + 1.0f;
  const int32_t bits = (static_cast<int32_t>(whole) + 127) << 23;
  float power;
  memcpy(&power, &bits, sizeof(power));
  return x < -87.0f ? 0.0f : series * power;
}

}  // namespace tokenmask
