#pragma once

#include "choose.h"
#include "philox.h"
#include "tokenmask/mask_tokens.h"

namespace tokenmask::TM_ISA {

// Keys from uniform scores: the 24 bits themselves order as their floats do.
TM_HOST_DEVICE RowKeys fill_uniform_keys(const MaskTokensArgs& args, int64_t row, int32_t* keys) {
  const bool* maskable = args.maskable + row * args.length;
  const uint64_t sample = uint64_t(args.sample_ids[row]);
  for (int64_t slot = 0; slot < args.length; slot += 2 * kLanes) {
    draw_slot_words(args.seed, slot, sample, reinterpret_cast<uint32_t*>(keys + slot));
  }
  Ints low = all(INT32_MAX), high = all(INT32_MIN), counts = {};
  const auto close = [&](Mask open, int64_t i) __attribute__((always_inline)) {
    const Ints key = (Ints)(load<Words>(keys + i) >> 8);
    const Ints here = select(open, key, all(kClosedKey));
    counts += select(open, all(1), Ints{});
    low = smaller(low, select(open, key, low));
    high = larger(high, here);
    store(keys + i, here);
  };
  int64_t i = 0;
  for (; i + kLanes <= args.length; i += kLanes) close(load_mask(maskable + i), i);
  if (i < args.length) {
    bool last[kLanes] = {};
    for (int64_t lane = 0; i + lane < args.length; ++lane) last[lane] = maskable[i + lane];
    close(load_mask(last), i);
  }
  return {{smallest_lane(low), largest_lane(high)}, sum_lanes(counts), false};
}

// Lists the slots whose key is at least `from`, ascending.
TM_HOST_DEVICE int64_t list_slots(const int32_t* keys, int64_t length, int32_t from, int32_t* slots) {
  const Ints least = all(from), lanes = lane_numbers();
  int64_t count = 0;
  for (int64_t i = 0; i < length; i += kLanes) {
    const Mask chosen = at_least(load<Ints>(keys + i), least);
    store(slots + count, pack(chosen, lanes + int32_t(i)));
    count += count_lanes(chosen);
  }
  return count;
}

inline int64_t mask_tokens_count(const MaskTokensArgs& args, int64_t row) {
  const bool* maskable = args.maskable + row * args.length;
  const uint8_t* bytes = reinterpret_cast<const uint8_t*>(maskable);
  int64_t num_open = 0, i = 0;
  while (i + TM_LANES <= args.length) {
    Bytes counts = {};
    for (int steps = 0; steps < 255 && i + TM_LANES <= args.length; ++steps, i += TM_LANES) {
      counts += load<Bytes>(bytes + i);
    }
    num_open += sum_lanes(__builtin_convertvector(counts, Ints));
  }
  for (; i < args.length; ++i) num_open += bytes[i];
  const int64_t count = args.count[row] > 0 ? args.count[row] : 0;
  return count < num_open ? count : num_open;
}

inline int64_t mask_tokens(const MaskTokensArgs& args, int64_t begin, int64_t end) {
  const int64_t length = args.length;
  Buffer<int32_t> keys(length), slots(length);
  Buffer<uint64_t> words(length);
  SelectScratch scratch(length, false);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * length;
    const RowKeys found = args.scores ? fill_keys(args.scores + at, args.maskable + at, length, keys.data)
                                      : fill_uniform_keys(args, row, keys.data);
    if (found.has_nan) return failure(row, Reason::not_a_number);
    const int32_t from = choose_row(keys.data, length, args.count[row], found, scratch);
    const int64_t count = list_slots(keys.data, length, from, slots.data);
    draw_word_pairs(args.seed, slots.data, count, Purpose::corruption, uint64_t(args.sample_ids[row]), words.data);
    if (length > 0) memcpy(args.corrupted + at, args.ids + at, length * sizeof(int32_t));
    for (int64_t n = 0; n < count; ++n) {
      const int64_t slot = slots[n];
      if (has_empty_range(args, row, slot)) return failure(row, Reason::empty_range);
      args.slots[args.offsets[row] + n] = at + slot;
      args.targets[args.offsets[row] + n] = args.ids[at + slot];
      args.corrupted[at + slot] = corrupt(args, row, slot, uint32_t(words[n]), uint32_t(words[n] >> 32));
    }
  }
  return kNoFailure;
}

}  // namespace tokenmask::TM_ISA
