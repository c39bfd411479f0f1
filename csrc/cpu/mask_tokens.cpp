#include "tokenmask/mask_tokens.h"

#include "choose.h"

namespace tokenmask {

namespace {

// Keys from uniform scores: the 24 bits themselves order as their floats do.
TM_HOST_DEVICE int64_t fill_uniform_keys(const MaskTokensArgs& args, int64_t row, int32_t* keys) {
  const bool* maskable = args.maskable + row * args.length;
  const uint64_t sample = uint64_t(args.sample_ids[row]);
  int64_t num_open = 0;
  int64_t slot = 0;
  for (; slot + 4 <= args.length; slot += 4) {
    const Random4 words = draw(args.seed, uint32_t(slot >> 2), Purpose::mask, sample);
    for (int64_t i = 0; i < 4; ++i) keys[slot + i] = int32_t(words.word[i] >> 8);
  }
  for (; slot < args.length; ++slot) keys[slot] = int32_t(slot_word(args.seed, slot, sample) >> 8);
  for (slot = 0; slot < args.length; ++slot) {
    keys[slot] = maskable[slot] ? keys[slot] : kClosedKey;
    num_open += maskable[slot];
  }
  return num_open;
}

}  // namespace

int64_t mask_tokens_count(const MaskTokensArgs& args, int64_t row) {
  const bool* maskable = args.maskable + row * args.length;
  int64_t num_open = 0;
  for (int64_t i = 0; i < args.length; ++i) num_open += maskable[i];
  const int64_t count = args.count[row] > 0 ? args.count[row] : 0;
  return count < num_open ? count : num_open;
}

TM_TARGET_CLONES
int64_t mask_tokens_cpu(const MaskTokensArgs& args, int64_t begin, int64_t end) {
  const int64_t length = args.length;
  std::vector<int32_t> keys(length);
  SelectScratch scratch(length, false);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * length;
    RowKeys found = {0, false};
    if (args.scores) {
      found = fill_keys(args.scores + at, args.maskable + at, length, keys.data());
    } else {
      found.num_open = fill_uniform_keys(args, row, keys.data());
    }
    if (found.has_nan) return failure(row, Reason::not_a_number);
    Prefix prefix = choose_row(keys.data(), length, args.count[row], found.num_open, scratch);
    int64_t next = args.offsets[row];
    for (int64_t i = 0; i < length; ++i) {
      args.corrupted[at + i] = args.ids[at + i];
      if (keys[i] < prefix.key || (keys[i] == prefix.key && prefix.rest-- <= 0)) continue;
      if (has_empty_range(args, row, i)) return failure(row, Reason::empty_range);
      args.corrupted[at + i] = corrupt(args, row, i);
      args.slots[next] = at + i;
      args.targets[next] = args.ids[at + i];
      ++next;
    }
  }
  return kNoFailure;
}

}  // namespace tokenmask
