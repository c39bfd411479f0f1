// What the files of this folder share, and the cases that each has.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "../../drawn.h"
#include "cpu/dispatch.h"
#ifdef EMULATED
#include "emulated.h"
#endif

namespace tokenmask {
extern const CpuKernels kCudaKernels;
}

using namespace tokenmask;

inline int64_t most_codes = 600;
constexpr int64_t kMostOfWarp = 1024, kMostOfBlock = 16384;  // as rows.cuh has them

inline bool chance(int64_t one_in) { return below(one_in) == 0; }

inline void require(bool holds, const char* what, int64_t got = 0, int64_t expected = 0) {
  if (holds) return;
  std::printf("%s differs: %lld, expected %lld\n", what, static_cast<long long>(got), static_cast<long long>(expected));
  std::exit(1);
}

// Flags as a view of other memory as bool may hold them: any byte but 0 is set.
inline void put_flag(Array<bool>& flags, int64_t i, bool set) {
  const auto byte = uint8_t(set ? (chance(8) ? 1 + below(255) : 1) : 0);
  memcpy(flags.get() + i, &byte, 1);
}

inline float score(int64_t kind) {
  static const float odd[] = {0.0f, -0.0f, 1.0f, -1.5f, 3e38f, -3e38f, 1e-42f, INFINITY, -INFINITY, NAN, -NAN};
  if (kind == 0 && chance(40)) return odd[below(11)];
  const float value = normal();
  return kind == 1                ? std::round(value)
         : kind == 2              ? 0.5f
         : kind == 3 && chance(2) ? -INFINITY
         : kind == 6              ? std::round(value * 8) / 8
         : kind == 8              ? -1.8e38f * (1 + std::fabs(value) / 3)
                                  : value * (kind == 4   ? 20.0f
                                             : kind == 7 ? 0.1f
                                                         : 1.0f);
}

inline int64_t size_up_to(int64_t most) {
  static const int64_t odd[] = {0, 1, 2, 31, 32, 33, 255, 256, 257, 511, 512, 513};
  return chance(3) ? std::min(odd[below(12)], most) : below(most + 1);
}

// Of a row that a team works on: by its length a warp, a block, a larger block, or one that keeps nothing.
inline int64_t length_of_row() {
  static const int64_t kinds[] = {kMostOfWarp, kMostOfBlock, 1 << 16};
  if (!chance(most_codes < 600 ? 4 : 8)) return size_up_to(most_codes);
  if (most_codes < 600 || !chance(4)) return kMostOfWarp - 1 + below(3) + (chance(2) ? 0 : below(1000));
  return kinds[1 + below(2)] - 2 + below(5);
}

// Elements by which an array is moved from the address that memory begins at.
inline int64_t shift() { return chance(4) ? below(8) : 0; }

void choices();
void samples();         // of rows that a team works on, of each type
void unkept_samples();  // of rows that nothing keeps, or that just are kept
void huge();
void embeddings();
void quantizers();
void numbers();
void caches();
