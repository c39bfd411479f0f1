// uniform: one 24-bit uniform float per counter. Torch-free.
#pragma once

#include "tokenmask/philox.h"

namespace tokenmask {

struct UniformArgs {
  const int64_t* counters;  // [size]
  const int64_t* seeds;     // [size], or null: `seed` for all
  float* out;               // [size] out
  int64_t size;
  uint64_t seed;
  uint32_t purpose;
};

TM_HOST_DEVICE float uniform_at(const UniformArgs& args, int64_t i) {
  const uint64_t seed = args.seeds ? uint64_t(args.seeds[i]) : args.seed;
  return uniform24(draw(seed, 0, Purpose(args.purpose), uint64_t(args.counters[i])).word[0]);
}

void uniform_cpu(const UniformArgs& args, int64_t begin, int64_t end);
void uniform_cuda(const UniformArgs& args, void* stream);

}  // namespace tokenmask
