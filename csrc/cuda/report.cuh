// How kernels leave a failure: no launch waits for it, the host finds it later.
#pragma once

#include "tokenmask/failure.h"

namespace tokenmask {

// Records the smallest failure; `number` is what the sentence about it names.
__device__ inline void report(const LateFailure& late, int64_t failed, int64_t number = 0) {
  atomicMin(reinterpret_cast<long long*>(&late.words[0]), static_cast<long long>(failed));
  if (number) {
    atomicExch(reinterpret_cast<unsigned long long*>(&late.words[1]), static_cast<unsigned long long>(number));
  }
}

// What a result holds where there is none.
__device__ inline float not_a_number() { return bits_as<float>(0x7fc00000); }

}  // namespace tokenmask
