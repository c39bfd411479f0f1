// choose and commit: one block a row.
#include "block.cuh"
#include "tokenmask/choose.h"
#include "tokenmask/commit.h"

namespace tokenmask {

namespace {

// The place from which the row's slots are chosen; a row with NaN chooses nothing and is reported.
__device__ int64_t choose_from(const ChooseArgs& args, int64_t row, int64_t* first_failure) {
  const float* scores = args.scores + row * args.length;
  const bool* is_open = args.is_open + row * args.length;
  if (block_has_nan(scores, is_open, args.length)) {
    if (threadIdx.x == 0) report(first_failure, failure(row, Reason::not_a_number));
    return kNothing;
  }
  int64_t num_chosen;
  return choose_block(
      is_open, args.length, args.count[row], [&](int64_t i) { return order_key(scores[i]); }, num_chosen);
}

__device__ bool is_chosen(const ChooseArgs& args, int64_t at, int64_t index, int64_t from) {
  return is_set(args.is_open, at) && place(order_key(args.scores[at]), index) >= from;
}

__global__ void choose_kernel(ChooseArgs args, int64_t* first_failure) {
  for (int64_t row = blockIdx.x; row < args.batch; row += gridDim.x) {
    const int64_t from = choose_from(args, row, first_failure);
    for (int64_t i = threadIdx.x; i < args.length; i += kThreads) {
      const int64_t at = row * args.length + i;
      args.chosen[at] = from != kNothing && is_chosen(args, at, i, from);
    }
  }
}

__global__ void commit_kernel(CommitArgs args, int64_t* first_failure) {
  const ChooseArgs& choice = args.choice;
  for (int64_t row = blockIdx.x; row < choice.batch; row += gridDim.x) {
    const int64_t from = choose_from(choice, row, first_failure);
    for (int64_t i = threadIdx.x; i < choice.length; i += kThreads) {
      const int64_t at = row * choice.length + i;
      const bool chosen = from != kNothing && is_chosen(choice, at, i, from);
      args.out[at] = chosen ? args.proposed[at] : args.ids[at];
      choice.chosen[at] = is_set(choice.is_open, at) && !chosen;
    }
  }
}

}  // namespace

void choose_cuda(const ChooseArgs& args, int64_t* first_failure, void* stream) {
  if (args.batch == 0) return;
  choose_kernel<<<grid_of(args.batch), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, first_failure);
}

void commit_cuda(const CommitArgs& args, int64_t* first_failure, void* stream) {
  if (args.choice.batch == 0) return;
  commit_kernel<<<grid_of(args.choice.batch), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, first_failure);
}

}  // namespace tokenmask
