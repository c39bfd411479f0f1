// The choice of one row, shared by choose, commit and mask_tokens.
#pragma once

#include "select.h"

namespace tokenmask {

// The prefix that holds the `count` best of the keys above kClosedKey, of which there are `num_open`.
TM_HOST_DEVICE Prefix choose_row(const int32_t* keys, int64_t length, int64_t count, int64_t num_open,
                                 SelectScratch& scratch) {
  if (count <= 0 || num_open == 0) return {INT32_MAX, 0};
  if (count >= num_open) return {kClosedKey, 0};
  return select_prefix<false>(keys, nullptr, length, count, scratch);
}

// Writes the choice as 0 and 1: every key above the prefix's, and equal keys from the left until its rest is used up.
TM_HOST_DEVICE void mark_chosen(const int32_t* keys, int64_t length, Prefix prefix, bool* chosen) {
  for (int64_t i = 0; i < length; ++i) chosen[i] = keys[i] > prefix.key;
  for (int64_t i = 0; i < length && prefix.rest > 0; ++i) {
    if (keys[i] == prefix.key) {
      chosen[i] = true;
      --prefix.rest;
    }
  }
}

struct RowKeys {
  int64_t num_open;
  bool has_nan;  // at an open slot
};

TM_HOST_DEVICE RowKeys fill_keys(const float* scores, const bool* is_open, int64_t length, int32_t* keys) {
  int64_t num_open = 0;
  int32_t has_nan = 0;
  for (int64_t i = 0; i < length; ++i) {
    has_nan |= is_open[i] & (scores[i] != scores[i]);
    keys[i] = is_open[i] ? order_key(scores[i]) : kClosedKey;
    num_open += is_open[i];
  }
  return {num_open, has_nan != 0};
}

}  // namespace tokenmask

// Compiled twice, with AVX2 and without; the loader picks. The bits are the same.
#if defined(__x86_64__) && defined(__gnu_linux__)
#define TM_TARGET_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define TM_TARGET_CLONES
#endif
