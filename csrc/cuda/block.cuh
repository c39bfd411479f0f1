// What one block of threads does together: reductions, a scan, and the search for a prefix of the total order.
#pragma once

#include "tokenmask/failure.h"
#include "tokenmask/order.h"

namespace tokenmask {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

// Combines one value a thread; every thread gets the result. The combination must not depend on the order.
template <typename T, typename Combine>
__device__ T block_reduce(T value, Combine combine) {
  __shared__ T partial[kWarps];
  for (int step = 16; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(0xffffffffu, value, step));
  __syncthreads();  // an earlier call may still be reading
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  __syncthreads();
  T result = partial[0];
  for (int warp = 1; warp < kWarps; ++warp) result = combine(result, partial[warp]);
  return result;
}

__device__ inline int64_t block_sum(int64_t value) {
  // Shuffles of 64-bit integers are defined for long long.
  return block_reduce(static_cast<long long>(value), [](long long a, long long b) { return a + b; });
}

__device__ inline int32_t block_max(int32_t value) {
  return block_reduce(value, [](int32_t a, int32_t b) { return a > b ? a : b; });
}

__device__ inline int32_t block_min(int32_t value) {
  return block_reduce(value, [](int32_t a, int32_t b) { return a < b ? a : b; });
}

// The sum of the values of the threads before this one; `total` receives the sum of all.
__device__ inline int64_t block_scan(int64_t value, int64_t& total) {
  __shared__ long long sums[kWarps];
  long long upto = value;
  for (int step = 1; step < 32; step *= 2) {
    const long long before = __shfl_up_sync(0xffffffffu, upto, step);
    if (threadIdx.x % 32 >= step) upto += before;
  }
  __syncthreads();  // an earlier call may still be reading
  if (threadIdx.x % 32 == 31) sums[threadIdx.x / 32] = upto;
  __syncthreads();
  total = 0;
  int64_t before = upto - value;
  for (int warp = 0; warp < kWarps; ++warp) {
    if (warp < threadIdx.x / 32) before += sums[warp];
    total += sums[warp];
  }
  return before;
}

// Records the smallest failure; one thread of the block calls it.
__device__ inline void report(int64_t* first_failure, int64_t failed) {
  atomicMin(reinterpret_cast<long long*>(first_failure), static_cast<long long>(failed));
}

// The same for callers that do not wait, with the number that the sentence about it names.
__device__ inline void report_with(const LateFailure& late, int64_t failed, int64_t number) {
  report(&late.words[0], failed);
  atomicExch(reinterpret_cast<unsigned long long*>(&late.words[1]), static_cast<unsigned long long>(number));
}

// An element's place in the total order as one integer: higher comes first. Places are distinct.
__device__ inline int64_t place(int32_t key, int64_t index) {
  return int64_t((uint64_t(uint32_t(key) ^ 0x80000000u) << 31) | uint64_t(INT32_MAX - index));
}

// A place that the elements of the shortest prefix whose mass is at least `needed` reach, and no other of positive mass
// does. Radix select: each pass sums the masses by the next eight bits of the places and keeps the digit that the
// prefix ends in, until one element is left there or all of them are needed. `key_at` gives an element's key, `mass_at`
// its mass (0 for what does not take part).
template <typename KeyAt, typename MassAt>
__device__ int64_t block_select(int64_t size, int64_t needed, KeyAt key_at, MassAt mass_at) {
  __shared__ unsigned long long masses[kThreads];  // by digit
  __shared__ int counts[kThreads];
  __shared__ int64_t above, prefix_end;
  int64_t prefix = 0;
  for (int shift = 55, bits = 8;; bits = shift < 8 ? shift : 8, shift -= bits) {  // places fill 63 bits
    __syncthreads();  // the pass or the call before may still be reading
    masses[threadIdx.x] = 0;
    counts[threadIdx.x] = 0;
    __syncthreads();
    for (int64_t i = threadIdx.x; i < size; i += kThreads) {
      const int64_t at = place(key_at(i), i);
      const int64_t mass = at >> (shift + bits) == prefix ? mass_at(i) : 0;
      if (mass == 0) continue;
      const int digit = int(at >> shift) & ((1 << bits) - 1);
      atomicAdd(&masses[digit], static_cast<unsigned long long>(mass));
      atomicAdd(&counts[digit], 1);
    }
    __syncthreads();
    const int digit = kThreads - 1 - int(threadIdx.x);  // threads go from the highest to the lowest
    const int64_t own = int64_t(masses[digit]);
    int64_t total;
    const int64_t before = block_scan(own, total);
    if (before < needed && needed <= before + own) {
      above = before;
      prefix_end = digit;
    }
    __syncthreads();
    prefix = prefix << bits | prefix_end;
    needed -= above;
    const bool decided = int64_t(masses[prefix_end]) == needed || counts[prefix_end] == 1 || shift == 0;
    if (decided) return prefix << shift;
  }
}

// Elements at this place or above are chosen; kNothing chooses none, kEverything all.
constexpr int64_t kNothing = INT64_MAX;
constexpr int64_t kEverything = 0;

// The place from which a row's open slots are chosen, shared by choose, commit and mask_tokens; `num_chosen` is a
// result.
template <typename KeyAt>
__device__ int64_t choose_block(const bool* is_open, int64_t length, int64_t count, KeyAt key_at, int64_t& num_chosen) {
  int64_t num_open = 0;
  for (int64_t i = threadIdx.x; i < length; i += kThreads) num_open += is_set(is_open, i);
  num_open = block_sum(num_open);
  num_chosen = count < 0 ? 0 : (count < num_open ? count : num_open);
  if (num_chosen == 0) return kNothing;
  if (num_chosen == num_open) return kEverything;
  return block_select(length, count, key_at, [&](int64_t i) { return int64_t{is_set(is_open, i)}; });
}

// Whether an open slot of the row has a NaN score.
__device__ inline bool block_has_nan(const float* scores, const bool* is_open, int64_t length) {
  int32_t has_nan = 0;
  for (int64_t i = threadIdx.x; i < length; i += kThreads) has_nan |= is_set(is_open, i) && scores[i] != scores[i];
  return block_max(has_nan) != 0;
}

// More rows than blocks are walked with a stride of the grid, so that any number of rows fits.
inline unsigned grid_of(int64_t rows) { return unsigned(rows < 65535 ? rows : 65535); }

}  // namespace tokenmask
