// commit: write the `count` most confident open proposals of each row. Torch-free.
#pragma once

#include "tokenmask/choose.h"

namespace tokenmask {

struct CommitArgs {
  const int32_t* ids;       // [batch, length]
  const int32_t* proposed;  // [batch, length]
  ChooseArgs choice;        // scores are the confidences; `chosen` receives the slots that stay open
  int32_t* out;             // [batch, length] out, may not alias ids
};

int64_t commit_cpu(const CommitArgs& args, int64_t begin, int64_t end);

// All rows; one that fails stays as it is.
void commit_cuda(const CommitArgs& args, const LateFailure& late, void* stream);

}  // namespace tokenmask
