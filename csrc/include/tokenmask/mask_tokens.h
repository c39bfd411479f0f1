// mask_tokens: choose slots, corrupt them, and list slots and targets. Torch-free.
#pragma once

#include "tokenmask/failure.h"
#include "tokenmask/order.h"
#include "tokenmask/philox.h"

namespace tokenmask {

struct MaskTokensArgs {
  const int32_t* ids;          // [batch, length]
  const bool* maskable;        // [batch, length]
  const int64_t* count;        // [batch]
  const int32_t* mask_ids;     // [length] or [batch, length]
  const float* scores;         // [batch, length], or null: uniform
  const int32_t* random_low;   // [length] or [batch, length], or null: no slot becomes random
  const int32_t* random_high;  // exclusive
  const int64_t* sample_ids;   // [batch]
  const int64_t* offsets;      // [batch + 1] where each row's slots start in the lists
  int32_t* corrupted;          // [batch, length] out
  int64_t* slots;              // [offsets[batch]] out
  int32_t* targets;            // [offsets[batch]] out
  int64_t batch, length;
  int64_t mask_ids_stride, random_stride;  // 0 (shared by all rows) or length
  uint64_t seed;
  uint64_t mask_below;    // a chosen slot is masked if its 32-bit word is below this,
  uint64_t random_below;  // else random if below this, else kept
};

// How many slots row `row` gives to the lists.
int64_t mask_tokens_count(const MaskTokensArgs& args, int64_t row);

int64_t mask_tokens_cpu(const MaskTokensArgs& args, int64_t begin, int64_t end);

// In two launches, because the lists can be allocated only in between: the first fills `row_counts` [batch + 1], a 0 and
// how many slots each row gives to the lists, the second everything else. A row that fails is masked all the same.
void mask_tokens_count_cuda(const MaskTokensArgs& args, int64_t* row_counts, void* stream);
void mask_tokens_write_cuda(const MaskTokensArgs& args, const LateFailure& late, void* stream);

// The id that a chosen slot gets, from words 0 and 1 of its draw of purpose corruption. Both kernels use it; `low` <
// `high` if the share of random ids is above 0.
TM_HOST_DEVICE int32_t corrupt(const MaskTokensArgs& args, int64_t row, int64_t slot, uint32_t kind, uint32_t pick) {
  if (kind < args.mask_below) return args.mask_ids[row * args.mask_ids_stride + slot];
  if (kind >= args.random_below) return args.ids[row * args.length + slot];
  const int64_t at = row * args.random_stride + slot;
  const uint32_t size = uint32_t(args.random_high[at]) - uint32_t(args.random_low[at]);
  return int32_t(uint32_t(args.random_low[at]) + scale_word(pick, size));
}

// Whether the range of random ids at this slot is empty, which is an error at a chosen slot.
TM_HOST_DEVICE bool has_empty_range(const MaskTokensArgs& args, int64_t row, int64_t slot) {
  const int64_t at = row * args.random_stride + slot;
  return args.random_low && args.random_low[at] >= args.random_high[at];
}

}  // namespace tokenmask
