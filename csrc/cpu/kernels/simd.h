// Vectors of one instruction set. Every header of this folder is included once by each of ../portable.cpp, ../avx2.cpp
// and ../avx512.cpp, which set TM_ISA (the namespace), TM_LANES (32-bit lanes of a vector) and the compiler's target.
//
// Plain arithmetic is written on GCC's vector types. All functions are inlined: nothing that one instruction set
// compiled may be linked into another's code, and so no template of the standard library is used here.
#pragma once

#include <cstdlib>

#include "tokenmask/floats.h"
#include "tokenmask/order.h"

namespace tokenmask::TM_ISA {

constexpr int kLanes = TM_LANES;

using Floats = float __attribute__((vector_size(4 * TM_LANES)));
using Ints = int32_t __attribute__((vector_size(4 * TM_LANES)));
using Words = uint32_t __attribute__((vector_size(4 * TM_LANES)));
using Longs = uint64_t __attribute__((vector_size(4 * TM_LANES)));  // half as many lanes
using Bytes = uint8_t __attribute__((vector_size(TM_LANES)));

template <typename Vector, typename T>
TM_HOST_DEVICE Vector load(const T* from) {
  Vector vector;
  memcpy(&vector, from, sizeof(Vector));
  return vector;
}

template <typename Vector, typename T>
TM_HOST_DEVICE void store(T* to, Vector vector) {
  memcpy(to, &vector, sizeof(Vector));
}

TM_HOST_DEVICE Floats all(float value) { return value - Floats{}; }
TM_HOST_DEVICE Ints all(int32_t value) { return value - Ints{}; }

// Has the value computed by here and held in a register: compilers fold a load into each of its uses, and turn steps of
// several vectors in turn into one vector's steps after another's.
#if defined(__x86_64__)
TM_HOST_DEVICE void pin(Floats& value) { __asm__("" : "+v"(value)); }
#elif defined(__aarch64__)
TM_HOST_DEVICE void pin(Floats& value) { __asm__("" : "+w"(value)); }
#else
TM_HOST_DEVICE void pin(Floats&) {}
#endif

// 0, 1, 2 ...
TM_HOST_DEVICE Ints lane_numbers() {
  Ints numbers;
  for (int lane = 0; lane < kLanes; ++lane) numbers[lane] = lane;
  return numbers;
}

// What differs between the instruction sets: masks, packing, the larger
// of two, the fused c - a * b and a * b + c, lanes together.
#if TM_LANES == 16

struct Mask {
  __mmask16 bits;
};
TM_HOST_DEVICE Mask greater(Ints a, Ints b) { return {_mm512_cmpgt_epi32_mask((__m512i)a, (__m512i)b)}; }
TM_HOST_DEVICE Mask at_least(Ints a, Ints b) { return {_mm512_cmpge_epi32_mask((__m512i)a, (__m512i)b)}; }
TM_HOST_DEVICE Mask equal(Ints a, Ints b) { return {_mm512_cmpeq_epi32_mask((__m512i)a, (__m512i)b)}; }
TM_HOST_DEVICE Mask less(Floats a, Floats b) { return {_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ)}; }
TM_HOST_DEVICE Mask at_least(Floats a, Floats b) { return {_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_GE_OQ)}; }
TM_HOST_DEVICE Mask equal(Floats a, Floats b) { return {_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_EQ_OQ)}; }
TM_HOST_DEVICE Mask unordered(Floats a, Floats b) { return {_mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_UNORD_Q)}; }
TM_HOST_DEVICE Mask operator&(Mask a, Mask b) { return {__mmask16(a.bits & b.bits)}; }
TM_HOST_DEVICE Mask operator|(Mask a, Mask b) { return {__mmask16(a.bits | b.bits)}; }
TM_HOST_DEVICE Ints select(Mask m, Ints a, Ints b) {
  return (Ints)_mm512_mask_blend_epi32(m.bits, (__m512i)b, (__m512i)a);
}
TM_HOST_DEVICE Floats select(Mask m, Floats a, Floats b) {
  return (Floats)_mm512_mask_blend_ps(m.bits, (__m512)b, (__m512)a);
}
TM_HOST_DEVICE uint32_t lane_bits(Mask m) { return m.bits; }
TM_HOST_DEVICE Ints pack(Mask m, Ints v) { return (Ints)_mm512_maskz_compress_epi32(m.bits, (__m512i)v); }
TM_HOST_DEVICE Floats pack(Mask m, Floats v) { return (Floats)_mm512_maskz_compress_ps(m.bits, (__m512)v); }
TM_HOST_DEVICE Mask load_mask(const bool* from) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return {_mm_test_epi8_mask(bytes, bytes)};
}
TM_HOST_DEVICE void store_mask(bool* to, Mask m) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_maskz_set1_epi8(m.bits, 1));
}
TM_HOST_DEVICE Floats larger(Floats a, Floats b) { return (Floats)_mm512_max_ps((__m512)a, (__m512)b); }
TM_HOST_DEVICE Floats smaller(Floats a, Floats b) { return (Floats)_mm512_min_ps((__m512)a, (__m512)b); }
TM_HOST_DEVICE Ints larger(Ints a, Ints b) { return (Ints)_mm512_max_epi32((__m512i)a, (__m512i)b); }
TM_HOST_DEVICE Ints smaller(Ints a, Ints b) { return (Ints)_mm512_min_epi32((__m512i)a, (__m512i)b); }
TM_HOST_DEVICE Floats fused_less(Floats c, Floats a, Floats b) {
  return (Floats)_mm512_fnmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
TM_HOST_DEVICE Floats fused(Floats a, Floats b, Floats c) {
  return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
TM_HOST_DEVICE Longs multiply_low(Longs a, uint32_t b) {
  return (Longs)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
}
TM_HOST_DEVICE Longs multiply_low(Longs a, Longs b) { return (Longs)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
TM_HOST_DEVICE Ints gather(const int32_t* from, Ints at) { return (Ints)_mm512_i32gather_epi32((__m512i)at, from, 4); }
// Stores past the caches, to an aligned address; threads see them after end_streams.
constexpr bool kCanStream = true;
TM_HOST_DEVICE void stream(float* to, Floats v) { _mm512_stream_ps(to, (__m512)v); }
TM_HOST_DEVICE void end_streams() { _mm_sfence(); }
TM_HOST_DEVICE float largest_lane(Floats v) { return _mm512_reduce_max_ps((__m512)v); }
TM_HOST_DEVICE int32_t largest_lane(Ints v) { return _mm512_reduce_max_epi32((__m512i)v); }
TM_HOST_DEVICE int32_t smallest_lane(Ints v) { return _mm512_reduce_min_epi32((__m512i)v); }
TM_HOST_DEVICE float sum_lanes(Floats v) { return _mm512_reduce_add_ps((__m512)v); }
TM_HOST_DEVICE int32_t sum_lanes(Ints v) { return _mm512_reduce_add_epi32((__m512i)v); }
TM_HOST_DEVICE int64_t sum_lanes(Longs v) { return _mm512_reduce_add_epi64((__m512i)v); }
// a[0], b[0], a[1], b[1] ...
TM_HOST_DEVICE void interleave(Floats a, Floats b, Floats& low, Floats& high) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  low = (Floats)_mm512_permutex2var_ps((__m512)a, first, (__m512)b);
  high = (Floats)_mm512_permutex2var_ps((__m512)a, _mm512_add_epi32(first, _mm512_set1_epi32(8)), (__m512)b);
}
TM_HOST_DEVICE void interleave(Longs a, Longs b, Longs& low, Longs& high) {
  const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
  low = (Longs)_mm512_permutex2var_epi64((__m512i)a, first, (__m512i)b);
  high = (Longs)_mm512_permutex2var_epi64((__m512i)a, _mm512_add_epi64(first, _mm512_set1_epi64(4)), (__m512i)b);
}

#else

struct Mask {
  Ints lanes;  // 0 or -1
};
TM_HOST_DEVICE Mask greater(Ints a, Ints b) { return {a > b}; }
TM_HOST_DEVICE Mask at_least(Ints a, Ints b) { return {a >= b}; }
TM_HOST_DEVICE Mask equal(Ints a, Ints b) { return {a == b}; }
TM_HOST_DEVICE Mask less(Floats a, Floats b) { return {a < b}; }
TM_HOST_DEVICE Mask at_least(Floats a, Floats b) { return {a >= b}; }
TM_HOST_DEVICE Mask equal(Floats a, Floats b) { return {a == b}; }
TM_HOST_DEVICE Mask unordered(Floats a, Floats b) { return {(a != a) | (b != b)}; }
TM_HOST_DEVICE Mask operator&(Mask a, Mask b) { return {a.lanes & b.lanes}; }
TM_HOST_DEVICE Mask operator|(Mask a, Mask b) { return {a.lanes | b.lanes}; }
TM_HOST_DEVICE Ints select(Mask m, Ints a, Ints b) { return m.lanes ? a : b; }
TM_HOST_DEVICE Floats select(Mask m, Floats a, Floats b) { return m.lanes ? a : b; }
TM_HOST_DEVICE Mask load_mask(const bool* from) { return {__builtin_convertvector(load<Bytes>(from), Ints) != 0}; }
TM_HOST_DEVICE void store_mask(bool* to, Mask m) { store(to, __builtin_convertvector(m.lanes & 1, Bytes)); }
template <typename Vector, typename Combine>
TM_HOST_DEVICE auto over_lanes(Vector v, const Combine& combine) {
  auto result = v[0];
  for (int lane = 1; lane < int(sizeof(Vector) / sizeof(result)); ++lane) result = combine(result, v[lane]);
  return result;
}
TM_HOST_DEVICE float largest_lane(Floats v) {
  return over_lanes(v, [](float a, float b) __attribute__((always_inline)) { return a > b ? a : b; });
}
TM_HOST_DEVICE int32_t largest_lane(Ints v) {
  return over_lanes(v, [](int32_t a, int32_t b) __attribute__((always_inline)) { return a > b ? a : b; });
}
TM_HOST_DEVICE int32_t smallest_lane(Ints v) {
  return over_lanes(v, [](int32_t a, int32_t b) __attribute__((always_inline)) { return a < b ? a : b; });
}
TM_HOST_DEVICE float sum_lanes(Floats v) {
  return over_lanes(v, [](float a, float b) __attribute__((always_inline)) { return a + b; });
}
TM_HOST_DEVICE int32_t sum_lanes(Ints v) {
  return over_lanes(v, [](int32_t a, int32_t b) __attribute__((always_inline)) { return a + b; });
}
TM_HOST_DEVICE int64_t sum_lanes(Longs v) {
  return int64_t(over_lanes(v, [](uint64_t a, uint64_t b) __attribute__((always_inline)) { return a + b; }));
}

#if TM_LANES == 8

TM_HOST_DEVICE uint32_t lane_bits(Mask m) { return uint32_t(_mm256_movemask_ps((__m256)m.lanes)); }

// For each set of lanes, the order that brings them to the front.
struct PackTable {
  uint64_t order[256];
};
constexpr PackTable make_pack_table() {
  PackTable table = {};
  for (int bits = 0; bits < 256; ++bits) {
    int count = 0;
    for (int lane = 0; lane < 8; ++lane) {
      if (bits >> lane & 1) table.order[bits] |= uint64_t(lane) << (8 * count++);
    }
  }
  return table;
}
constexpr PackTable kPack = make_pack_table();
TM_HOST_DEVICE Ints pack(Mask m, Ints v) {
  const __m128i order = _mm_cvtsi64_si128(int64_t(kPack.order[lane_bits(m)]));
  return (Ints)_mm256_permutevar8x32_epi32((__m256i)v, _mm256_cvtepu8_epi32(order));
}
TM_HOST_DEVICE Floats larger(Floats a, Floats b) { return (Floats)_mm256_max_ps((__m256)a, (__m256)b); }
TM_HOST_DEVICE Floats smaller(Floats a, Floats b) { return (Floats)_mm256_min_ps((__m256)a, (__m256)b); }
TM_HOST_DEVICE Ints larger(Ints a, Ints b) { return (Ints)_mm256_max_epi32((__m256i)a, (__m256i)b); }
TM_HOST_DEVICE Ints smaller(Ints a, Ints b) { return (Ints)_mm256_min_epi32((__m256i)a, (__m256i)b); }
TM_HOST_DEVICE Floats fused_less(Floats c, Floats a, Floats b) {
  return (Floats)_mm256_fnmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
TM_HOST_DEVICE Floats fused(Floats a, Floats b, Floats c) {
  return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
TM_HOST_DEVICE Longs multiply_low(Longs a, uint32_t b) {
  return (Longs)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
}
TM_HOST_DEVICE Longs multiply_low(Longs a, Longs b) { return (Longs)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
TM_HOST_DEVICE Ints gather(const int32_t* from, Ints at) { return (Ints)_mm256_i32gather_epi32(from, (__m256i)at, 4); }
constexpr bool kCanStream = true;
TM_HOST_DEVICE void stream(float* to, Floats v) { _mm256_stream_ps(to, (__m256)v); }
TM_HOST_DEVICE void end_streams() { _mm_sfence(); }
TM_HOST_DEVICE void interleave(Floats a, Floats b, Floats& low, Floats& high) {
  const __m256 even = _mm256_unpacklo_ps((__m256)a, (__m256)b), odd = _mm256_unpackhi_ps((__m256)a, (__m256)b);
  low = (Floats)_mm256_permute2f128_ps(even, odd, 0x20);
  high = (Floats)_mm256_permute2f128_ps(even, odd, 0x31);
}
TM_HOST_DEVICE void interleave(Longs a, Longs b, Longs& low, Longs& high) {
  const __m256i even = _mm256_unpacklo_epi64((__m256i)a, (__m256i)b),
                odd = _mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
  low = (Longs)_mm256_permute2x128_si256(even, odd, 0x20);
  high = (Longs)_mm256_permute2x128_si256(even, odd, 0x31);
}

#else

TM_HOST_DEVICE uint32_t lane_bits(Mask m) {
#ifdef __SSE2__
  return uint32_t(__builtin_ia32_movmskps((Floats)m.lanes));
#else
  const Ints bits = m.lanes & Ints{1, 2, 4, 8};
  return uint32_t(bits[0] | bits[1] | bits[2] | bits[3]);
#endif
}
TM_HOST_DEVICE Ints pack(Mask m, Ints v) {
  if (!lane_bits(m)) return v;
  int32_t packed[kLanes + 1];
  int count = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    packed[count] = v[lane];
    count -= m.lanes[lane];
  }
  return load<Ints>(packed);
}
TM_HOST_DEVICE Floats larger(Floats a, Floats b) { return a > b ? a : b; }
TM_HOST_DEVICE Floats smaller(Floats a, Floats b) { return a < b ? a : b; }
TM_HOST_DEVICE Ints larger(Ints a, Ints b) { return a > b ? a : b; }
TM_HOST_DEVICE Ints smaller(Ints a, Ints b) { return a < b ? a : b; }
// x86 without FMA computes it in software: right, and slow.
TM_HOST_DEVICE Floats fused_less(Floats c, Floats a, Floats b) {
  for (int lane = 0; lane < kLanes; ++lane) c[lane] = __builtin_fmaf(-a[lane], b[lane], c[lane]);
  return c;
}
// Fused only where the processor has it.
TM_HOST_DEVICE Floats fused(Floats a, Floats b, Floats c) { return a * b + c; }
TM_HOST_DEVICE Longs multiply_low(Longs a, uint32_t b) { return (a & 0xffffffffu) * uint64_t{b}; }
TM_HOST_DEVICE Longs multiply_low(Longs a, Longs b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
TM_HOST_DEVICE Ints gather(const int32_t* from, Ints at) {
  Ints values;
  for (int lane = 0; lane < kLanes; ++lane) values[lane] = from[at[lane]];
  return values;
}
constexpr bool kCanStream = false;
TM_HOST_DEVICE void stream(float* to, Floats v) { store(to, v); }
TM_HOST_DEVICE void end_streams() {}
TM_HOST_DEVICE void interleave(Floats a, Floats b, Floats& low, Floats& high) {
  low = Floats{a[0], b[0], a[1], b[1]};
  high = Floats{a[2], b[2], a[3], b[3]};
}
TM_HOST_DEVICE void interleave(Longs a, Longs b, Longs& low, Longs& high) {
  low = Longs{a[0], b[0]};
  high = Longs{a[1], b[1]};
}

#endif

TM_HOST_DEVICE Floats pack(Mask m, Floats v) { return (Floats)pack(m, (Ints)v); }

#endif

TM_HOST_DEVICE int count_lanes(Mask m) { return __builtin_popcount(lane_bits(m)); }
TM_HOST_DEVICE bool any(Mask m) { return lane_bits(m) != 0; }

TM_HOST_DEVICE Ints order_keys(Floats scores) {
  const Ints bits = (Ints)(scores + 0.0f);
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

constexpr int64_t kLine = 64;  // bytes that a prefetch brings

// Asks for `count` values from index `at` on; an address outside the array does no harm.
template <FloatType type>
TM_HOST_DEVICE void prefetch(const void* values, int64_t at, int64_t count) {
  constexpr int64_t kSize = type == FloatType::float32 ? 4 : 2;
  const uintptr_t from = reinterpret_cast<uintptr_t>(values) + uintptr_t(at) * kSize;
  for (int64_t i = 0; i < count * kSize; i += kLine) __builtin_prefetch(reinterpret_cast<const void*>(from + i));
}

// An array that one call of a kernel keeps between rows; kernels write whole vectors, so it ends with room for some.
// Not forced inline: the compiler's own destructors of its owners are for no instruction set.
template <typename T>
struct Buffer {
  T* data;
  explicit Buffer(int64_t size) {
    data = static_cast<T*>(malloc((size_t(size) + 8 * kLanes) * sizeof(T)));
    if (!data) abort();
  }
  ~Buffer() { free(data); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  TM_HOST_DEVICE T& operator[](int64_t i) { return data[i]; }
};

}  // namespace tokenmask::TM_ISA
