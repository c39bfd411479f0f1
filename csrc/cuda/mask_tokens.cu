// mask_tokens: one block a row, in two launches, because the lists are allocated in between.
#include "block.cuh"
#include "tokenmask/mask_tokens.h"

namespace tokenmask {

namespace {

__device__ int32_t mask_key(const MaskTokensArgs& args, int64_t row, int64_t slot) {
  if (args.scores) return order_key(args.scores[row * args.length + slot]);
  return int32_t(slot_word(args.seed, slot, uint64_t(args.sample_ids[row])) >> 8);
}

__device__ int32_t corrupt_slot(const MaskTokensArgs& args, int64_t row, int64_t slot) {
  const Random4 words = draw(args.seed, uint32_t(slot), Purpose::corruption, uint64_t(args.sample_ids[row]));
  return corrupt(args, row, slot, words.word[0], words.word[1]);
}

__global__ void choose_kernel(MaskTokensArgs args, bool* chosen, int64_t* row_counts, int64_t* first_failure) {
  for (int64_t row = blockIdx.x; row < args.batch; row += gridDim.x) {
    const int64_t at = row * args.length;
    const bool* maskable = args.maskable + at;
    if (args.scores && block_has_nan(args.scores + at, maskable, args.length)) {
      if (threadIdx.x == 0) report(first_failure, failure(row, Reason::not_a_number));
      continue;
    }
    const auto key_at = [&](int64_t i) { return is_set(maskable, i) ? mask_key(args, row, i) : kClosedKey; };
    int64_t num_chosen;
    const int64_t from = choose_block(maskable, args.length, args.count[row], key_at, num_chosen);
    if (threadIdx.x == 0) row_counts[row] = num_chosen;
    for (int64_t i = threadIdx.x; i < args.length; i += kThreads) {
      chosen[at + i] = from != kNothing && is_set(maskable, i) && place(key_at(i), i) >= from;
    }
  }
}

__global__ void write_kernel(MaskTokensArgs args, const bool* chosen, int64_t* first_failure) {
  for (int64_t row = blockIdx.x; row < args.batch; row += gridDim.x) {
    int64_t next = args.offsets[row];
    for (int64_t begin = 0; begin < args.length; begin += kThreads) {
      const int64_t i = begin + threadIdx.x;
      const int64_t at = row * args.length + i;
      const bool here = i < args.length && chosen[at];
      int64_t total;
      const int64_t entry = next + block_scan(here, total);
      next += total;
      if (i >= args.length) continue;
      if (here && has_empty_range(args, row, i)) report(first_failure, failure(row, Reason::empty_range));
      args.corrupted[at] = here ? corrupt_slot(args, row, i) : args.ids[at];
      if (here) {
        args.slots[entry] = at;
        args.targets[entry] = args.ids[at];
      }
    }
  }
}

}  // namespace

void mask_tokens_choose_cuda(const MaskTokensArgs& args, bool* chosen, int64_t* row_counts, int64_t* first_failure,
                             void* stream) {
  if (args.batch == 0) return;
  choose_kernel<<<grid_of(args.batch), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, chosen, row_counts,
                                                                                         first_failure);
}

void mask_tokens_write_cuda(const MaskTokensArgs& args, const bool* chosen, int64_t* first_failure, void* stream) {
  if (args.batch == 0) return;
  write_kernel<<<grid_of(args.batch), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, chosen, first_failure);
}

}  // namespace tokenmask
