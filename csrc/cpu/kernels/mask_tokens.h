#pragma once

#include "choose.h"
#include "philox.h"
#include "tokenmask/mask_tokens.h"

namespace tokenmask::TM_ISA {

// Keys from uniform scores: the 24 bits themselves order as their floats do. The keys end with closed ones.
TM_HOST_DEVICE RowKeys fill_uniform_keys(const MaskTokensArgs& args, int64_t row, int32_t* keys) {
  const uint64_t sample = uint64_t(args.sample_ids[row]);
  Ints low = all(INT32_MAX), high = all(INT32_MIN), counts = {};
  for (int64_t slot = 0; slot < args.length; slot += kSlotWords) {
    const bool* maskable = args.maskable + row * args.length + slot;
    bool last[kSlotWords] = {};
    if (args.length - slot < kSlotWords) {
      memcpy(last, maskable, args.length - slot);
      maskable = last;
    }
    Words words[kWordVectors];
    draw_slot_words(args.seed, slot, sample, words);
    for (int v = 0; v < kWordVectors; ++v) {
      const Mask open = load_mask(maskable + v * kLanes);
      const Ints key = (Ints)(words[v] >> 8), here = select(open, key, all(kClosedKey));
      counts += select(open, all(1), Ints{});
      low = smaller(low, select(open, key, low));
      high = larger(high, here);
      store(keys + slot + v * kLanes, here);
    }
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
  int64_t num_open = 0, i = 0;
  while (i + TM_LANES <= args.length) {
    Bytes counts = {};
    for (int steps = 0; steps < 255 && i + TM_LANES <= args.length; ++steps, i += TM_LANES) {
      counts -= (Bytes)(load<Bytes>(maskable + i) != 0);  // a lane that holds is -1
    }
    num_open += sum_lanes(__builtin_convertvector(counts, Ints));
  }
  for (; i < args.length; ++i) num_open += is_set(maskable, i);
  const int64_t count = args.count[row] > 0 ? args.count[row] : 0;
  return count < num_open ? count : num_open;
}

// Words below a bound of at most 2^32. With the highest bit turned, signed numbers order as the words do.
TM_HOST_DEVICE Mask below(Words words, uint64_t bound) {
  if (bound == 0) return greater(Ints{}, Ints{});
  return at_least(all(int32_t(uint32_t(bound - 1) ^ 0x80000000u)), (Ints)(words ^ 0x80000000u));
}

// scale_word of each lane.
TM_HOST_DEVICE Words scale_words(Words words, Words sizes) {
  const Longs even = multiply_low((Longs)words, (Longs)sizes);
  const Longs odd = multiply_low((Longs)words >> 32, (Longs)sizes >> 32);
  return (Words)((even >> 32) | (odd & 0xffffffff00000000u));
}

// The original ids and the new ones of the slots of a list, in whole vectors; the list has room for
// as many. The new ones are those of `corrupt`. False if a range of random ids is empty.
TM_HOST_DEVICE bool corrupt_slots(const MaskTokensArgs& args, int64_t row, const int32_t* slots, int64_t count,
                                  int32_t* targets, int32_t* corrupted) {
  const int32_t* ids = args.ids + row * args.length;
  const int32_t* mask_ids = args.mask_ids + row * args.mask_ids_stride;
  const int32_t* lows = args.random_low + row * args.random_stride;
  const int32_t* highs = args.random_high + row * args.random_stride;
  Mask empty = greater(Ints{}, Ints{});
  for (int64_t begin = 0; begin < count; begin += kPairVectors * kLanes) {
    Ints slot[kPairVectors];
    Mask listed[kPairVectors];
    WordPair words[kPairVectors];
    for (int v = 0; v < kPairVectors; ++v) {
      const int64_t n = begin + v * kLanes;
      listed[v] = greater(all(int32_t(count - n)), lane_numbers());
      slot[v] = select(listed[v], load<Ints>(slots + n), Ints{});
    }
    draw_word_pairs(args.seed, slot, Purpose::corruption, uint64_t(args.sample_ids[row]), words);
    for (int v = 0; v < kPairVectors; ++v) {
      const Ints target = gather(ids, slot[v]);
      Ints result = target;
      if (args.random_low) {
        const Ints low = gather(lows, slot[v]), high = gather(highs, slot[v]);
        empty = empty | (listed[v] & at_least(low, high));
        const Ints random = (Ints)((Words)low + scale_words(words[v].second, (Words)high - (Words)low));
        result = select(below(words[v].first, args.random_below), random, target);
      }
      result = select(below(words[v].first, args.mask_below), gather(mask_ids, slot[v]), result);
      store(targets + begin + v * kLanes, target);
      store(corrupted + begin + v * kLanes, result);
    }
  }
  return !any(empty);
}

inline int64_t mask_tokens(const MaskTokensArgs& args, int64_t begin, int64_t end) {
  const int64_t length = args.length;
  Buffer<int32_t> keys(length), slots(length), targets(length), corrupted(length);
  SelectScratch scratch(length, false);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * length;
    const RowKeys found = args.scores ? fill_keys(args.scores + at, args.maskable + at, length, keys.data)
                                      : fill_uniform_keys(args, row, keys.data);
    if (found.has_nan) return failure(row, Reason::not_a_number);
    const int32_t from = choose_row(keys.data, length, args.count[row], found, scratch);
    const int64_t count = list_slots(keys.data, length, from, slots.data);
    if (count == 0) {
      if (length > 0) memcpy(args.corrupted + at, args.ids + at, length * sizeof(int32_t));
      continue;
    }
    if (!corrupt_slots(args, row, slots.data, count, targets.data, corrupted.data)) {
      return failure(row, Reason::empty_range);
    }
    memcpy(args.corrupted + at, args.ids + at, length * sizeof(int32_t));
    memcpy(args.targets + args.offsets[row], targets.data, count * sizeof(int32_t));
    int64_t* to = args.slots + args.offsets[row];
    for (int64_t n = 0; n < count; ++n) to[n] = at + slots[n];
    for (int64_t n = 0; n < count; ++n) args.corrupted[at + slots[n]] = corrupted[n];
  }
  return kNoFailure;
}

}  // namespace tokenmask::TM_ISA
