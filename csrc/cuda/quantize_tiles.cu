// quantize_residual on tensor cores: a block takes a tile of rows, split into bfloat16 parts in shared memory, through all
// levels, while parts of codes are copied. Their products find the few codes of a row that can be the nearest, and if these
// are several, the chain of fused steps of the CPU kernel decides, so the codes are equal.
#include "block.cuh"
#include "ptx.cuh"
#include "quantize_bound.cuh"
#include "quantize_tiles.cuh"
#include "vectors.cuh"

namespace tokenmask {

namespace {

constexpr int kOfWarp = 32;          // rows
constexpr int kDepth = 32;           // numbers of each code in a stage
constexpr int kStages = 2;           // one is read while the other is on its way
constexpr int kChunks = kDepth / 4;  // 8 high or low parts each
constexpr int kKept = 4;             // codes of a list, which warps make of their part of a tile's codes
constexpr int kLists = 256;          // of all rows
constexpr int kAtOnce = 4;           // rows that a block scores with all codes

struct Near {
  int32_t code;
  float score;
};

template <int row_warps>
struct Tile {
  static constexpr int kRows = kOfWarp * row_warps;
  static constexpr int kListsOfRow = kWarps / row_warps;  // warps that share its codes
  static constexpr int kCodesOfWarp =
      row_warps == 4 ? 32 : 16;  // codes of a warp: of more, sums would not fit registers
  static constexpr int kCodes = kCodesOfWarp * kListsOfRow;
  static_assert(kRows * kListsOfRow == kLists);

  uint4 stages[kStages][kCodes][kChunks];
  Near kept[kLists][kKept];
  int count[kLists];         // more than kKept where more are near
  float least[kLists];       // score
  float slack[kRows];        // 2e; not a number where nothing is known
  long long nearest[kRows];  // the order key of the least score of the chain, then its code
  int whole[kRows], wholes;  // rows that are scored with all codes

  __device__ void keep(int list, int code, float score) {
    const int at = atomicAdd(&count[list], 1);
    if (at >= kKept) return;
    kept[list][at].code = code;
    kept[list][at].score = score;
  }
};

// Where chunk `at` of a vector stands: eight neighbouring vectors' lie in different banks.
__device__ int turned(int vector, int at) { return at ^ (vector & 7); }

__global__ void split_kernel(QuantizeResidualArgs args) {
  const int64_t step = int64_t{blockDim.x} * gridDim.x, first = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (int64_t level = first; level < args.levels; level += step) args.largest[level] = 0.0f;
  const int64_t eights = padded_width(args.width) / 8, total = args.levels * args.codes * eights;
  for (int64_t at = first; at < total; at += step) {
    const float* code = args.codebooks + at / eights * args.width;
    uint32_t high[4] = {}, low[4] = {};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int64_t d = at % eights * 8 + i;
      const uint32_t parts = d < args.width ? parts_of(code[d]) : 0;
      high[i / 2] |= (parts & 0xffffu) << (i % 2 * 16);
      low[i / 2] |= (parts >> 16) << (i % 2 * 16);
    }
    auto* out = reinterpret_cast<uint4*>(args.parts) + 2 * at;
    out[0] = {high[0], high[1], high[2], high[3]};
    out[1] = {low[0], low[1], low[2], low[3]};
  }
}

// The chain of the CPU kernel; codes that are less come first, then those of lower numbers.
__device__ long long key_of(float score, int64_t code) {
  return static_cast<long long>(order_key(score)) << 32 | static_cast<long long>(code);
}
__device__ long long key_of_none() { return key_of(__builtin_inff(), 0); }

__device__ long long score_by_chain(const QuantizeResidualArgs& args, int64_t level, int64_t row, int64_t code) {
  const float* left = args.rest + row * args.width;
  const float* value = args.codebooks + (level * args.codes + code) * args.width;
  float score = args.biases[level * args.codes + code];
#pragma unroll 8
  for (int64_t d = 0; d < args.width; ++d) score = __fmaf_rn(-left[d], value[d], score);
  return key_of(score, code);
}

// All codes of a level for some of a tile's rows, by the whole block.
template <int row_warps>
__device__ void score_wholes(Tile<row_warps>& tile, const QuantizeResidualArgs& args, int64_t level, unsigned at,
                             int from) {
  const int64_t begin = int64_t{at} * Tile<row_warps>::kRows;
  const int64_t stride = padded_codes(args.codes);
  const float* left[kAtOnce];
  long long best[kAtOnce];
  int row[kAtOnce];
#pragma unroll
  for (int i = 0; i < kAtOnce; ++i) {
    row[i] = tile.whole[from + i < tile.wholes ? from + i : from];
    left[i] = args.rest + (begin + row[i]) * args.width;
    best[i] = key_of_none();
  }
  for (int64_t code = threadIdx.x; code < args.codes; code += kThreads) {
    const float* column = args.packed + level * args.width * stride + code;
    float score[kAtOnce];
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) score[i] = args.biases[level * args.codes + code];
    for (int64_t d = 0; d < args.width; ++d) {
      const float value = column[d * stride];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) score[i] = __fmaf_rn(-left[i][d], value, score[i]);
    }
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {  // NaN is no nearest
      const long long here = key_of(score[i], code);
      if (score[i] < __builtin_inff() && here < best[i]) best[i] = here;
    }
  }
#pragma unroll
  for (int i = 0; i < kAtOnce; ++i) {
#pragma unroll
    for (int other = 16; other > 0; other /= 2) {
      const long long there = __shfl_xor_sync(0xffffffffu, best[i], other);
      best[i] = there < best[i] ? there : best[i];
    }
    if (threadIdx.x % 32 == 0) atomicMin(&tile.nearest[row[i]], best[i]);
  }
}

// What a warp has of a tile: scores of 32 rows and some codes.
template <int row_warps>
struct Scores {
  static constexpr int kCodesOfWarp = Tile<row_warps>::kCodesOfWarp;
  float sum[2][kCodesOfWarp / 8][4];

  __device__ static int row(int i) { return threadIdx.x / 32 % row_warps * kOfWarp + i * 8 + threadIdx.x % 32 / 4; }
  __device__ static int first_code() { return threadIdx.x / 32 / row_warps * kCodesOfWarp; }
  __device__ static int list(int i) { return row(i) * Tile<row_warps>::kListsOfRow + threadIdx.x / 32 / row_warps; }

  // Empties the warp's lists, of which a lane of four has one for each of its rows.
  __device__ static void begin_level(Tile<row_warps>& tile) {
    if (threadIdx.x % 4 != 0) return;
#pragma unroll
    for (int i = 0; i < 4; ++i) tile.least[list(i)] = __builtin_inff(), tile.count[list(i)] = 0;
  }

  __device__ void begin_tile() {
#pragma unroll
    for (int t = 0; t < 2; ++t) {
#pragma unroll
      for (int n = 0; n < kCodesOfWarp / 8; ++n) {
#pragma unroll
        for (int c = 0; c < 4; ++c) sum[t][n][c] = 0.0f;
      }
    }
  }

  // Adds the products of a stage, whose numbers are those from `from` on of the rows, in chunks.
  __device__ void add_stage(const uint4 (&stage)[Tile<row_warps>::kCodes][kChunks], const uint4* rest, int chunks,
                            int from) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int k = 0; k < kDepth / 16; ++k) {
      uint32_t left[2][2][4];
#pragma unroll
      for (int t = 0; t < 2; ++t) {
        const int r = threadIdx.x / 32 % row_warps * kOfWarp + t * 16 + lane % 16;
#pragma unroll
        for (int part = 0; part < 2; ++part) {
          load_matrices(left[t][part], rest + r * chunks + turned(r, from + 4 * k + lane / 16 * 2 + part));
        }
      }
#pragma unroll
      for (int pair = 0; pair < kCodesOfWarp / 16; ++pair) {
        const int code = first_code() + pair * 16 + lane / 16 * 8 + lane % 8;
        uint32_t right[2][4];
#pragma unroll
        for (int part = 0; part < 2; ++part) {
          load_matrices(right[part], &stage[code][turned(code, 4 * k + lane / 8 % 2 * 2 + part)]);
        }
#pragma unroll
        for (int product = 0; product < 3; ++product) {
#pragma unroll
          for (int t = 0; t < 2; ++t) {
#pragma unroll
            for (int half = 0; half < 2; ++half) {
              const auto& value = right[product == 1];
              multiply_tiles<__nv_bfloat16>(sum[t][2 * pair + half], left[t][product == 2], value[2 * half],
                                            value[2 * half + 1]);
            }
          }
        }
      }
    }
  }

  // Keeps the codes of a tile that are near. What is kept of tiles before goes where something is nearer by more than 2e.
  __device__ void end_tile(Tile<row_warps>& tile, const float* biases, int first, int codes) {
    const int lane = threadIdx.x % 32;
    float least[4] = {__builtin_inff(), __builtin_inff(), __builtin_inff(), __builtin_inff()};
#pragma unroll
    for (int n = 0; n < kCodesOfWarp / 8; ++n) {
#pragma unroll
      for (int c = 0; c < 2; ++c) {
        const int code = first + first_code() + n * 8 + 2 * (lane % 4) + c;
        const float bias = code < codes ? biases[code] : __builtin_inff();
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& score = sum[i / 2][n][i % 2 * 2 + c];
          score = bias - score;
          least[i] = fminf(least[i], score);
        }
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float here = least[i];
      float nearest = fminf(here, __shfl_xor_sync(0xffffffffu, here, 1));
      nearest = fminf(nearest, __shfl_xor_sync(0xffffffffu, nearest, 2));
      const float before = tile.least[list(i)];
      nearest = fminf(nearest, before);
      const float limit = fminf(nearest + tile.slack[row(i)], 0x1.fffffep127f);  // behind the last code nothing is near
      if (!__any_sync(0xffffffffu, here <= limit)) continue;
      __syncwarp();  // before the least is another
      if (lane % 4 == 0) tile.least[list(i)] = nearest;
      if (lane % 4 == 0 && before > limit) tile.count[list(i)] = 0;
      __syncwarp();
      if (!(here <= limit)) continue;
#pragma unroll
      for (int n = 0; n < kCodesOfWarp / 8; ++n) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          const float score = sum[i / 2][n][i % 2 * 2 + c];
          if (score <= limit) tile.keep(list(i), first + first_code() + n * 8 + 2 * (lane % 4) + c, score);
        }
      }
    }
  }
};

// The nearest of the codes that a list keeps, among those of the row's other lists.
template <int row_warps>
__device__ void find_nearest(Tile<row_warps>& tile, const QuantizeResidualArgs& args, int64_t level, unsigned at) {
  constexpr int kListsOfRow = Tile<row_warps>::kListsOfRow;
  const int64_t begin = int64_t{at} * Tile<row_warps>::kRows;
  const int list = threadIdx.x, row = list / kListsOfRow, first = row * kListsOfRow;
  if (begin + row >= args.rows) return;
  float least = __builtin_inff();
  for (int other = first; other < first + kListsOfRow; ++other) least = fminf(least, tile.least[other]);
  const float limit = least + tile.slack[row];
  bool whole = !(limit < __builtin_inff());
  int near = 0;
  for (int other = first; other < first + kListsOfRow && !whole; ++other) {
    if (!(tile.least[other] <= limit)) continue;
    whole = tile.count[other] > kKept;
    for (int i = 0; i < kKept && i < tile.count[other]; ++i) near += tile.kept[other][i].score <= limit;
  }
  if (args.counted && list == first && (whole || near > 1)) {
    atomicAdd(reinterpret_cast<unsigned long long*>(&args.counted[whole]), 1ull);
  }
  if (whole) {
    if (list == first) tile.whole[atomicAdd(&tile.wholes, 1)] = row;
    return;
  }
  for (int i = 0; i < kKept && i < tile.count[list]; ++i) {
    const Near& found = tile.kept[list][i];
    if (!(found.score <= limit)) continue;
    if (near == 1) tile.nearest[row] = found.code;
    else atomicMin(&tile.nearest[row], score_by_chain(args, level, begin + row, found.code));
  }
}

// Takes the nearest codes of `level` from what is left of a tile's rows, or loads them, for level -1; what is left then is
// split for the level after it. A warp has a few rows at once.
template <int row_warps>
__device__ void end_rows(Tile<row_warps>& tile, uint4* parts, const QuantizeResidualArgs& args, int64_t level,
                         unsigned at_tile, const LateFailure& late) {
  constexpr int kRows = Tile<row_warps>::kRows, kTogether = 4;
  const int64_t begin = int64_t{at_tile} * kRows;
  const int count = int(args.rows - begin < kRows ? args.rows - begin : kRows);
  const int lane = threadIdx.x % 32;
  const int64_t padded = padded_width(args.width);
  const bool is_last = level + 1 == args.levels;
  for (int first = threadIdx.x / 32 * kTogether; first < kRows; first += kWarps * kTogether) {
    const float* code[kTogether];
    float square[kTogether] = {};
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
      const int64_t nearest = level < 0 || first + i >= count ? 0 : tile.nearest[first + i] & 0x7fffffff;
      code[i] = args.codebooks + ((level < 0 ? 0 : level) * args.codes + nearest) * args.width;
      if (level >= 0 && lane == 0 && first + i < count) {
        args.out_codes[(begin + first + i) * args.levels + level] = int32_t(nearest);
      }
    }
    __syncwarp();  // before the next level's are none
    if (lane < kTogether) tile.nearest[first + lane] = key_of_none();
#pragma unroll 2
    for (int64_t d = lane; d < padded; d += 32) {
#pragma unroll
      for (int i = 0; i < kTogether; ++i) {
        const int r = first + i;
        const bool has = r < count && d < args.width;
        const int64_t at = (begin + r) * args.width + d;
        float value = 0.0f;
        if (has && level < 0) {
          value = args.x[at];
          if (value - value != 0.0f) report(late, kAfterCodebooks + failure(begin + r, Reason::not_finite));
          args.quantized[at] = 0.0f;
        } else if (has) {
          value = add(args.rest[at], -code[i][d]);
          args.quantized[at] = add(args.quantized[at], code[i][d]);
        }
        if (is_last) continue;
        if (has) args.rest[at] = value;
        square[i] = __fmaf_rn(value, value, square[i]);
        const uint32_t both = parts_of(value);
        auto* chunks = parts + r * (padded / 4);
        const int eight = int(d / 8) * 2;
        reinterpret_cast<uint16_t*>(chunks + turned(r, eight))[d % 8] = uint16_t(both);
        reinterpret_cast<uint16_t*>(chunks + turned(r, eight + 1))[d % 8] = uint16_t(both >> 16);
      }
    }
    if (is_last) continue;
#pragma unroll
    for (int i = 0; i < kTogether; ++i) {
#pragma unroll
      for (int other = 16; other > 0; other /= 2) square[i] += __shfl_xor_sync(0xffffffffu, square[i], other);
      if (lane == 0) tile.slack[first + i] = slack_of(square[i], args.largest[level + 1], padded, args.unit_norm);
    }
  }
}

// Which stage is copied next: of levels, of tiles of their codes, of numbers of these. A thread copies a chunk of every 32nd
// code.
template <int row_warps>
struct Cursor {
  static constexpr int kCodes = Tile<row_warps>::kCodes, kStep = kThreads / kChunks;
  const uint4* from;  // the thread's
  int levels;         // that are left
  int first = 0, chunk = 0, buffer = 0;

  __device__ Cursor(const QuantizeResidualArgs& args, int chunks)
      : from(reinterpret_cast<const uint4*>(args.parts) + threadIdx.x / kChunks * chunks + threadIdx.x % kChunks),
        levels(int(args.levels)) {}

  __device__ void begin_copy(Tile<row_warps>& tile, int chunks, int codes) {
    if (levels > 0) {
      const int code = threadIdx.x / kChunks;
      uint4* to = &tile.stages[buffer][code][turned(code, threadIdx.x % kChunks)];
#pragma unroll
      for (int i = 0; i < kCodes; i += kStep) {
        const bool has = first + code + i < codes;
        copy_async(to + i * kChunks, has ? from + i * chunks : from - code * chunks, has);
      }
      advance(chunks, codes);
    }
    end_group();
  }

 private:
  __device__ void advance(int chunks, int codes) {
    buffer = 1 - buffer;
    from += kChunks;
    if ((chunk += kChunks) < chunks) return;
    chunk = 0;
    from += (kCodes - 1) * chunks;
    if ((first += kCodes) < codes) return;
    from += int64_t{codes - first} * chunks;
    first = 0;
    --levels;
  }
};

template <int row_warps>
__global__ void __launch_bounds__(kThreads, 2) quantize_tiles_kernel(QuantizeResidualArgs args, LateFailure late) {
  constexpr int kRows = Tile<row_warps>::kRows;
  extern __shared__ uint4 shared[];
  auto& tile = *reinterpret_cast<Tile<row_warps>*>(shared);
  uint4* parts = shared + sizeof(Tile<row_warps>) / 16;
  const int chunks = int(padded_width(args.width) / 4), codes = int(args.codes);
  for (unsigned at = blockIdx.x; int64_t{at} * kRows < args.rows; at += gridDim.x) {
    Cursor<row_warps> next(args, chunks);
    next.begin_copy(tile, chunks, codes);
    if (threadIdx.x == 0) tile.wholes = 0;
    end_rows(tile, parts, args, -1, at, late);
    int buffer = 0;
    for (int level = 0; level < int(args.levels); ++level) {
      Scores<row_warps> scores;
      scores.begin_level(tile);
      for (int first = 0; first < codes; first += Tile<row_warps>::kCodes) {
        scores.begin_tile();
        for (int chunk = 0; chunk < chunks; chunk += kChunks, buffer = 1 - buffer) {
          wait_for_groups<0>();
          __syncthreads();  // rows and this stage are there, and the one before was read
          next.begin_copy(tile, chunks, codes);
          scores.add_stage(tile.stages[buffer], parts, chunks, chunk);
        }
        scores.end_tile(tile, args.biases + level * args.codes, first, codes);
      }
      __syncthreads();
      find_nearest(tile, args, level, at);
      __syncthreads();
      for (int from = 0; from < tile.wholes; from += kAtOnce) score_wholes(tile, args, level, at, from);
      __syncthreads();
      if (threadIdx.x == 0) tile.wholes = 0;
      end_rows(tile, parts, args, level, at, late);
    }
  }
}

template <int row_warps>
bool launch(const QuantizeResidualArgs& args, const LateFailure& late, cudaStream_t queue) {
  constexpr int kRows = Tile<row_warps>::kRows;
  static_assert(sizeof(Tile<row_warps>) % 16 == 0);
  const int64_t bytes = int64_t(sizeof(Tile<row_warps>)) + kRows * padded_width(args.width) * 4, most = most_shared();
  if (bytes > most) return false;
  // The most that the device has, not this call's size: another thread may launch the kernel at the same time.
  const auto kernel = quantize_tiles_kernel<row_warps>;
  if (bytes > (48 << 10)) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(most));
  kernel<<<grid_of((args.rows + kRows - 1) / kRows), kThreads, bytes, queue>>>(args, late);
  return true;
}

}  // namespace

void split_codebooks_cuda(const QuantizeResidualArgs& args, void* stream) {
  const int64_t eights = args.levels * args.codes * padded_width(args.width) / 8;
  if (eights == 0) return;
  split_kernel<<<grid_of((eights + kThreads - 1) / kThreads), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args);
}

bool quantize_tiles_cuda(const QuantizeResidualArgs& args, const LateFailure& late, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  if (!args.parts || args.width == 0 || args.width > kWidestOfTiles) return false;
  // Where rows are few, small tiles, for more blocks than processors.
  if (args.rows >= TM_MANY_ROWS && launch<4>(args, late, queue)) return true;
  return launch<1>(args, late, queue);
}

}  // namespace tokenmask
