// choose and commit, and the choice of one row that mask_tokens shares.
#pragma once

#include "select.h"
#include "tokenmask/commit.h"

namespace tokenmask::TM_ISA {

struct RowKeys {
  KeyRange range;  // of open keys
  int64_t num_open;
  bool has_nan;  // at an open slot
};

// The body sees whole vectors: the last slots of a row come from a copy that is closed beyond them.
template <typename Body>
TM_HOST_DEVICE void for_each_vector(const float* scores, const bool* is_open, int64_t length, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= length; i += kLanes) body(load<Floats>(scores + i), load_mask(is_open + i), i);
  if (i == length) return;
  float last_scores[kLanes] = {};
  bool last_open[kLanes] = {};
  for (int64_t lane = 0; i + lane < length; ++lane) {
    last_scores[lane] = scores[i + lane];
    last_open[lane] = is_set(is_open, i + lane);
  }
  body(load<Floats>(last_scores), load_mask(last_open), i);
}

// The keys of open slots; closed ones, and what fills the last vector, have kClosedKey.
TM_HOST_DEVICE RowKeys fill_keys(const float* scores, const bool* is_open, int64_t length, int32_t* keys) {
  Ints low = all(INT32_MAX), high = all(INT32_MIN), counts = {}, nans = {};
  const Ints one = all(1);
  for_each_vector(scores, is_open, length, [&](Floats score, Mask open, int64_t i) __attribute__((always_inline)) {
    const Ints key = order_keys(score);
    const Ints here = select(open, key, all(kClosedKey));
    nans += select(open & unordered(score, score), one, Ints{});
    counts += select(open, one, Ints{});
    low = smaller(low, select(open, key, low));
    high = larger(high, here);
    store(keys + i, here);
  });
  return {{smallest_lane(low), largest_lane(high)}, sum_lanes(counts), sum_lanes(nans) != 0};
}

// Reduces the choice of the `count` best open keys to a threshold: chosen are the keys at or above the result.
TM_HOST_DEVICE int32_t choose_row(int32_t* keys, int64_t length, int64_t count, const RowKeys& row,
                                  SelectScratch& scratch) {
  if (count <= 0 || row.num_open == 0) return INT32_MAX;  // no score has this key, only NaN
  if (count >= row.num_open) return kClosedKey + 1;
  const Prefix prefix = select_best({keys, nullptr, length}, row.range, row.num_open, count, scratch);
  return close_edge<false>(prefix, keys, nullptr, length);
}

TM_HOST_DEVICE void mark_chosen(const int32_t* keys, int64_t length, int32_t from, bool* chosen) {
  const Ints least = all(from);
  int64_t i = 0;
  for (; i + kLanes <= length; i += kLanes) store_mask(chosen + i, at_least(load<Ints>(keys + i), least));
  for (; i < length; ++i) chosen[i] = keys[i] >= from;
}

inline int64_t choose(const ChooseArgs& args, int64_t begin, int64_t end) {
  Buffer<int32_t> keys(args.length);
  SelectScratch scratch(args.length, false);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * args.length;
    const RowKeys found = fill_keys(args.scores + at, args.is_open + at, args.length, keys.data);
    if (found.has_nan) return failure(row, Reason::not_a_number);
    const int32_t from = choose_row(keys.data, args.length, args.count[row], found, scratch);
    mark_chosen(keys.data, args.length, from, args.chosen + at);
  }
  return kNoFailure;
}

inline int64_t commit(const CommitArgs& args, int64_t begin, int64_t end) {
  const ChooseArgs& choice = args.choice;
  const int64_t length = choice.length;
  Buffer<int32_t> keys(length);
  SelectScratch scratch(length, false);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * length;
    const bool* is_open = choice.is_open + at;
    const RowKeys found = fill_keys(choice.scores + at, is_open, length, keys.data);
    if (found.has_nan) return failure(row, Reason::not_a_number);
    const int32_t from = choose_row(keys.data, length, choice.count[row], found, scratch);
    const Ints least = all(from);
    int64_t i = 0;
    for (; i + kLanes <= length; i += kLanes) {
      const Ints key = load<Ints>(&keys[i]);
      const Mask chosen = at_least(key, least);
      store(args.out + at + i, select(chosen, load<Ints>(args.proposed + at + i), load<Ints>(args.ids + at + i)));
      store_mask(choice.chosen + at + i, load_mask(is_open + i) & greater(least, key));
    }
    for (; i < length; ++i) {
      const bool chosen = keys[i] >= from;
      args.out[at + i] = chosen ? args.proposed[at + i] : args.ids[at + i];
      choice.chosen[at + i] = is_set(is_open, i) && !chosen;
    }
  }
  return kNoFailure;
}

}  // namespace tokenmask::TM_ISA
