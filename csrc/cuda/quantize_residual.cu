// quantize_residual: a block takes a few rows through all levels; a thread scores codes for all of them at once. Scores
// are the chains of fused steps of the CPU kernel, so the codes are equal.
#include "block.cuh"
#include "tokenmask/quantize_residual.h"

namespace tokenmask {

namespace {

constexpr int kRows = kRowsOfBlock;

__device__ bool is_finite(float value) { return value - value == 0.0f; }

__global__ void bias_kernel(QuantizeResidualArgs args, LateFailure late) {
  const int64_t step = int64_t{blockDim.x} * gridDim.x, total = args.levels * args.codes;
  for (int64_t code = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; code < total; code += step) {
    float square = 0.0f;
    bool finite = true;
    for (int64_t d = 0; d < args.width; ++d) {
      const float value = args.codebooks[code * args.width + d];
      square = __fmaf_rn(value, value, square);
      finite &= is_finite(value);
    }
    if (!finite) report(late, failure(code / args.codes, Reason::not_finite_code));
    args.biases[code] = args.unit_norm ? 0.0f : multiply(0.5f, square);
  }
}

__global__ void quantize_kernel(QuantizeResidualArgs args, LateFailure late) {
  extern __shared__ float shared_rest[];  // [kRows, width], or nothing
  const int64_t width = args.width;
  for (int64_t begin = int64_t{blockIdx.x} * kRows; begin < args.rows; begin += int64_t{gridDim.x} * kRows) {
    float* rest = args.rest ? args.rest + begin * width : shared_rest;
    const int64_t count = args.rows - begin < kRows ? args.rows - begin : kRows;
    for (int64_t i = threadIdx.x; i < kRows * width; i += blockDim.x) {
      const float value = i < count * width ? args.x[begin * width + i] : 0.0f;
      if (!is_finite(value)) report(late, kAfterCodebooks + failure(begin + i / width, Reason::not_finite));
      rest[i] = value;
      if (i < count * width) args.quantized[begin * width + i] = 0.0f;
    }
    __syncthreads();
    for (int64_t level = 0; level < args.levels; ++level) {
      // A score and its code as one integer: the order key of the score, then the lower code.
      long long best[kRows];
      for (int r = 0; r < kRows; ++r) best[r] = (static_cast<long long>(order_key(__builtin_inff())) << 32);
      const float* book = args.packed + level * width * args.codes;
      for (int64_t code = threadIdx.x; code < args.codes; code += blockDim.x) {
        float score[kRows];
        for (int r = 0; r < kRows; ++r) score[r] = args.biases[level * args.codes + code];
        for (int64_t d = 0; d < width; ++d) {
          const float value = book[d * args.codes + code];
          for (int r = 0; r < kRows; ++r) score[r] = __fmaf_rn(-rest[r * width + d], value, score[r]);
        }
        for (int r = 0; r < kRows; ++r) {
          const long long here = (static_cast<long long>(order_key(score[r])) << 32) | code;
          if (score[r] == score[r] && here < best[r]) best[r] = here;
        }
      }
      for (int r = 0; r < count; ++r) {
        const long long least = block_reduce(best[r], [](long long a, long long b) { return a < b ? a : b; });
        const int64_t code = least & 0x7fffffff;
        const float* vector = args.codebooks + (level * args.codes + code) * width;
        for (int64_t d = threadIdx.x; d < width; d += blockDim.x) {
          rest[r * width + d] = add(rest[r * width + d], -vector[d]);
          float& sum = args.quantized[(begin + r) * width + d];
          sum = add(sum, vector[d]);
        }
        if (threadIdx.x == 0) args.out_codes[(begin + r) * args.levels + level] = int32_t(code);
      }
      __syncthreads();
    }
  }
}

}  // namespace

void quantize_residual_cuda(const QuantizeResidualArgs& args, const LateFailure& late, void* stream) {
  const auto queue = static_cast<cudaStream_t>(stream);
  if (args.levels * args.codes > 0) {
    bias_kernel<<<grid_of((args.levels * args.codes + kThreads - 1) / kThreads), kThreads, 0, queue>>>(args, late);
  }
  if (args.rows == 0) return;
  const size_t shared = args.rest ? 0 : kRows * args.width * sizeof(float);
  quantize_kernel<<<grid_of((args.rows + kRows - 1) / kRows), kThreads, shared, queue>>>(args, late);
}

}  // namespace tokenmask
