// Philox4x32-10: a counter-based generator, the same for CPU, CUDA and tests.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
#pragma once

#include "tokenmask/macros.h"

namespace tokenmask {

// What a draw is for. Two purposes never share bits. Mirrored by tokenmask.ops.Purpose.
enum class Purpose : uint32_t {
  mask = 0,
  code = 1,
  order = 2,
  corruption = 3,
  resample = 4,
  latent = 5,
  dropout = 6,
  rate = 7,
  crop = 8,
};

struct Random4 {
  uint32_t word[4];
};

TM_HOST_DEVICE Random4 philox4x32(Random4 counter, uint32_t key0, uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * counter.word[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * counter.word[2];
    counter = {{uint32_t(product1 >> 32) ^ counter.word[1] ^ key0, uint32_t(product1),
                uint32_t(product0 >> 32) ^ counter.word[3] ^ key1, uint32_t(product0)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// The project's counter: word 0 is the slot, word 1 the purpose, words 2 and 3 the caller's 64-bit counter; the key is
// the seed, low word first.
TM_HOST_DEVICE Random4 draw(uint64_t seed, uint32_t slot, Purpose purpose, uint64_t counter) {
  const Random4 words = {{slot, uint32_t(purpose), uint32_t(counter), uint32_t(counter >> 32)}};
  return philox4x32(words, uint32_t(seed), uint32_t(seed >> 32));
}

// The upper 24 bits as a float in [0, 1): exact, so that every backend has the same value.
TM_HOST_DEVICE float uniform24(uint32_t word) { return float(word >> 8) * 0x1p-24f; }

// The uniform score of a slot: four neighbouring slots share one draw of purpose mask.
TM_HOST_DEVICE uint32_t slot_word(uint64_t seed, int64_t slot, uint64_t counter) {
  return draw(seed, uint32_t(slot >> 2), Purpose::mask, counter).word[slot & 3];
}

// High 32 bits of the product: maps a word to [0, size) with bias at most size / 2^32.
TM_HOST_DEVICE uint32_t scale_word(uint32_t word, uint32_t size) { return uint32_t((uint64_t{word} * size) >> 32); }

}  // namespace tokenmask
