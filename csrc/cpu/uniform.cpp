#include "tokenmask/uniform.h"

#include "choose.h"

namespace tokenmask {

TM_TARGET_CLONES
void uniform_cpu(const UniformArgs& args, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) args.out[i] = uniform_at(args, i);
}

}  // namespace tokenmask
