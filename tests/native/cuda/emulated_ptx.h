// Twins of the instructions of csrc/cuda/ptx.cuh. A copy happens when it is waited for, so that a missing wait shows.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "emulated.h"
#include "tokenmask/floats.h"

namespace tokenmask {

inline void copy_async(void* to_shared, const void* from_global, bool has) {
  emulated::begin_copy({to_shared, has ? from_global : nullptr});
}
inline void end_group() { emulated::end_group(); }
template <int left>
void wait_for_groups() {
  emulated::Copy copy;
  while (emulated::next_copy(left, copy)) {
    *static_cast<uint4*>(copy.to) = copy.from ? *static_cast<const uint4*>(copy.from) : uint4{};
  }
}

inline float widen_half(uint16_t bits) { return widen_float16(bits); }

inline float larger_or_nan(float a, float b) { return a != a || b != b ? bits_as<float>(0x7fffffff) : a > b ? a : b; }

inline void load_transposed(uint32_t (&out)[4], const void* row, EMULATED_SITE) {
  const unsigned char* given = emulated::exchange(0xffffffffu, &row, sizeof row, file, line);
  const uint16_t* rows[32];
  for (int lane = 0; lane < 32; ++lane) memcpy(&rows[lane], given + 16 * lane, sizeof row);
  const unsigned lane = lane_of_thread();
  for (int matrix = 0; matrix < 4; ++matrix) {
    const uint16_t *first = rows[8 * matrix + 2 * (lane % 4)], *next = rows[8 * matrix + 2 * (lane % 4) + 1];
    out[matrix] = first[lane / 4] | uint32_t{next[lane / 4]} << 16;
  }
}

inline int cluster_rank() { return emulated::cluster_rank(); }
inline int cluster_size() { return emulated::cluster_size(); }
inline void sync_cluster(EMULATED_SITE) { emulated::wait_for_cluster(file, line); }
template <typename T>
const T* of_block(const T* shared, int rank) {
  return static_cast<const T*>(emulated::of_block(shared, rank));
}

template <typename T>
float number_of(uint32_t pair, int which) {
  const auto bits = uint16_t(pair >> (16 * which));
  T value;
  memcpy(&value, &bits, sizeof bits);
  return float(value);
}

template <typename T>
void multiply_tiles(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EMULATED_SITE) {
  uint32_t all_a[32][4], all_b[32][2];
  const unsigned char* given = emulated::exchange(0xffffffffu, a, sizeof a, file, line);
  memcpy(all_a, given, sizeof all_a);
  const uint32_t b[] = {b0, b1};
  given = emulated::exchange(0xffffffffu, b, sizeof b, file, line);
  for (int lane = 0; lane < 32; ++lane) memcpy(all_b[lane], given + 16 * lane, sizeof b);
  const unsigned lane = lane_of_thread();
  for (int i = 0; i < 4; ++i) {
    const unsigned row = lane / 4, column = 2 * (lane % 4) + i % 2;
    for (unsigned k = 0; k < 16; ++k) {
      const uint32_t left = all_a[row * 4 + k % 8 / 2][i / 2 + 2 * (k / 8)],
                     right = all_b[column * 4 + k % 8 / 2][k / 8];
      c[i] += number_of<T>(left, k % 2) * number_of<T>(right, k % 2);
    }
  }
}

}  // namespace tokenmask
