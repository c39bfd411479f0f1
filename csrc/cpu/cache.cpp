// rotate_and_store and attend_cached for the instruction sets of one machine family; the processor is asked once.
#include "tokenmask/cache.h"

#include <cmath>
#include <cstring>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TM_HAS_AVX2 1
#include <immintrin.h>
#endif

namespace tokenmask {

namespace {

namespace portable {

constexpr int kLanes = 4;
typedef float Lanes __attribute__((vector_size(16)));
inline Lanes all(float x) { return Lanes{x, x, x, x}; }
inline Lanes fused(Lanes a, Lanes b, Lanes c) { return a * b + c; }
#include "cache_body.h"

}  // namespace portable

#ifdef TM_HAS_AVX2
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {

constexpr int kLanes = 8;
typedef float Lanes __attribute__((vector_size(32)));
inline Lanes all(float x) { return _mm256_set1_ps(x); }
inline Lanes fused(Lanes a, Lanes b, Lanes c) { return _mm256_fmadd_ps(a, b, c); }
#include "cache_body.h"

}  // namespace avx2
#pragma GCC pop_options

bool has_avx2() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}
#endif

}  // namespace

void rotate_and_store_cpu(const RotateAndStoreArgs& args, int64_t begin, int64_t end) {
#ifdef TM_HAS_AVX2
  if (has_avx2()) return avx2::rotate_and_store(args, begin, end);
#endif
  portable::rotate_and_store(args, begin, end);
}

void attend_cached_cpu(const AttendCachedArgs& args, int64_t begin, int64_t end) {
#ifdef TM_HAS_AVX2
  if (has_avx2()) return avx2::attend_cached(args, begin, end);
#endif
  portable::attend_cached(args, begin, end);
}

}  // namespace tokenmask
