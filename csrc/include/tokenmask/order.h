// The total order of scores: higher first, then lower index; -0 equals +0.
#pragma once

#include "tokenmask/macros.h"

namespace tokenmask {

// The key of a slot that cannot be chosen; only NaN would share it, and NaN is refused.
constexpr int32_t kClosedKey = INT32_MIN;

// An integer that orders as the float does. Adding +0 turns -0 into +0.
TM_HOST_DEVICE int32_t order_key(float score) {
  const int32_t bits = bits_as<int32_t>(add(score, 0.0f));
  return bits ^ ((bits >> 31) & 0x7fffffff);
}

TM_HOST_DEVICE float order_value(int32_t key) { return bits_as<float>(key ^ ((key >> 31) & 0x7fffffff)); }

// A prefix of the total order: keys above `key`, then equal keys by index as long as `rest` lasts. Each element uses up
// 1 of `rest`, or its weight.
struct Prefix {
  int32_t key;
  int64_t rest;
};

}  // namespace tokenmask
