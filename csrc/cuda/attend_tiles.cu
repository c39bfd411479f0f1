// attend_cached in half precision on tensor cores: a warp for 16 queries of a head, pieces of 64 slots through shared memory
// while the next is copied, the running maximum and sum in registers. A query is a row of its tile, which no other row
// touches, and pieces begin at slot 0, so that its result depends on its own row of the cache alone.
#include "attend_tiles.cuh"
#include "grid.cuh"
#include "ptx.cuh"
#include "report.cuh"
#include "splits.cuh"

namespace tokenmask {

namespace {

constexpr int kSlots = 64;   // of a piece
constexpr int kOfTile = 16;  // queries that a warp takes

// Where a piece lies in shared memory: keys [slots / 16][size][16], values [slots][size], in chunks of 8 numbers that are
// swapped within a row so that the eight rows of a matrix lie in different banks.
template <int size>
struct Piece {
  static constexpr int kChunks = size / 8;            // of a value
  static constexpr int kNumbers = 2 * kSlots * size;  // keys and values
  uint16_t* at;

  __device__ uint16_t* key(int tile, int d, int half) const {
    return at + ((tile * size + d) * 2 + (half ^ (d >> 2 & 1))) * 8;
  }
  __device__ uint16_t* value(int slot, int chunk) const {
    const int turn = kChunks >= 8 ? slot & 7 : slot / (8 / kChunks) & (kChunks - 1);
    return at + kSlots * size + (slot * kChunks + (chunk ^ turn)) * 8;
  }
};

template <typename T>
__device__ uint32_t pair_of(float low, float high) {
  return bits_as<uint16_t>(static_cast<T>(low)) | uint32_t{bits_as<uint16_t>(static_cast<T>(high))} << 16;
}

// Positions [begin, end) are of one row of the cache; this warp has those of a tile from `first` on.
template <typename T, int size>
struct Tile {
  float mixed[size / 8][4] = {};
  uint32_t query[size / 16][4];
  float most[2] = {-INFINITY, -INFINITY}, sum[2] = {};
  bool sees[2] = {};
  int64_t position[2];  // of the two queries that this lane has a part of
  bool has[2];

  __device__ void load(const AttendCachedArgs& args, int64_t head, int64_t first, int64_t begin, int64_t end) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      position[r] = first + lane / 4 + 8 * r;
      has[r] = position[r] >= begin && position[r] < end;
      const auto* from = static_cast<const uint16_t*>(args.query) + (position[r] * args.heads + head) * size;
#pragma unroll
      for (int k = 0; k < size / 16; ++k) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int at = k * 16 + 8 * c + 2 * (lane % 4);
          query[k][r + 2 * c] = has[r] ? *reinterpret_cast<const uint32_t*>(from + at) : 0;
        }
      }
    }
  }

  // Scores of a piece become weights, and the sums so far are made comparable.
  __device__ void weigh(const AttendCachedArgs& args, float (&score)[kSlots / 8][4], int64_t begin, int64_t length) {
    const float scale = rsqrtf(float(size));
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float largest = most[r];
#pragma unroll
      for (int n = 0; n < kSlots / 8; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const int64_t slot = begin + n * 8 + 2 * (lane % 4) + c;
          const bool seen =
              has[r] && slot < length && (!args.allowed || is_set(args.allowed, position[r] * args.total + slot));
          sees[r] |= seen;
          float& here = score[n][2 * r + c];
          here = seen ? here * scale : -INFINITY;
          largest = fmaxf(largest, here);  // NaN passes, and becomes the weight below
        }
      }
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
      const float base = largest == -INFINITY ? 0.0f : largest;
      const float keep = expf(most[r] - base);
      most[r] = largest;
      sum[r] *= keep;
#pragma unroll
      for (int n = 0; n < kSlots / 8; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) sum[r] += score[n][2 * r + c] = expf(score[n][2 * r + c] - base);
      }
#pragma unroll
      for (int n = 0; n < size / 8; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) mixed[n][2 * r + c] *= keep;
      }
    }
  }

  __device__ void attend(const AttendCachedArgs& args, const Piece<size>& piece, int64_t begin, int64_t length) {
    const int lane = threadIdx.x % 32, row = lane % 8 + lane / 8 % 2 * 8, half = lane / 16;
    float score[kSlots / 8][4] = {};
#pragma unroll
    for (int k = 0; k < size / 16; ++k) {
#pragma unroll
      for (int n = 0; n < kSlots / 16; ++n) {
        uint32_t keys[4];
        load_transposed(keys, piece.key(n, k * 16 + row, half));
        multiply_tiles<T>(score[2 * n], query[k], keys[0], keys[1]);
        multiply_tiles<T>(score[2 * n + 1], query[k], keys[2], keys[3]);
      }
    }
    weigh(args, score, begin, length);
#pragma unroll
    for (int k = 0; k < kSlots / 16; ++k) {
      const uint32_t weights[4] = {
          pair_of<T>(score[2 * k][0], score[2 * k][1]), pair_of<T>(score[2 * k][2], score[2 * k][3]),
          pair_of<T>(score[2 * k + 1][0], score[2 * k + 1][1]), pair_of<T>(score[2 * k + 1][2], score[2 * k + 1][3])};
#pragma unroll
      for (int n = 0; n < size / 16; ++n) {
        uint32_t values[4];
        load_transposed(values, piece.value(k * 16 + row, 2 * n + half));
        multiply_tiles<T>(mixed[2 * n], weights, values[0], values[1]);
        multiply_tiles<T>(mixed[2 * n + 1], weights, values[2], values[3]);
      }
    }
  }

  // Zeros where nothing may be seen; NaN where all that is seen scores -inf, or where the row's length does not fit.
  __device__ void store(const AttendCachedArgs& args, int64_t head, bool fits) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float total = sum[r];
      total += __shfl_xor_sync(0xffffffffu, total, 1);
      total += __shfl_xor_sync(0xffffffffu, total, 2);
      const unsigned seeing = __ballot_sync(0xffffffffu, sees[r]) >> (lane / 4 * 4) & 15;
      const float nothing = seeing || !fits ? not_a_number() : 0.0f;
      if (!has[r]) continue;
      auto* to = static_cast<uint16_t*>(args.out) + (position[r] * args.heads + head) * size;
#pragma unroll
      for (int n = 0; n < size / 8; ++n) {
        const float low = total == 0 ? nothing : mixed[n][2 * r] / total;
        const float high = total == 0 ? nothing : mixed[n][2 * r + 1] / total;
        *reinterpret_cast<uint32_t*>(to + n * 8 + 2 * (lane % 4)) = pair_of<T>(low, high);
      }
    }
  }
};

// Begins to copy the piece of a row's head; slots from `length` on have no values, which NaN times a weight of 0 would show.
template <int size>
__device__ void copy_piece(const Piece<size>& piece, const AttendCachedArgs& args, int64_t unit, int64_t begin,
                           int64_t length) {
  const auto* keys = static_cast<const uint16_t*>(args.keys) + unit * args.total * size;
  const auto* values = static_cast<const uint16_t*>(args.values) + unit * args.total * size;
  for (int i = threadIdx.x; i < kSlots * size / 8; i += blockDim.x) {
    const int tile = i / (2 * size), d = i / 2 % size, half = i % 2;
    const bool has = begin + tile * kTile < args.total;
    copy_async(piece.key(tile, d, half), keys + (has ? (begin / kTile + tile) * kTile * size + i % (2 * size) * 8 : 0),
               has);
    const int slot = i / Piece<size>::kChunks, chunk = i % Piece<size>::kChunks;
    const bool is_used = begin + slot < length;
    copy_async(piece.value(slot, chunk), values + (is_used ? (begin + slot) * size + chunk * 8 : 0), is_used);
  }
  end_group();
}

// A block for `positions` neighbouring positions and a head; those of several rows are taken row by row.
template <typename T, int size>
__global__ void __launch_bounds__(128) attend_tiles_kernel(AttendCachedArgs args, int positions, LateFailure late) {
  check_splits(args.row_splits, args.rows, args.count, late);
  extern __shared__ uint4 shared[];
  auto* numbers = reinterpret_cast<uint16_t*>(shared);
  const auto piece = [&](int64_t p) { return Piece<size>{numbers + p % 2 * Piece<size>::kNumbers}; };
  const int64_t tiles = (args.count + positions - 1) / positions;
  for (int64_t unit = blockIdx.x; unit < tiles * args.heads; unit += gridDim.x) {
    const int64_t head = unit % args.heads, first = unit / args.heads * positions;
    const int64_t last = first + positions < args.count ? first + positions : args.count;
    int64_t begin = first;
    for (int64_t row = row_of(args.row_splits, args.rows, first); begin < last && row < args.rows; ++row) {
      const int64_t stop = row + 1 < args.rows && args.row_splits[row + 1] < last ? args.row_splits[row + 1] : last;
      if (stop <= begin) continue;
      const bool fits = args.lengths[row] >= 0 && args.lengths[row] <= args.total;
      const int64_t length = fits ? args.lengths[row] : 0, of_cache = row * args.heads + head;
      if (!fits && threadIdx.x == 0) report(late, failure(row, Reason::length_out_of_range), args.total);
      Tile<T, size> tile;
      tile.load(args, head, first + threadIdx.x / 32 * kOfTile, begin, stop);
      const bool works = __any_sync(0xffffffffu, tile.has[0] || tile.has[1]);
      const int64_t count = (length + kSlots - 1) / kSlots;
      if (count > 0) copy_piece(piece(0), args, of_cache, 0, length);
      for (int64_t p = 0; p < count; ++p) {
        if (p + 1 < count) {
          copy_piece(piece(p + 1), args, of_cache, (p + 1) * kSlots, length);
          wait_for_groups<1>();
        } else {
          wait_for_groups<0>();
        }
        __syncthreads();
        if (works) tile.attend(args, piece(p), p * kSlots, length);
        __syncthreads();  // before the piece after next is copied over this one
      }
      tile.store(args, head, fits);
      begin = stop;
    }
  }
}

// Tiles for heads of `size`, as large as the row's queries fill; a result does not depend on which.
template <typename T, int size>
void attend_tiles(const AttendCachedArgs& args, const LateFailure& late, cudaStream_t stream) {
  const int positions = args.count >= 32 * args.rows ? 64 : args.count >= 4 * args.rows ? 16 : 1;
  const int64_t blocks = (args.count + positions - 1) / positions * args.heads;
  constexpr int kBytes = 2 * Piece<size>::kNumbers * 2;
  const auto kernel = attend_tiles_kernel<T, size>;
  if (kBytes > (48 << 10)) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  kernel<<<grid_of(blocks), positions == 64 ? 128 : 32, kBytes, stream>>>(args, positions, late);
}

bool fits_tiles(const AttendCachedArgs& args) {
  const auto lies_whole = [](const void* values) { return reinterpret_cast<uintptr_t>(values) % 16 == 0; };
  return args.type != CacheType::float32 && lies_whole(args.query) && lies_whole(args.keys) &&
         lies_whole(args.values) && lies_whole(args.out);
}

template <typename T>
bool attend_in(const AttendCachedArgs& args, const LateFailure& late, cudaStream_t stream) {
  if (args.size == 32) return attend_tiles<T, 32>(args, late, stream), true;
  if (args.size == 64) return attend_tiles<T, 64>(args, late, stream), true;
  if (args.size == 128) return attend_tiles<T, 128>(args, late, stream), true;
  return false;
}

}  // namespace

bool attend_tiles_cuda(const AttendCachedArgs& args, const LateFailure& late, void* stream) {
  if (!fits_tiles(args)) return false;
  const auto queue = static_cast<cudaStream_t>(stream);
  return args.type == CacheType::float16 ? attend_in<__half>(args, late, queue)
                                         : attend_in<__nv_bfloat16>(args, late, queue);
}

}  // namespace tokenmask
