// attend_cached on tensor cores, for what they are made for.
#pragma once

#include "tokenmask/cache.h"

namespace tokenmask {

// Runs it for heads of 32, 64 or 128 components in half precision; false if these are others, and nothing was run.
bool attend_tiles_cuda(const AttendCachedArgs& args, const LateFailure& late, void* stream);

}  // namespace tokenmask
