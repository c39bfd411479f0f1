// Philox on vectors: a counter for each 64-bit lane, whose low half holds the word; what is above it does not matter.
#pragma once

#include "simd.h"
#include "tokenmask/philox.h"

namespace tokenmask::TM_ISA {

constexpr int kDraws = kLanes / 2;  // counters of a vector

struct Draws {
  Longs word[4];
};

TM_HOST_DEVICE Longs all_long(uint64_t value) { return value + Longs{}; }

TM_HOST_DEVICE Draws draw(uint64_t seed, Longs slots, Purpose purpose, uint64_t counter) {
  Longs c0 = slots, c1 = all_long(uint32_t(purpose)), c2 = all_long(uint32_t(counter)), c3 = all_long(counter >> 32);
  uint32_t key0 = uint32_t(seed), key1 = uint32_t(seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const Longs product0 = multiply_low(c0, 0xD2511F53u), product1 = multiply_low(c2, 0xCD9E8D57u);
    c0 = (product1 >> 32) ^ c1 ^ uint64_t{key0};
    c2 = (product0 >> 32) ^ c3 ^ uint64_t{key1};
    c1 = product1;
    c3 = product0;
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

TM_HOST_DEVICE Longs counting_from(uint64_t first) {
  Longs numbers;
  for (int lane = 0; lane < kDraws; ++lane) numbers[lane] = uint64_t(lane);
  return numbers + first;
}

// The words of purpose mask of 2 * kLanes slots from `slot`, which four divides: neighbours share a draw.
TM_HOST_DEVICE void draw_slot_words(uint64_t seed, int64_t slot, uint64_t counter, uint32_t* words) {
  const Draws draws = draw(seed, counting_from(uint64_t(slot / 4)), Purpose::mask, counter);
  store_interleaved(words, (draws.word[0] & 0xffffffffu) | (draws.word[1] << 32),
                    (draws.word[2] & 0xffffffffu) | (draws.word[3] << 32));
}

// Words 0 and 1 of a draw for each slot of a list, side by side; lists have room for a whole vector.
TM_HOST_DEVICE void draw_word_pairs(uint64_t seed, const int32_t* slots, int64_t count, Purpose purpose,
                                    uint64_t counter, uint64_t* pairs) {
  for (int64_t i = 0; i < count; i += kDraws) {
    using Half = uint32_t __attribute__((vector_size(4 * kDraws)));
    const Draws draws = draw(seed, __builtin_convertvector(load<Half>(slots + i), Longs), purpose, counter);
    store(pairs + i, (draws.word[0] & 0xffffffffu) | (draws.word[1] << 32));
  }
}

}  // namespace tokenmask::TM_ISA
