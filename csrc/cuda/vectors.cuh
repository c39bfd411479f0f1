// Reading a row 16 bytes at a time, with what comes before and behind whole vectors.
#pragma once

#include "ptx.cuh"
#include "tokenmask/floats.h"

namespace tokenmask {

constexpr int kInFlight = 4;  // vectors that a thread asks for before it uses the first

// How many elements come before the first that lies at a multiple of 16 bytes.
__device__ inline int64_t head_of(const void* row, int64_t element_bytes) {
  return int64_t(-reinterpret_cast<uintptr_t>(row) & 15) / element_bytes;
}

// Calls `single(i)` for what is before and behind the whole vectors of `per` elements, and for these `load(i)`, then
// `use(i, what was loaded)`. Each element once; a thread sees them ascend.
template <int per, int threads, typename Index, typename Load, typename Use, typename Single>
__device__ void walk_vectors(int thread, Index size, Index first, Load load, Use use, Single single) {
  const Index head = first < size ? first : size, vectors = (size - head) / per;
#pragma unroll 1  // few
  for (Index i = thread; i < head; i += threads) single(i);
  for (Index v = thread; v < vectors; v += kInFlight * threads) {
    decltype(load(Index{})) loaded[kInFlight];
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      if (v + u * threads < vectors) loaded[u] = load(head + (v + u * threads) * per);
    }
#pragma unroll
    for (int u = 0; u < kInFlight; ++u) {
      if (v + u * threads < vectors) use(head + (v + u * threads) * per, loaded[u]);
    }
  }
#pragma unroll 1
  for (Index i = head + vectors * per + thread; i < size; i += threads) single(i);
}

// The floats of a vector of 16 bytes.
template <FloatType type>
constexpr int kFloatsOfVector = type == FloatType::float32 ? 4 : 8;

// Where it does not matter which NaN a NaN becomes, a half takes one instruction.
template <FloatType type, bool keeps_nan = true>
__device__ float float_of(const uint4& vector, int i) {
  const uint32_t words[] = {vector.x, vector.y, vector.z, vector.w};
  if constexpr (type == FloatType::float32) return bits_as<float>(words[i]);
  const auto half = uint16_t(words[i / 2] >> (i % 2 * 16));
  if constexpr (type == FloatType::float16 && !keeps_nan) return widen_half(half);
  return type == FloatType::bfloat16 ? widen_bfloat16(half) : widen_float16(half);
}

// Four flags as bytes of a word, each 0 or 1: in a view of other memory any byte but 0 is set.
__device__ inline uint32_t set_flags(uint32_t word) {
  return ((((word & 0x7f7f7f7fu) + 0x7f7f7f7fu) | word) >> 7) & 0x01010101u;
}
__device__ inline uint32_t load_flags(const bool* flags, int64_t i) {
  return set_flags(*reinterpret_cast<const uint32_t*>(reinterpret_cast<const unsigned char*>(flags) + i));
}
__device__ inline bool flag_of(uint32_t flags, int i) { return flags >> (8 * i) & 1; }

__device__ inline uint4 load_vector(const void* values, int64_t byte) {
  return *reinterpret_cast<const uint4*>(static_cast<const unsigned char*>(values) + byte);
}

inline __device__ void store_floats(float* to, float a, float b, float c, float d) {
  *reinterpret_cast<uint4*>(to) = {bits_as<uint32_t>(a), bits_as<uint32_t>(b), bits_as<uint32_t>(c),
                                   bits_as<uint32_t>(d)};
}

// Writes the floats of one vector, from element `i` on.
template <FloatType type>
__device__ void store_vector(void* values, int64_t i, const float* from) {
  uint32_t words[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    if constexpr (type == FloatType::float32) words[w] = bits_as<uint32_t>(from[w]);
    if constexpr (type == FloatType::bfloat16) {
      words[w] = narrow_bfloat16(from[2 * w]) | uint32_t{narrow_bfloat16(from[2 * w + 1])} << 16;
    }
    if constexpr (type == FloatType::float16) {
      words[w] = narrow_float16(from[2 * w]) | uint32_t{narrow_float16(from[2 * w + 1])} << 16;
    }
  }
  reinterpret_cast<uint4*>(values)[i / kFloatsOfVector<type>] = {words[0], words[1], words[2], words[3]};
}

}  // namespace tokenmask
