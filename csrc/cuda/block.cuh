// What a block of threads does together where it is always the same size.
#pragma once

#include "grid.cuh"
#include "report.cuh"
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

}  // namespace tokenmask
