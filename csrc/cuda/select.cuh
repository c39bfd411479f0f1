// The shortest prefix of a row's total order whose mass is enough, by radix select: eight bits a pass, sums of integers.
#pragma once

#include "team.cuh"
#include "tokenmask/order.h"

namespace tokenmask {

// An element's place in the total order as one integer: higher comes first. Places are distinct. Their low bits hold
// the index, in no more bits than the row needs, so that ties cost few passes.
struct Places {
  int64_t size;
  int bits;            // of an index
  int64_t begin, end;  // what of the row the own block has

  __device__ explicit Places(int64_t of_row) : Places(of_row, 0, of_row) {}
  __device__ Places(int64_t of_row, int64_t from, int64_t to) {
    size = of_row;
    bits = size > 1 ? 64 - __clzll(size - 1) : 0;
    begin = from;
    end = to;
  }
  __device__ int64_t operator()(int32_t key, int64_t index) const {
    return int64_t(uint64_t(uint32_t(key) ^ 0x80000000u) << bits) | (size - 1 - index);
  }
  __device__ int32_t key(int64_t place) const { return int32_t(uint32_t(place >> bits) ^ 0x80000000u); }
  __device__ int64_t index(int64_t place) const { return size - 1 - (place & ((int64_t{1} << bits) - 1)); }
};

// Elements at this place or above are chosen; kNothing chooses none, kEverything all.
constexpr int64_t kNothing = INT64_MAX;
constexpr int64_t kEverything = 0;

// Of what takes part, each counts 1.
struct ByCount {
  static constexpr bool kWeighs = false;
};

// Or as much as its mass, at most 2^30.
struct ByMass {
  static constexpr bool kWeighs = true;
};

// A place that the elements of the shortest prefix whose mass is at least `needed` reach, and no other of positive mass
// does. Each pass sums the masses by the next eight bits of the places and keeps the digit that the prefix ends in,
// until one element is left there or all of them are needed. `key_at` gives an element's key, `mass_at` its mass (0 for
// what does not take part; by count, 1 for the others).
// Elements that `takes` says no of are not looked at.
template <typename By, int kSize, bool kSpread, typename KeyAt, typename MassAt, typename Takes>
__device__ int64_t select_from(const Team<kSize, kSpread>& team, const Places& places, int64_t needed, KeyAt key_at,
                               MassAt mass_at, Takes takes) {
  TeamMemory<kSize>& memory = team.memory;
  const auto mass_of = [&](int bin) { return By::kWeighs ? team.sum_of(bin) : team.count_of(bin); };
  int64_t prefix = 0;
  for (int left = 32 + places.bits;;) {
    const int width = left < 8 ? left : 8;
    left -= width;
    team.meet();  // the pass or the call before may still be reading
    for (int bin = team.thread; bin < kBins; bin += kSize) {
      if constexpr (By::kWeighs) memory.set(bin, 0);
      memory.counts[bin] = 0;
    }
    team.sync();
    for (int64_t i = places.begin + team.thread; i < places.end; i += kSize) {
      if (!takes(i)) continue;
      const int64_t place = places(key_at(i), i);
      const int64_t mass = place >> left >> width == prefix ? mass_at(i) : 0;
      if (mass == 0) continue;
      const int digit = int(place >> left) & ((1 << width) - 1);
      if constexpr (By::kWeighs) memory.add(digit, unsigned(mass));
      atomicAdd(&memory.counts[digit], 1u);
    }
    team.meet();
    int64_t before;
    const int digit = team.find_bin(needed, true, mass_of, before);
    prefix = prefix << width | digit;
    needed -= before;
    const bool decided = mass_of(digit) == needed || team.count_of(digit) == 1 || left == 0;
    if (decided) return prefix << left;
  }
}

template <typename By, int kSize, bool kSpread, typename KeyAt, typename MassAt>
__device__ int64_t select_from(const Team<kSize, kSpread>& team, const Places& places, int64_t needed, KeyAt key_at,
                               MassAt mass_at) {
  return select_from<By>(team, places, needed, key_at, mass_at, [](int64_t) { return true; });
}

// The key of a slot among those that can be chosen: above kClosedKey, so that closed slots need no flag of their own.
__device__ inline int32_t slot_key(float score, bool is_open) {
  const int32_t key = order_key(score);
  return !is_open ? kClosedKey : key == kClosedKey ? kClosedKey + 1 : key;
}

// The place from which the `count` best of `num_open` open slots are chosen.
template <int kSize, typename KeyAt>
__device__ int64_t choose_from(const Team<kSize>& team, const Places& places, int64_t count, int64_t num_open,
                               KeyAt key_at) {
  if (count <= 0 || num_open == 0) return kNothing;
  if (count >= num_open) return kEverything;
  return select_from<ByCount>(team, places, count, key_at, [&](int64_t i) { return key_at(i) != kClosedKey; });
}

}  // namespace tokenmask
