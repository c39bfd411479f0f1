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
  const uint8_t* open_bytes = reinterpret_cast<const uint8_t*>(is_open);
  const int32_t infinite = order_key(__builtin_inff()), minus_infinite = order_key(-__builtin_inff());
  int32_t num_open = 0, has_nan = 0;
  for (int64_t i = 0; i < length; ++i) {
    const int32_t open = open_bytes[i];
    const int32_t key = order_key(scores[i]);
    const int32_t is_nan = (key > infinite) | (key < minus_infinite);
    has_nan |= open & is_nan;
    num_open += open;
    keys[i] = open ? key : kClosedKey;
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
