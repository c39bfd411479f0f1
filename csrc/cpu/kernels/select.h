// Finds a prefix of the total order without sorting: pick a key, weigh what is not below it, keep the side that the
// prefix ends in, repeat.
#pragma once

#include "mass.h"

namespace tokenmask::TM_ISA {

struct KeyRange {
  int32_t low, high;
};

// Keys and, where they matter, weights. Arrays that a selection reads end with closed keys up to a whole vector.
struct Elements {
  const int32_t* keys;
  const int32_t* weights;
  int64_t size;
};

// Buffers that one thread keeps between rows.
struct SelectScratch {
  Buffer<int32_t> keys, weights;
  TM_HOST_DEVICE SelectScratch(int64_t size, bool weighted) : keys(size), weights(weighted ? size : 0) {}
};

TM_HOST_DEVICE void close_tail(int32_t* keys, int64_t size) { store(keys + size, all(kClosedKey)); }

// Keeps the elements with keys in the range, in order, and narrows the range to them.
template <bool weighted>
TM_HOST_DEVICE void keep_range(Elements& elements, KeyRange& range, SelectScratch& scratch) {
  const Ints low = all(range.low), high = all(range.high);
  Ints least = all(INT32_MAX), most = all(INT32_MIN);
  int64_t kept = 0;
  for (int64_t i = 0; i < elements.size; i += kLanes) {
    const Ints keys = load<Ints>(elements.keys + i);
    const Mask inside = at_least(keys, low) & at_least(high, keys);
    least = smaller(least, select(inside, keys, least));
    most = larger(most, select(inside, keys, most));
    store(&scratch.keys[kept], pack(inside, keys));
    if constexpr (weighted) store(&scratch.weights[kept], pack(inside, load<Ints>(elements.weights + i)));
    kept += count_lanes(inside);
  }
  close_tail(scratch.keys.data, kept);
  elements = {scratch.keys.data, scratch.weights.data, kept};
  range = {smallest_lane(least), largest_lane(most)};
}

TM_HOST_DEVICE int32_t middle_of_three(int32_t a, int32_t b, int32_t c) {
  const int32_t low = a < b ? a : b, high = a < b ? b : a;
  return c < low ? low : (c > high ? high : c);
}

// A key in (low, high]. Halving values is quick on smooth scores, an element in the middle of a few is quick on others,
// halving keys ends on all.
TM_HOST_DEVICE int32_t pick_key(const Elements& elements, KeyRange range, int round) {
  const int32_t halved = int32_t(range.low + (int64_t{range.high} - range.low + 1) / 2);
  if (round >= 24 || elements.size == 0) return halved;
  int32_t key = halved;
  if (elements.size <= 4 * kLanes || round % 2 == 1) {
    const int64_t quarter = elements.size / 4;
    key =
        middle_of_three(elements.keys[quarter], elements.keys[2 * quarter], elements.keys[elements.size - 1 - quarter]);
  } else if (range.low < 0 || range.high >= 1 << 24) {  // small positive keys are plain integers
    key = order_key(0.5f * order_value(range.low) + 0.5f * order_value(range.high));
  }
  return range.low < key && key <= range.high ? key : halved;
}

// The shortest prefix of the total order whose mass (number of elements, or sum of weights) is at least `needed`, which
// lies between 1 and the mass of all. `range` holds the lowest and highest key above kClosedKey.
template <bool weighted>
TM_HOST_DEVICE Prefix select_prefix(Elements elements, KeyRange range, int64_t needed, SelectScratch& scratch) {
  for (int round = 0; range.low < range.high; ++round) {
    const int32_t key = pick_key(elements, range, round);
    const int64_t mass = mass_from<weighted>(elements.keys, elements.weights, elements.size, key);
    if (mass == needed) return {key - 1, 0};
    if (mass > needed) {
      range.low = key;
      // Closed keys are below; what is above the range was dropped, and its mass taken from `needed`.
    } else {
      range.high = key - 1;
      needed -= mass;
    }
    keep_range<weighted>(elements, range, scratch);
  }
  const bool takes_all = weighted ? elements.size == 1 : elements.size == needed;
  return takes_all ? Prefix{range.low - 1, 0} : Prefix{range.low, needed};
}

TM_HOST_DEVICE int64_t rank_at(double rank, int64_t most) {
  const int64_t whole = int64_t(rank);
  return whole < 1 ? 1 : (whole > most ? most : whole);
}

// Two keys of a sample that most likely lie around the `needed`-th best of `num_open`. For keys that are uniform
// integers from 0 to 2^24 no sample is taken.
TM_HOST_DEVICE KeyRange bracket(const Elements& elements, KeyRange range, int64_t num_open, int64_t needed,
                                SelectScratch& scratch) {
  const double share = double(needed) / double(num_open);
  if (range.low >= 0 && range.high < 1 << 24) {
    const double width = double(1 << 24),
                 margin = width * (2.5 * __builtin_sqrt(share * (1 - share) / num_open) + 1e-3);
    return {int32_t(width * (1 - share) - margin), int32_t(width * (1 - share) + margin)};
  }
  constexpr int64_t kSample = 4 * kLanes < 32 ? 32 : 4 * kLanes;
  alignas(64) int32_t sample[kSample + kLanes];
  const int64_t step = elements.size / kSample;
  int64_t count = 0;
  for (int64_t i = 0; i < kSample; ++i) {
    sample[count] = elements.keys[i * step];
    count += sample[count] != kClosedKey;
  }
  if (count < kSample / 4) return range;
  close_tail(sample, count);
  KeyRange of_sample = {INT32_MAX, INT32_MIN};
  for (int64_t i = 0; i < count; ++i) {
    of_sample.low = sample[i] < of_sample.low ? sample[i] : of_sample.low;
    of_sample.high = sample[i] > of_sample.high ? sample[i] : of_sample.high;
  }
  const double rank = share * double(count), margin = 2.0 * __builtin_sqrt(rank * (1 - share)) + 1.0;
  KeyRange around = range;
  if (rank - margin >= 1.0) {
    const Prefix best =
        select_prefix<false>({sample, nullptr, count}, of_sample, rank_at(rank - margin, count), scratch);
    around.high = best.rest == 0 ? best.key + 1 : best.key;
  }
  if (rank + margin <= double(count)) {
    const Prefix worst =
        select_prefix<false>({sample, nullptr, count}, of_sample, rank_at(rank + margin, count), scratch);
    around.low = worst.rest == 0 ? worst.key + 1 : worst.key;
  }
  return around;
}

// The prefix of the `needed` best of `num_open` open keys, 1 <= needed < num_open. One pass keeps what lies in a
// bracket and counts what lies above; where that fails, and on short rows, the search starts with the whole row.
TM_HOST_DEVICE Prefix select_best(Elements elements, KeyRange range, int64_t num_open, int64_t needed,
                                  SelectScratch& scratch) {
  if (elements.size >= 512) {
    const KeyRange around = bracket(elements, range, num_open, needed, scratch);
    const Ints low = all(around.low), high = all(around.high), one = all(1);
    Ints least = all(INT32_MAX), most = all(INT32_MIN), counts = {};
    int64_t kept = 0;
    for (int64_t i = 0; i < elements.size; i += kLanes) {
      const Ints keys = load<Ints>(elements.keys + i);
      const Mask inside = at_least(keys, low) & at_least(high, keys);
      counts += select(greater(keys, high), one, Ints{});
      least = smaller(least, select(inside, keys, least));
      most = larger(most, select(inside, keys, most));
      store(&scratch.keys[kept], pack(inside, keys));
      kept += count_lanes(inside);
    }
    const int64_t rest = needed - sum_lanes(counts);
    if (rest >= 1 && rest <= kept) {
      close_tail(scratch.keys.data, kept);
      return select_prefix<false>({scratch.keys.data, nullptr, kept}, {smallest_lane(least), largest_lane(most)}, rest,
                                  scratch);
    }
  }
  return select_prefix<false>(elements, range, needed, scratch);
}

// Closes the elements on the prefix's edge that its rest does not
// reach; then the prefix is all keys from the result on.
template <bool weighted>
TM_HOST_DEVICE int32_t close_edge(Prefix prefix, int32_t* keys, const int32_t* weights, int64_t size) {
  if (prefix.rest == 0) return prefix.key + 1;
  const Ints edge = all(prefix.key);
  for (int64_t i = 0; i < size; i += kLanes) {
    for (uint32_t bits = lane_bits(equal(load<Ints>(keys + i), edge)); bits != 0; bits &= bits - 1) {
      const int64_t at = i + __builtin_ctz(bits);
      if (prefix.rest <= 0) keys[at] = kClosedKey;
      prefix.rest -= weighted ? weights[at] : 1;
    }
  }
  return prefix.key;
}

}  // namespace tokenmask::TM_ISA
