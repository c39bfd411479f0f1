// Philox on vectors: a counter for each 64-bit lane, whose low half holds the word; what is above it does not matter.
#pragma once

#include "simd.h"
#include "tokenmask/philox.h"

namespace tokenmask::TM_ISA {

constexpr int kDraws = kLanes / 2;  // counters of a vector

TM_HOST_DEVICE Longs all_long(uint64_t value) { return value + Longs{}; }

// Words 0 to 3 of a draw for each of several vectors of slots, whose chains of steps run side by side. In the
// first round only word 0 differs between slots, and word 2 alone is new of what the second round multiplies.
template <int count>
TM_HOST_DEVICE void draw(uint64_t seed, const Longs (&slots)[count], Purpose purpose, uint64_t counter,
                         Longs (&words)[count][4]) {
  constexpr uint64_t kLeft = 0xD2511F53u, kRight = 0xCD9E8D57u;
  uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
  const uint64_t product1 = kRight * uint32_t(counter);
  const uint32_t first = uint32_t(product1 >> 32) ^ uint32_t(purpose) ^ key0;
  const uint64_t first1 = (counter >> 32) ^ uint64_t(key1), product0 = kLeft * first;
  key0 += 0x9E3779B9u;
  key1 += 0xBB67AE85u;
  for (int v = 0; v < count; ++v) {
    const Longs one = multiply_low(slots[v], kLeft), two = multiply_low((one >> 32) ^ first1, kRight);
    words[v][0] = (two >> 32) ^ uint64_t(uint32_t(product1) ^ key0);
    words[v][1] = two;
    words[v][2] = one ^ ((product0 >> 32) ^ uint64_t(key1));
    words[v][3] = all_long(product0);
  }
#pragma GCC unroll 8
  for (int round = 2; round < 10; ++round) {
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
#pragma GCC unroll 4
    for (int v = 0; v < count; ++v) {
      Longs(&c)[4] = words[v];
      const Longs left = multiply_low(c[0], kLeft), right = multiply_low(c[2], kRight);
      c[0] = (right >> 32) ^ c[1] ^ uint64_t(key0);
      c[2] = (left >> 32) ^ c[3] ^ uint64_t(key1);
      c[1] = right;
      c[3] = left;
    }
  }
}

TM_HOST_DEVICE Longs counting_from(uint64_t first) {
  Longs numbers;
  for (int lane = 0; lane < kDraws; ++lane) numbers[lane] = uint64_t(lane);
  return numbers + first;
}

TM_HOST_DEVICE Longs low_halves(Longs a, Longs b) { return (a & 0xffffffffu) | (b << 32); }

constexpr int kDrawVectors = kLanes == 16 ? 4 : 2;  // side by side, as many as registers allow
constexpr int kWordVectors = 2 * kDrawVectors;
constexpr int64_t kSlotWords = kWordVectors * kLanes;

// The words of purpose mask of kSlotWords slots from `slot`, which four divides: neighbours share a draw.
TM_HOST_DEVICE void draw_slot_words(uint64_t seed, int64_t slot, uint64_t counter, Words (&words)[kWordVectors]) {
  Longs slots[kDrawVectors], drawn[kDrawVectors][4];
  for (int v = 0; v < kDrawVectors; ++v) slots[v] = counting_from(uint64_t(slot / 4 + v * kDraws));
  draw(seed, slots, Purpose::mask, counter, drawn);
  for (int v = 0; v < kDrawVectors; ++v) {
    Longs low, high;
    interleave(low_halves(drawn[v][0], drawn[v][1]), low_halves(drawn[v][2], drawn[v][3]), low, high);
    words[2 * v] = (Words)low;
    words[2 * v + 1] = (Words)high;
  }
}

struct WordPair {
  Words first, second;
};

constexpr int kPairVectors = kDrawVectors / 2;

// Words 0 and 1 of a draw for each slot of some vectors.
TM_HOST_DEVICE void draw_word_pairs(uint64_t seed, const Ints (&slots)[kPairVectors], Purpose purpose, uint64_t counter,
                                    WordPair (&pairs)[kPairVectors]) {
  Longs split[kDrawVectors], drawn[kDrawVectors][4];
  for (int v = 0; v < kPairVectors; ++v) {
    split[2 * v] = (Longs)slots[v];  // even lanes
    split[2 * v + 1] = (Longs)slots[v] >> 32;
  }
  draw(seed, split, purpose, counter, drawn);
  for (int v = 0; v < kPairVectors; ++v) {
    const Longs(&even)[4] = drawn[2 * v], (&odd)[4] = drawn[2 * v + 1];
    pairs[v] = {(Words)low_halves(even[0], odd[0]), (Words)low_halves(even[1], odd[1])};
  }
}

}  // namespace tokenmask::TM_ISA
