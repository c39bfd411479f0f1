// Twins of the instructions of csrc/cuda/ptx.cuh. A copy happens when it is waited for, so that a missing wait shows, and
// when it begins it writes what is not a number, so that a missing barrier before it shows.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "emulated.h"
#include "tokenmask/floats.h"

namespace tokenmask {

inline void copy_async(void* to_shared, const void* from_global, bool has) {
  *static_cast<uint4*>(to_shared) = {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu};
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

struct Rows {
  const uint16_t* of[32];
};
inline Rows rows_of_lanes(const void* row, const char* file, int line) {
  const unsigned char* given = emulated::exchange(0xffffffffu, &row, sizeof row, file, line);
  Rows rows;
  for (int lane = 0; lane < 32; ++lane) memcpy(&rows.of[lane], given + 16 * lane, sizeof row);
  return rows;
}
inline void load_transposed(uint32_t (&out)[4], const void* row, EMULATED_SITE) {
  const Rows rows = rows_of_lanes(row, file, line);
  const unsigned lane = lane_of_thread();
  for (int matrix = 0; matrix < 4; ++matrix) {
    const uint16_t *first = rows.of[8 * matrix + 2 * (lane % 4)], *next = rows.of[8 * matrix + 2 * (lane % 4) + 1];
    out[matrix] = first[lane / 4] | uint32_t{next[lane / 4]} << 16;
  }
}
inline void load_matrices(uint32_t (&out)[4], const void* row, EMULATED_SITE) {
  const Rows rows = rows_of_lanes(row, file, line);
  const unsigned lane = lane_of_thread();
  for (int matrix = 0; matrix < 4; ++matrix) {
    out[matrix] = reinterpret_cast<const uint32_t*>(rows.of[8 * matrix + lane / 4])[lane % 4];
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
void multiply_tiles(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EMULATED_SITE) {
  uint32_t all_a[32][4];
  memcpy(all_a, emulated::exchange(0xffffffffu, a, sizeof a, file, line), sizeof all_a);
  const uint32_t b[] = {b0, b1};
  emulated::multiply(c, all_a, emulated::exchange(0xffffffffu, b, sizeof b, file, line), lane_of_thread(),
                     std::is_same_v<T, __half>);
}

}  // namespace tokenmask
