#include "tokenmask/mask_tokens.h"

#include <cstring>

#include "choose.h"

namespace tokenmask {

namespace {

// Keys from uniform scores: the 24 bits themselves order as their floats do.
TM_HOST_DEVICE int64_t fill_uniform_keys(const MaskTokensArgs& args, int64_t row, int32_t* keys) {
  const uint8_t* open_bytes = reinterpret_cast<const uint8_t*>(args.maskable + row * args.length);
  const uint64_t sample = uint64_t(args.sample_ids[row]);
  int32_t num_open = 0;
  int64_t slot = 0;
  for (; slot + 4 <= args.length; slot += 4) {
    const Random4 words = draw(args.seed, uint32_t(slot >> 2), Purpose::mask, sample);
    for (int64_t i = 0; i < 4; ++i) keys[slot + i] = int32_t(words.word[i] >> 8);
  }
  for (; slot < args.length; ++slot) keys[slot] = int32_t(slot_word(args.seed, slot, sample) >> 8);
  for (slot = 0; slot < args.length; ++slot) {
    const int32_t key = keys[slot];
    const int32_t open = open_bytes[slot];
    keys[slot] = open ? key : kClosedKey;
    num_open += open;
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
  std::vector<int32_t> keys(length), positions(length + 1);
  std::vector<uint8_t> chosen(length);
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
    const Prefix prefix = choose_row(keys.data(), length, args.count[row], found.num_open, scratch);
    mark_chosen(keys.data(), length, prefix, reinterpret_cast<bool*>(chosen.data()));
    int64_t num_chosen = 0;
    for (int64_t i = 0; i < length; ++i) {
      positions[num_chosen] = int32_t(i);
      num_chosen += chosen[i];
    }
    if (length > 0) std::memcpy(args.corrupted + at, args.ids + at, length * sizeof(int32_t));
    for (int64_t n = 0; n < num_chosen; ++n) {
      const int64_t slot = positions[n];
      if (has_empty_range(args, row, slot)) return failure(row, Reason::empty_range);
      args.corrupted[at + slot] = corrupt(args, row, slot);
      args.slots[args.offsets[row] + n] = at + slot;
      args.targets[args.offsets[row] + n] = args.ids[at + slot];
    }
  }
  return kNoFailure;
}

}  // namespace tokenmask
