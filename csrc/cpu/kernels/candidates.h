// The codes of a row that the filters may keep, in index order, and the filters on them.
#pragma once

#include "select.h"
#include "tokenmask/sample_codes.h"
#include "weight.h"

namespace tokenmask::TM_ISA {

struct Candidates {
  Buffer<float> z;
  Buffer<int32_t> codes, keys, weights;
  int64_t size = 0;
  SelectScratch select;

  TM_HOST_DEVICE explicit Candidates(int64_t most)
      : z(most), codes(most), keys(most), weights(most), select(most, true) {}

  // Codes whose z is at least `cut`, from a row.
  TM_HOST_DEVICE void gather(const float* row, int64_t row_size, float cut) {
    const Floats least = all(cut);
    const Ints lanes = lane_numbers();
    size = 0;
    const auto take = [&](Floats values, int64_t i) __attribute__((always_inline)) {
      const Mask kept = at_least(values, least);
      store(&z[size], pack(kept, values));
      store(&codes[size], pack(kept, lanes + int32_t(i)));
      size += count_lanes(kept);
    };
    int64_t i = 0;
    for (; i + kLanes <= row_size; i += kLanes) take(load<Floats>(row + i), i);
    if (i < row_size) {
      float last[kLanes];
      for (int64_t lane = 0; lane < kLanes; ++lane) last[lane] = i + lane < row_size ? row[i + lane] : -kInfinity;
      take(load<Floats>(last), i);
      // A cut of -inf also takes what fills the vector, which lies behind the row.
      while (size > 0 && codes[size - 1] >= row_size) --size;
    }
  }

  // Weights and keys of what was gathered; the last vector is filled with closed keys of weight 0.
  TM_HOST_DEVICE void weigh(float largest, float temperature) {
    store(&z[size], all(-kInfinity));
    for (int64_t i = 0; i < size; i += kLanes) {
      const Floats values = load<Floats>(&z[i]);
      Floats x = values - largest;
      if (temperature != 1.0f) x = x / temperature;
      store(&weights[i], weight(x));
      store(&keys[i], order_keys(values));
    }
    for (int64_t i = size; i % kLanes != 0; ++i) keys[i] = kClosedKey;
  }

  TM_HOST_DEVICE KeyRange range() {
    Ints low = all(INT32_MAX), high = all(INT32_MIN);
    for (int64_t i = 0; i < size; i += kLanes) {
      const Ints here = load<Ints>(&keys[i]);
      low = smaller(low, select_open(here));
      high = larger(high, here);
    }
    return {smallest_lane(low), largest_lane(high)};
  }

  // Keeps what has at least this key and this weight.
  TM_HOST_DEVICE void keep(int32_t key_from, int32_t weight_from) {
    const Ints least_key = all(key_from), least_weight = all(weight_from);
    int64_t kept = 0;
    for (int64_t i = 0; i < size; i += kLanes) {
      const Ints key = load<Ints>(&keys[i]), code = load<Ints>(&codes[i]), mass = load<Ints>(&weights[i]);
      const Mask inside = at_least(key, least_key) & at_least(mass, least_weight);
      store(&keys[kept], pack(inside, key));
      store(&codes[kept], pack(inside, code));
      store(&weights[kept], pack(inside, mass));
      kept += count_lanes(inside);
    }
    size = kept;
    close_tail(keys.data, size);
    store(&weights[size], Ints{});
  }

  template <bool weighted>
  TM_HOST_DEVICE void keep_prefix(int64_t needed) {
    const Prefix prefix = select_prefix<weighted>({keys.data, weights.data, size}, range(), needed, select);
    keep(close_edge<weighted>(prefix, keys.data, weights.data, size), 0);
  }

  TM_HOST_DEVICE int64_t mass() { return sum_weights(weights.data, size); }

  // The place of the first element whose cumulative weight is above `target`.
  TM_HOST_DEVICE int64_t find(int64_t target) {
    int64_t begin = 0;
    for (;; begin += 8 * kLanes) {
      const int64_t sum = sum_weights(&weights[begin], size - begin < 8 * kLanes ? size - begin : 8 * kLanes);
      if (target < sum) break;
      target -= sum;
    }
    while (target >= weights[begin]) target -= weights[begin++];
    return begin;
  }

 private:
  static TM_HOST_DEVICE Ints select_open(Ints key) {
    return TM_ISA::select(greater(key, all(kClosedKey)), key, all(INT32_MAX));
  }
};

}  // namespace tokenmask::TM_ISA
