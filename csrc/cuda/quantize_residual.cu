// quantize_residual, where tensor cores do not pay: a block takes a tile of rows through all levels, codes by tiles of 128;
// a thread has a square of rows and codes in registers, while the next numbers of both are copied to shared memory. Scores
// are the chains of fused steps of the CPU kernel, so the codes are equal.
#include "block.cuh"
#include "ptx.cuh"
#include "quantize_tiles.cuh"
#include "vectors.cuh"

namespace tokenmask {

namespace {

constexpr int kSide = 16;     // threads of a block by rows, and by codes
constexpr int kOfThread = 8;  // codes
constexpr int kCodes = kSide * kOfThread;
constexpr int kDepth = 8;   // numbers of each vector in a stage
constexpr int kStages = 3;  // one is read while two are on their way
static_assert(kSide * kSide == kThreads);

// A number of every row and code of a tile stands side by side, so that a thread reads its own as whole vectors.
template <int rows>
struct alignas(16) Stage {
  float codes[kDepth][kCodes];
  float rest[kDepth][rows];
};

__device__ bool is_finite(float value) { return value - value == 0.0f; }

__global__ void bias_kernel(QuantizeResidualArgs args, LateFailure late) {
  const int64_t step = int64_t{blockDim.x} * gridDim.x, total = args.levels * args.codes;
  const int64_t stride = padded_codes(args.codes);
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < total; at += step) {
    const int64_t level = at / args.codes, code = at % args.codes;
    const float* column = args.packed + level * args.width * stride + code;
    float square = 0.0f;
    bool finite = true;
    for (int64_t d = 0; d < args.width; ++d) {
      const float value = column[d * stride];
      square = __fmaf_rn(value, value, square);
      finite &= is_finite(value);
    }
    if (!finite) report(late, failure(level, Reason::not_finite_code));
    args.biases[at] = args.unit_norm ? 0.0f : multiply(0.5f, square);
    if (args.largest) atomicMax(reinterpret_cast<int*>(&args.largest[level]), bits_as<int>(square));  // none is below 0
  }
}

// Which of a tile's rows, or codes, are a thread's: fours that lie apart, so that the threads of a warp that read at once
// meet in no bank.
template <int own>
__device__ int place_of(int thread, int i) {
  return own >= 4 ? i / 4 * (4 * kSide) + thread * 4 + i % 4 : thread * own + i;
}

template <int own>
__device__ void load_own(float (&out)[own], const float* from, int thread) {
  if constexpr (own >= 4) {
#pragma unroll
    for (int i = 0; i < own; i += 4) {
      const uint4 four = load_vector(from + place_of<own>(thread, i), 0);
      out[i] = bits_as<float>(four.x);
      out[i + 1] = bits_as<float>(four.y);
      out[i + 2] = bits_as<float>(four.z);
      out[i + 3] = bits_as<float>(four.w);
    }
  } else {
#pragma unroll
    for (int i = 0; i < own; ++i) out[i] = from[place_of<own>(thread, i)];
  }
}

// Calls `use` for each number of each of `rows` vectors. A warp has four neighbouring numbers of eight neighbouring rows,
// whole pieces of 32 bytes where rows lie side by side, and halves of them where numbers do.
template <int rows, typename Use>
__device__ void walk_rows(int64_t width, Use use) {
  constexpr int kEights = rows / 8;
  const int lane = threadIdx.x % 32;
  for (int64_t at = threadIdx.x / 32; at < (width + 3) / 4 * kEights; at += kWarps) {
    const int64_t d = at / kEights * 4 + lane / 8;
    if (d < width) use(int(at % kEights) * 8 + lane % 8, d);
  }
}

template <int own>
__global__ void __launch_bounds__(kThreads) quantize_kernel(QuantizeResidualArgs args, LateFailure late) {
  constexpr int kRows = kSide * own;
  __shared__ Stage<kRows> stages[kStages];
  __shared__ long long best[kRows];  // the order key of the least score, then its code
  const int thread = threadIdx.x, lane = thread % 32;
  const int of_codes = thread % kSide, of_rows = thread / kSide;
  const int64_t width = args.width, stride = padded_codes(args.codes);
  const int64_t pieces = width > kDepth ? (width + kDepth - 1) / kDepth : 1;
  const int64_t steps = (args.codes + kCodes - 1) / kCodes * pieces;
  for (int64_t begin = int64_t{blockIdx.x} * kRows; begin < args.rows; begin += int64_t{gridDim.x} * kRows) {
    const int count = int(args.rows - begin < kRows ? args.rows - begin : kRows);
    float* rest = args.rest + begin * width;  // [width, kRows]
    walk_rows<kRows>(width, [&](int r, int64_t d) {
      const float value = r < count ? args.x[(begin + r) * width + d] : 0.0f;
      if (!is_finite(value)) report(late, kAfterCodebooks + failure(begin + r, Reason::not_finite));
      rest[d * kRows + r] = value;
      if (r < count) args.quantized[(begin + r) * width + d] = 0.0f;
    });
    __syncthreads();
    for (int64_t level = 0; level < args.levels; ++level) {
      const float* book = args.packed + level * width * stride;
      const float* biases = args.biases + level * args.codes;
      // What is behind the last number or code becomes zero: a fused step by it changes no score.
      const auto begin_copy = [&](int64_t step) {
        if (step < steps) {
          Stage<kRows>& stage = stages[step % kStages];
          const int64_t first = step / pieces * kCodes, from = step % pieces * kDepth;
          const int depth = thread / 32, code = lane * 4;
          const bool has = from + depth < width && first + code < stride;
          copy_async(&stage.codes[depth][code], has ? book + (from + depth) * stride + first + code : book, has);
          constexpr int kFours = kRows / 4;
          for (int i = thread; i < kDepth * kFours; i += kThreads) {
            const bool inside = from + i / kFours < width;
            const float* at = inside ? rest + (from + i / kFours) * kRows + i % kFours * 4 : rest;
            copy_async(&stage.rest[i / kFours][i % kFours * 4], at, inside);
          }
        }
        end_group();
      };
      begin_copy(0);
      begin_copy(1);
      float score[own][kOfThread];
      for (int64_t step = 0; step < steps; ++step) {
        const int64_t first = step / pieces * kCodes, piece = step % pieces;
        if (piece == 0) {
#pragma unroll
          for (int c = 0; c < kOfThread; ++c) {
            const int64_t code = first + place_of<kOfThread>(of_codes, c);
            const float bias = code < args.codes ? biases[code] : __builtin_inff();
#pragma unroll
            for (int r = 0; r < own; ++r) score[r][c] = bias;
          }
        }
        wait_for_groups<1>();
        __syncthreads();  // all copies of this stage are there, and all threads are done with the one before
        begin_copy(step + 2);
        const Stage<kRows>& stage = stages[step % kStages];
#pragma unroll
        for (int d = 0; d < kDepth; ++d) {
          float left[own], value[kOfThread];
          load_own<own>(left, stage.rest[d], of_rows);
          load_own<kOfThread>(value, stage.codes[d], of_codes);
#pragma unroll
          for (int r = 0; r < own; ++r) {
#pragma unroll
            for (int c = 0; c < kOfThread; ++c) score[r][c] = __fmaf_rn(-left[r], value[c], score[r][c]);
          }
        }
        if (piece < pieces - 1) continue;
#pragma unroll
        for (int r = 0; r < own; ++r) {
          float least = __builtin_inff();
          int at = 0;
#pragma unroll
          for (int c = 0; c < kOfThread; ++c) {  // codes ascend; NaN is no nearest, nor what is behind the last code
            if (score[r][c] < least) least = score[r][c], at = place_of<kOfThread>(of_codes, c);
          }
          long long here =
              (static_cast<long long>(order_key(least)) << 32) | (least < __builtin_inff() ? first + at : 0);
#pragma unroll
          for (int other = kSide / 2; other > 0; other /= 2) {
            const long long there = __shfl_xor_sync(0xffffffffu, here, other);
            here = there < here ? there : here;
          }
          long long& found = best[place_of<own>(of_rows, r)];
          if (of_codes == 0 && (first == 0 || here < found)) found = here;
        }
      }
      __syncthreads();
      const auto nearest = [&](int r) { return int64_t{best[r] & 0x7fffffff}; };
      walk_rows<kRows>(width, [&](int r, int64_t d) {
        if (r >= count) return;
        const float value = args.codebooks[(level * args.codes + nearest(r)) * width + d];
        rest[d * kRows + r] = add(rest[d * kRows + r], -value);
        float& sum = args.quantized[(begin + r) * width + d];
        sum = add(sum, value);
      });
      for (int r = thread; r < count; r += kThreads) {
        args.out_codes[(begin + r) * args.levels + level] = int32_t(nearest(r));
      }
      __syncthreads();  // before what is left is copied, and the nearest of the next level are written
    }
  }
}

template <int own>
void launch(const QuantizeResidualArgs& args, const LateFailure& late, cudaStream_t queue) {
  const int64_t tiles = (args.rows + kSide * own - 1) / (kSide * own);
  quantize_kernel<own><<<grid_of(tiles), kThreads, 0, queue>>>(args, late);
}

}  // namespace

void quantize_residual_cuda(const QuantizeResidualArgs& args, const LateFailure& late, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  const int64_t codes = args.levels * args.codes;
  if (args.parts) split_codebooks_cuda(args, stream);
  if (codes > 0) bias_kernel<<<grid_of((codes + kThreads - 1) / kThreads), kThreads, 0, queue>>>(args, late);
  if (args.rows > 0 && quantize_tiles_cuda(args, late, stream)) return;
  if (args.rows >= TM_MANY_ROWS) {
    launch<kMostRowsOfTile / kSide>(args, late, queue);
  } else if (args.rows > 0) {
    launch<2>(args, late, queue);  // small tiles, for more blocks than processors
  }
}

}  // namespace tokenmask
