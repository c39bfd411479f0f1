// Failures of CUDA ops, which wait for no kernel. Each stream has words of memory on the host that kernels of any device
// can write, two an op; the next op on any stream looks at them and raises what an earlier one left, and so does check().
// With TOKENMASK_CHECK=now each call waits for its own failure.
#pragma once

#include "tokenmask/failure.h"

namespace tokenmask {

// In the order in which what is wrong in one shows in the next: of several failures the first is raised.
enum class Op {
  mask_tokens,
  embed_codes,
  embed_codes_backward,
  quantize_residual,
  rotate_and_store,
  attend_cached,
  sample_codes,
  choose,
  commit,
};

// Before a launch on the current stream: raises what was left, and says where this launch leaves its own failure.
LateFailure before_launch(Op op);

// After it: an error of the launch is raised now, a failure of the kernel only with TOKENMASK_CHECK=now.
void after_launch(Op op);

// Waits for all devices that ops ran on and raises what they left.
void check_failures();

}  // namespace tokenmask
