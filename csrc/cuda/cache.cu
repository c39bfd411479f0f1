// rotate_and_store: a warp for each position and head. attend_cached: in half precision attend_tiles.cu, for the sizes of
// heads that are usual; else a block for each query and head, which goes over the row's slots in pieces and keeps a running
// maximum and sum, so that a row may have any number of slots.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "attend_tiles.cuh"
#include "block.cuh"
#include "splits.cuh"
#include "tokenmask/cache.h"

namespace tokenmask {

namespace {

template <typename T>
__device__ float widen(T value) {
  return static_cast<float>(value);
}

template <typename T>
__device__ T narrow(float value) {
  return static_cast<T>(value);
}

__device__ float warp_sum(float value) {
  for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// The turned component j of a head's normalised vector.
template <typename T>
__device__ float turned(const T* x, const T* weight, const float* cos, const float* sin, float scale, int64_t j,
                        int64_t half) {
  const int64_t other = j < half ? j + half : j - half;
  const float own = widen(x[j]) * scale * widen(weight[j]);
  return own * cos[j] + widen(x[other]) * scale * widen(weight[other]) * sin[j];
}

template <typename T>
__device__ float inverse_norm(const T* x, int64_t size, float eps, int lane) {
  float sum = 0;
  for (int64_t j = lane; j < size; j += 32) sum += widen(x[j]) * widen(x[j]);
  return rsqrtf(warp_sum(sum) / float(size) + eps);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) rotate_and_store_kernel(RotateAndStoreArgs args, LateFailure late) {
  check_splits(args.row_splits, args.rows, args.count, late);
  const int lane = threadIdx.x % 32;
  const int64_t size = args.size, heads = args.heads;
  const int64_t warps = int64_t(gridDim.x) * kWarps;
  for (int64_t unit = blockIdx.x * int64_t(kWarps) + threadIdx.x / 32; unit < args.count * heads; unit += warps) {
    const int64_t m = unit / heads, h = unit % heads;
    const bool has_slot = args.slots[m] >= 0 && args.slots[m] < args.total;
    const int64_t slot = has_slot ? args.slots[m] : 0;
    if (!has_slot && lane == 0) report(late, failure(m, Reason::slot_out_of_range), args.total - 1);
    const int64_t row = row_of(args.row_splits, args.rows, m);
    const T* x = static_cast<const T*>(args.qkv) + (m * 3 * heads + h) * size;
    const T* k = x + heads * size;
    const T* v = k + heads * size;
    const auto* query_weight = static_cast<const T*>(args.query_weight);
    const auto* key_weight = static_cast<const T*>(args.key_weight);
    T* query = static_cast<T*>(args.query) + unit * size;
    T* key = static_cast<T*>(args.keys) + ((row * heads + h) * args.total + slot / kTile * kTile) * size + slot % kTile;
    T* value = static_cast<T*>(args.values) + ((row * heads + h) * args.total + slot) * size;
    const float of_query = inverse_norm(x, size, args.eps, lane), of_key = inverse_norm(k, size, args.eps, lane);
    const float *cos = args.cos + m * size, *sin = args.sin + m * size;
    const float *query_cos = args.query_cos + m * size, *query_sin = args.query_sin + m * size;
    for (int64_t j = lane; j < size; j += 32) {
      query[j] = narrow<T>(turned(x, query_weight, query_cos, query_sin, of_query, j, size / 2));
      if (!has_slot) continue;
      key[j * kTile] = narrow<T>(turned(k, key_weight, cos, sin, of_key, j, size / 2));
      value[j] = v[j];
    }
  }
}

// Combines over the block with float maximum or sum; every thread gets the result, and always the same bits.
template <typename Combine>
__device__ float reduce(float value, Combine combine) {
  return block_reduce(value, combine);
}

template <typename T>
__global__ void __launch_bounds__(kThreads) attend_cached_kernel(AttendCachedArgs args, LateFailure late) {
  check_splits(args.row_splits, args.rows, args.count, late);
  __shared__ float query[kMostSize];
  __shared__ float weights[kThreads];
  const int64_t size = args.size, heads = args.heads;
  const float scale = rsqrtf(float(size));
  for (int64_t unit = blockIdx.x; unit < args.count * heads; unit += gridDim.x) {
    const int64_t m = unit / heads, h = unit % heads;
    const int64_t row = row_of(args.row_splits, args.rows, m);
    const bool fits = args.lengths[row] >= 0 && args.lengths[row] <= args.total;
    const int64_t length = fits ? args.lengths[row] : 0;
    if (!fits && threadIdx.x == 0) report(late, failure(row, Reason::length_out_of_range), args.total);
    const T* keys = static_cast<const T*>(args.keys) + (row * heads + h) * args.total * size;
    const T* values = static_cast<const T*>(args.values) + (row * heads + h) * args.total * size;
    for (int64_t j = threadIdx.x; j < size; j += kThreads) {
      query[j] = widen(static_cast<const T*>(args.query)[unit * size + j]);
    }
    __syncthreads();
    bool sees = !fits;  // then NaN, as if nothing could be made of what is seen
    float most = -INFINITY, sum = 0, mixed[kMostSize / kThreads] = {};
    for (int64_t first = 0; first < length; first += kThreads) {
      const int64_t slot = first + threadIdx.x;
      float score = -INFINITY;
      if (slot < length && (!args.allowed || is_set(args.allowed, m * args.total + slot))) {
        const T* key = keys + slot / kTile * kTile * size + slot % kTile;
        float dot = 0;
        for (int64_t j = 0; j < size; ++j) dot = __fmaf_rn(query[j], widen(key[j * kTile]), dot);
        score = dot * scale;
        sees = true;
      }
      const auto larger_or_nan = [](float a, float b) { return a > b || a != a ? a : b; };
      const float larger = larger_or_nan(most, reduce(score, larger_or_nan));
      if (larger == -INFINITY) continue;  // the same for all threads
      const float keep = expf(most - larger);
      const float weight = score == -INFINITY ? 0.0f : expf(score - larger);
      most = larger;
      sum = sum * keep + reduce(weight, [](float a, float b) { return a + b; });
      weights[threadIdx.x] = weight;
      __syncthreads();
      const int64_t here = length - first < kThreads ? length - first : kThreads;
#pragma unroll
      for (int part = 0; part < kMostSize / kThreads; ++part) {
        const int64_t j = threadIdx.x + part * kThreads;
        if (j >= size) break;
        float sum_here = 0;
        for (int64_t i = 0; i < here; ++i) {
          sum_here = __fmaf_rn(weights[i], widen(values[(first + i) * size + j]), sum_here);
        }
        mixed[part] = __fmaf_rn(mixed[part], keep, sum_here);
      }
    }
    // Zeros where nothing may be seen; NaN where all that is seen scores -inf.
    const float nothing = __syncthreads_or(sees) ? NAN : 0.0f;
#pragma unroll
    for (int part = 0; part < kMostSize / kThreads; ++part) {
      const int64_t j = threadIdx.x + part * kThreads;
      if (j >= size) break;
      static_cast<T*>(args.out)[unit * size + j] = narrow<T>(sum == 0 ? nothing : mixed[part] / sum);
    }
  }
}

template <typename Launch>
void with_type(CacheType type, const Launch& launch) {
  if (type == CacheType::float32) launch(float{});
  if (type == CacheType::bfloat16) launch(__nv_bfloat16{});
  if (type == CacheType::float16) launch(__half{});
}

}  // namespace

void rotate_and_store_cuda(const RotateAndStoreArgs& args, const LateFailure& late, void* stream) {
  const int64_t units = args.count * args.heads;
  if (units == 0) return;
  with_type(args.type, [&](auto zero) {
    rotate_and_store_kernel<decltype(zero)>
        <<<grid_of((units + kWarps - 1) / kWarps), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, late);
  });
}

void attend_cached_cuda(const AttendCachedArgs& args, const LateFailure& late, void* stream) {
  const int64_t units = args.count * args.heads;
  if (units == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  if (attend_tiles_cuda(args, late, queue)) return;
  with_type(args.type, [&](auto zero) {
    attend_cached_kernel<decltype(zero)><<<grid_of(units), kThreads, 0, queue>>>(args, late);
  });
}

}  // namespace tokenmask
