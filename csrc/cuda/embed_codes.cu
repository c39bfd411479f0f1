// embed_codes: a warp a position; its gradient: a warp for a table row's vector of columns a lane, entry by entry in
// ascending order as on the CPU, so that nothing is added atomically and the sums are equal.
#include "block.cuh"
#include "tokenmask/embed_codes.h"
#include "vectors.cuh"

namespace tokenmask {

namespace {

constexpr int kPositions = 8;  // of a block, a warp each
constexpr int kAhead = 8;      // entries whose gradients are asked for before the first is added

// Adds the table's rows of a position in columns [column, column + per) to `sum`, left to right. Lane i holds id i of
// each 32, so that ids are read once.
template <FloatType type, int per>
__device__ void add_levels(const EmbedCodesArgs& args, const int32_t* ids, int32_t own, int64_t column, float* sum) {
  const bool is_inside = column < args.width;
  for (int64_t begin = 0; begin < args.levels; begin += 32) {
    const int count = int(args.levels - begin < 32 ? args.levels - begin : 32), lane = threadIdx.x % 32;
    if (args.levels > 32) own = lane < count ? ids[begin + lane] : kPad;
#pragma unroll 4
    for (int level = 0; level < count; ++level) {
      const int32_t id = __shfl_sync(0xffffffffu, own, level);
      if (id == kPad || !is_inside) continue;
      const int64_t at = id * args.width + column;
      if constexpr (per == 1) {
        sum[0] = add(sum[0], load_float<type>(args.table, at));
      } else {
        const uint4 vector = load_vector(args.table, at * (16 / per));
#pragma unroll
        for (int e = 0; e < per; ++e) sum[e] = add(sum[e], float_of<type>(vector, e));
      }
    }
  }
}

template <FloatType type, int per>
__global__ void __launch_bounds__(32 * kPositions) embed_kernel(EmbedCodesArgs args, LateFailure late) {
  const int lane = threadIdx.x % 32;
  const int64_t stride = int64_t{gridDim.x} * kPositions;
  for (int64_t position = int64_t{blockIdx.x} * kPositions + threadIdx.x / 32; position < args.positions;
       position += stride) {
    const int32_t* ids = args.ids + position * args.levels;
    int32_t own = kPad;
    bool fits = true;
    for (int64_t level = lane; level < args.levels; level += 32) {
      own = ids[level];
      fits &= own >= 0 && own < args.table_rows;
    }
    fits = __all_sync(0xffffffffu, fits);
    if (!fits && lane == 0) report(late, failure(position, Reason::id_out_of_range));
    for (int64_t begin = 0; begin < args.width; begin += 32 * per) {
      const int64_t column = begin + lane * per, at = position * args.width + column;
      float sum[per] = {};
      if (fits) {
        add_levels<type, per>(args, ids, own, column, sum);
      } else {
        for (int e = 0; e < per; ++e) sum[e] = not_a_number();
      }
      if (column >= args.width) continue;
      if constexpr (per == 1) {
        store_float<type>(args.out, at, sum[0]);
      } else {
        store_vector<type>(args.out, at, sum);
      }
    }
  }
}

template <FloatType type, int per>
__global__ void __launch_bounds__(kThreads, 2)
    backward_kernel(EmbedCodesBackwardArgs args, int64_t size, LateFailure late) {
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    const int64_t first = args.starts[0], end = args.starts[args.table_rows];
    if (first > 0 || end < size) {
      report(late, failure(args.entries[first > 0 ? 0 : end] / args.levels, Reason::id_out_of_range));
    }
  }
  const int lane = threadIdx.x % 32;
  const int64_t pieces = (args.width + 32 * per - 1) / (32 * per), stride = int64_t{gridDim.x} * kWarps;
  for (int64_t item = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32; item < args.table_rows * pieces;
       item += stride) {
    const int64_t row = item / pieces, column = item % pieces * 32 * per + lane * per;
    const bool is_inside = column < args.width;
    const int64_t first = args.starts[row], last = row == kPad ? first : args.starts[row + 1];
    float sum[per] = {};
    for (int64_t begin = first; begin < last; begin += 32) {
      const int count = int(last - begin < 32 ? last - begin : 32);
      const int64_t own = lane < count ? args.entries[begin + lane] / args.levels : 0;
      for (int entry = 0; entry < count; entry += kAhead) {
        uint4 vectors[kAhead];
        float singles[kAhead];
#pragma unroll
        for (int e = 0; e < kAhead; ++e) {
          const int64_t position = __shfl_sync(0xffffffffu, own, (entry + e) % 32), at = position * args.width + column;
          if (entry + e >= count || !is_inside) continue;
          if constexpr (per == 1) {
            singles[e] = load_float<type>(args.grad, at);
          } else {
            vectors[e] = load_vector(args.grad, at * (16 / per));
          }
        }
#pragma unroll
        for (int e = 0; e < kAhead; ++e) {
          if (entry + e >= count || !is_inside) continue;
          if constexpr (per == 1) {
            sum[0] = add(sum[0], singles[e]);
          } else {
#pragma unroll
            for (int i = 0; i < per; ++i) sum[i] = add(sum[i], float_of<type>(vectors[e], i));
          }
        }
      }
    }
    if (!is_inside) continue;
    if constexpr (per == 1) {
      store_float<type>(args.out, row * args.width + column, sum[0]);
    } else {
      store_vector<type>(args.out, row * args.width + column, sum);
    }
  }
}

bool lies_whole(const void* values) { return reinterpret_cast<uintptr_t>(values) % 16 == 0; }

}  // namespace

void embed_codes_cuda(const EmbedCodesArgs& args, const LateFailure& late, void* stream) {
  if (args.positions == 0) return;
  const unsigned grid = grid_of((args.positions + kPositions - 1) / kPositions);
  const auto queue = static_cast<cudaStream_t>(stream);
  const auto launch = [&]<FloatType type>() {
    constexpr int kPer = kFloatsOfVector<type>;
    const bool whole = args.width % kPer == 0 && lies_whole(args.table) && lies_whole(args.out);
    const auto kernel = whole ? embed_kernel<type, kPer> : embed_kernel<type, 1>;
    kernel<<<grid, 32 * kPositions, 0, queue>>>(args, late);
  };
  if (args.type == FloatType::float32) launch.operator()<FloatType::float32>();
  if (args.type == FloatType::bfloat16) launch.operator()<FloatType::bfloat16>();
  if (args.type == FloatType::float16) launch.operator()<FloatType::float16>();
}

void embed_codes_backward_cuda(const EmbedCodesBackwardArgs& args, int64_t size, const LateFailure& late,
                               void* stream) {
  if (args.table_rows == 0) return;
  const auto launch = [&]<FloatType type>() {
    constexpr int kPer = kFloatsOfVector<type>;
    const bool whole = args.width % kPer == 0 && lies_whole(args.grad) && lies_whole(args.out);
    const int64_t of_warp = 32 * (whole ? kPer : 1), warps = args.table_rows * ((args.width + of_warp - 1) / of_warp);
    const auto kernel = whole ? backward_kernel<type, kPer> : backward_kernel<type, 1>;
    const int64_t blocks = warps > 0 ? (warps + kWarps - 1) / kWarps : 1;
    kernel<<<grid_of(blocks), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, size, late);
  };
  if (args.type == FloatType::float32) launch.operator()<FloatType::float32>();
  if (args.type == FloatType::bfloat16) launch.operator()<FloatType::bfloat16>();
  if (args.type == FloatType::float16) launch.operator()<FloatType::float16>();
}

}  // namespace tokenmask
