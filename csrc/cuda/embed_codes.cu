// embed_codes: one block a position; its gradient: one block a table row, so that nothing is added atomically.
#include "block.cuh"
#include "tokenmask/embed_codes.h"

namespace tokenmask {

namespace {

template <FloatType type>
__global__ void embed_kernel(EmbedCodesArgs args, int64_t* first_failure) {
  for (int64_t position = blockIdx.x; position < args.positions; position += gridDim.x) {
    const int32_t* ids = args.ids + position * args.levels;
    bool fits = true;
    for (int64_t level = 0; level < args.levels; ++level) fits &= ids[level] >= 0 && ids[level] < args.table_rows;
    if (!fits) {
      if (threadIdx.x == 0) report(first_failure, failure(position, Reason::id_out_of_range));
      continue;
    }
    for (int64_t i = threadIdx.x; i < args.width; i += blockDim.x) {
      float sum = 0.0f;
      for (int64_t level = 0; level < args.levels; ++level) {
        if (ids[level] != kPad) sum = add(sum, load_float<type>(args.table, ids[level] * args.width + i));
      }
      store_float<type>(args.out, position * args.width + i, sum);
    }
  }
}

template <FloatType type>
__global__ void backward_kernel(EmbedCodesBackwardArgs args, int64_t size, LateFailure late) {
  if (blockIdx.x == 0 && threadIdx.x == 0) {
    const int64_t first = args.starts[0], end = args.starts[args.table_rows];
    if (first > 0 || end < size) {
      report_with(late, failure(args.entries[first > 0 ? 0 : end] / args.levels, Reason::id_out_of_range), 0);
    }
  }
  for (int64_t row = blockIdx.x; row < args.table_rows; row += gridDim.x) {
    const int64_t first = args.starts[row], last = row == kPad ? first : args.starts[row + 1];
    for (int64_t i = threadIdx.x; i < args.width; i += blockDim.x) {
      float sum = 0.0f;
      for (int64_t entry = first; entry < last; ++entry) {
        sum = add(sum, load_float<type>(args.grad, args.entries[entry] / args.levels * args.width + i));
      }
      store_float<type>(args.out, row * args.width + i, sum);
    }
  }
}

}  // namespace

void embed_codes_cuda(const EmbedCodesArgs& args, int64_t* first_failure, void* stream) {
  if (args.positions == 0) return;
  const auto kernel = args.type == FloatType::float32    ? embed_kernel<FloatType::float32>
                      : args.type == FloatType::bfloat16 ? embed_kernel<FloatType::bfloat16>
                                                         : embed_kernel<FloatType::float16>;
  kernel<<<grid_of(args.positions), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, first_failure);
}

void embed_codes_backward_cuda(const EmbedCodesBackwardArgs& args, int64_t size, const LateFailure& late,
                               void* stream) {
  if (args.table_rows == 0) return;
  const auto kernel = args.type == FloatType::float32    ? backward_kernel<FloatType::float32>
                      : args.type == FloatType::bfloat16 ? backward_kernel<FloatType::bfloat16>
                                                         : backward_kernel<FloatType::float16>;
  kernel<<<grid_of(args.table_rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, size, late);
}

}  // namespace tokenmask
