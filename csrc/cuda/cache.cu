// rotate_and_store: a warp for each position and head. attend_cached: in half precision attend_tiles.cu, for the sizes of
// heads that are usual; else a block for each query and head, which goes over the row's slots in pieces and keeps a running
// maximum and sum, so that a row may have any number of slots.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "attend_tiles.cuh"
#include "block.cuh"
#include "splits.cuh"
#include "tokenmask/cache.h"
#include "vectors.cuh"

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

// Bytes that hold a vector wherever the first whole 16 of it begin.
int64_t staged_bytes(int64_t size, int64_t element_bytes) { return (size * element_bytes + 30) / 16 * 16; }

// Where in 16-byte aligned memory a vector begins so that whole 16 bytes of it lie there as they lie at `like`.
template <typename T>
__device__ T* beside(void* memory, const T* like) {
  return static_cast<T*>(memory) + (-head_of(like, sizeof(T)) & (16 / sizeof(T) - 1));
}

// Copies a vector by a warp, 16 bytes at a time where both lie alike.
template <typename T>
__device__ void copy_vector(const T* from, T* to, int size, int lane) {
  constexpr int kPer = 16 / sizeof(T);
  const int64_t head = head_of(from, sizeof(T));
  walk_vectors<kPer, 32>(
      lane, size, head == head_of(to, sizeof(T)) ? int(head) : size,
      [&](int i) { return load_vector(from, i * int64_t(sizeof(T))); },
      [&](int i, const uint4& vector) { *reinterpret_cast<uint4*>(to + i) = vector; }, [&](int i) { to[i] = from[i]; });
}

// Calls `use(j, component j)` for the components of a head's vector, scaled by `scale` and its weights and turned; those
// that turn into each other together.
template <typename T, typename Use>
__device__ void turn(const T* x, const T* weight, const float* cos, const float* sin, float scale, int size, int lane,
                     Use use) {
  for (int j = lane, other = lane + size / 2; other < size; j += 32, other += 32) {
    const float a = widen(x[j]) * scale * widen(weight[j]), b = widen(x[other]) * scale * widen(weight[other]);
    use(j, a * cos[j] + b * sin[j]);
    use(other, b * cos[other] + a * sin[other]);
  }
}

template <typename T>
__device__ float inverse_norm(const T* x, int size, float eps, int lane) {
  float sum = 0;
  for (int j = lane; j < size; j += 32) sum += widen(x[j]) * widen(x[j]);
  return rsqrtf(warp_sum(sum) / float(size) + eps);
}

// Vectors go through shared memory, `each` bytes of it: components are summed one by one in an order that does not depend on
// where they lie, but read and written 16 bytes at a time. Keys are written one by one, since a tile has them 16 apart.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    rotate_and_store_kernel(RotateAndStoreArgs args, int64_t each, LateFailure late) {
  check_splits(args.row_splits, args.rows, args.count, late);
  extern __shared__ uint4 shared[];
  const int lane = threadIdx.x % 32, size = int(args.size), warps = int(blockDim.x) / 32;
  const int64_t heads = args.heads;
  auto* own = reinterpret_cast<unsigned char*>(shared) + threadIdx.x / 32 * 3 * each;
  for (int64_t unit = blockIdx.x * int64_t(warps) + threadIdx.x / 32; unit < args.count * heads;
       unit += int64_t(gridDim.x) * warps) {
    const int64_t m = unit / heads, h = unit % heads;
    const bool has_slot = args.slots[m] >= 0 && args.slots[m] < args.total;
    const int64_t slot = has_slot ? args.slots[m] : 0;
    if (!has_slot && lane == 0) report(late, failure(m, Reason::slot_out_of_range), args.total - 1);
    const int64_t row = row_of(args.row_splits, args.rows, m);
    const T* x = static_cast<const T*>(args.qkv) + (m * 3 * heads + h) * size;
    const T* k = x + heads * size;
    T* query = static_cast<T*>(args.query) + unit * size;
    T *staged_x = beside(own, x), *staged_k = beside(own + each, k), *turned = beside(own + 2 * each, query);
    copy_vector(x, staged_x, size, lane);
    copy_vector(k, staged_k, size, lane);
    __syncwarp();
    const float of_query = inverse_norm(staged_x, size, args.eps, lane);
    turn(staged_x, static_cast<const T*>(args.query_weight), args.query_cos + m * size, args.query_sin + m * size,
         of_query, size, lane, [&](int j, float value) { turned[j] = narrow<T>(value); });
    __syncwarp();
    copy_vector(turned, query, size, lane);
    if (has_slot) {
      const int64_t at = (row * heads + h) * args.total;
      T* key = static_cast<T*>(args.keys) + (at + slot / kTile * kTile) * size + slot % kTile;
      const float of_key = inverse_norm(staged_k, size, args.eps, lane);
      turn(staged_k, static_cast<const T*>(args.key_weight), args.cos + m * size, args.sin + m * size, of_key, size,
           lane, [&](int j, float value) { key[j * kTile] = narrow<T>(value); });
      copy_vector(k + heads * size, static_cast<T*>(args.values) + (at + slot) * size, size, lane);
    }
    __syncwarp();  // before the next vectors are copied over these
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
    const int64_t each = staged_bytes(args.size, sizeof zero), fitting = (48 << 10) / (3 * each);
    const int64_t warps = fitting < kWarps ? fitting : kWarps;
    rotate_and_store_kernel<decltype(zero)><<<grid_of((units + warps - 1) / warps), unsigned(warps * 32),
                                              warps * 3 * each, static_cast<cudaStream_t>(stream)>>>(args, each, late);
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
