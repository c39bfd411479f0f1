#pragma once

#include "tokenmask/uniform.h"

namespace tokenmask::TM_ISA {

inline void uniform(const UniformArgs& args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) args.out[i] = uniform_at(args, i);
}

}  // namespace tokenmask::TM_ISA
