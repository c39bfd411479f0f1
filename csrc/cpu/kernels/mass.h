// Sums of integer weights, whole or from a key on.
#pragma once

#include "simd.h"

namespace tokenmask::TM_ISA {

// 64-bit sums of 32-bit numbers without widening them in the loop: the sum modulo 2^32 and that of the upper halves.
struct Mass {
  static constexpr int64_t kMost = 65536;  // vectors

  Words sum = {}, high = {};

  TM_HOST_DEVICE void add(Words weights) {
    sum += weights;
    high += weights >> 16;
  }

  TM_HOST_DEVICE int64_t total() const {
    const Words low = sum - (high << 16);  // the sum of the lower halves, which is below 2^32
    const Longs lows = ((Longs)low & 0xffffffffu) + ((Longs)low >> 32);
    const Longs highs = ((Longs)high & 0xffffffffu) + ((Longs)high >> 32);
    return sum_lanes(lows + (highs << 16));
  }
};

constexpr int64_t kMassRun = Mass::kMost * kLanes;

// Of an array that ends with zeros up to a whole vector.
TM_HOST_DEVICE int64_t sum_weights(const int32_t* weights, int64_t size) {
  int64_t sum = 0;
  for (int64_t begin = 0; begin < size; begin += kMassRun) {
    const int64_t end = size - begin < kMassRun ? size : begin + kMassRun;
    Mass mass;
    for (int64_t i = begin; i < end; i += kLanes) mass.add(load<Words>(weights + i));
    sum += mass.total();
  }
  return sum;
}

// The number, or the weight, of the elements whose key is at least `from`. The arrays end with closed keys.
template <bool weighted>
TM_HOST_DEVICE int64_t mass_from(const int32_t* keys, const int32_t* weights, int64_t size, int32_t from) {
  const Ints least = all(from);
  int64_t sum = 0;
  for (int64_t begin = 0; begin < size; begin += kMassRun) {
    const int64_t end = size - begin < kMassRun ? size : begin + kMassRun;
    if constexpr (weighted) {
      Mass mass;
      for (int64_t i = begin; i < end; i += kLanes) {
        mass.add((Words)select(at_least(load<Ints>(keys + i), least), load<Ints>(weights + i), Ints{}));
      }
      sum += mass.total();
    } else {
      Ints counts = {};
      for (int64_t i = begin; i < end; i += kLanes) {
        counts += select(at_least(load<Ints>(keys + i), least), all(1), Ints{});
      }
      sum += sum_lanes(counts);
    }
  }
  return sum;
}

}  // namespace tokenmask::TM_ISA
