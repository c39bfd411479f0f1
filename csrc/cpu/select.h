// Finds a prefix of the total order without sorting: halve the range of keys, keep what is left of it, repeat.
#pragma once

#include <vector>

#include "tokenmask/order.h"

namespace tokenmask {

// Buffers that one thread keeps between rows.
struct SelectScratch {
  std::vector<int32_t> keys, weights;
  explicit SelectScratch(int64_t size, bool weighted) : keys(size), weights(weighted ? size : 0) {}
};

// The middle of two keys, in (low, high]. Halving values is quick on smooth scores, halving keys is safe on all.
TM_HOST_DEVICE int32_t middle_key(int32_t low, int32_t high, int round) {
  if (round < 10) {
    const int32_t key = order_key(0.5f * order_value(low) + 0.5f * order_value(high));
    if (low < key && key <= high) return key;
  }
  return int32_t(low + (int64_t{high} - low + 1) / 2);
}

template <bool weighted>
TM_HOST_DEVICE int64_t mass_from(const int32_t* keys, const int32_t* weights, int64_t size, int32_t from) {
  int64_t mass = 0;
  for (int64_t begin = 0; begin < size; begin += 4096) {
    const int64_t end = size < begin + 4096 ? size : begin + 4096;
    if constexpr (weighted) {
      for (int64_t i = begin; i < end; ++i) {
        const int32_t value = weights[i];
        mass += keys[i] >= from ? value : 0;
      }
    } else {
      int32_t count = 0;
      for (int64_t i = begin; i < end; ++i) count += keys[i] >= from;
      mass += count;
    }
  }
  return mass;
}

// The shortest prefix of the total order whose mass (number of elements, or sum of weights) is at least `needed`, which
// lies between 1 and the mass of all elements above kClosedKey.
template <bool weighted>
TM_HOST_DEVICE Prefix select_prefix(const int32_t* keys, const int32_t* weights, int64_t size, int64_t needed,
                                    SelectScratch& scratch) {
  uint32_t lowest = UINT32_MAX;  // shifted by one, so that closed keys wrap around and are the largest
  int32_t high = INT32_MIN;
  for (int64_t i = 0; i < size; ++i) {
    const int32_t key = keys[i];
    const uint32_t shifted = uint32_t(key) + 0x7fffffffu;
    lowest = shifted < lowest ? shifted : lowest;
    high = key > high ? key : high;
  }
  int32_t low = int32_t(lowest - 0x7fffffffu);
  int64_t above = 0;  // mass of what lies above `high` in the array
  for (int round = 0; low < high; ++round) {
    const int32_t middle = middle_key(low, high, round);
    const int64_t mass = mass_from<weighted>(keys, weights, size, middle);
    if (mass == needed) return {int32_t(middle - 1), 0};
    if (mass > needed) {
      low = middle;
    } else {
      high = middle - 1;
      above = mass;
    }
    if (round % 4 == 3 && size > 64) {
      int64_t kept = 0;
      for (int64_t i = 0; i < size; ++i) {
        const int32_t key = keys[i];
        const int32_t value = weighted ? weights[i] : 0;
        scratch.keys[kept] = key;
        if constexpr (weighted) scratch.weights[kept] = value;
        kept += (key >= low) & (key <= high);
      }
      keys = scratch.keys.data();
      weights = scratch.weights.data();
      size = kept;
      needed -= above;
      above = 0;
    }
  }
  return {low, needed - above};
}

}  // namespace tokenmask
