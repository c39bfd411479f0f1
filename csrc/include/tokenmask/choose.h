// choose: the `count` best open slots of each row. Torch-free; used by cpu/, cuda/ and torch/.
#pragma once

#include "tokenmask/failure.h"
#include "tokenmask/order.h"

namespace tokenmask {

struct ChooseArgs {
  const float* scores;   // [batch, length]
  const bool* is_open;   // [batch, length]
  const int64_t* count;  // [batch]
  bool* chosen;          // [batch, length] out
  int64_t batch, length;
};

// Rows [begin, end). Returns the first failure or kNoFailure.
int64_t choose_cpu(const ChooseArgs& args, int64_t begin, int64_t end);

// All rows; one that fails chooses nothing. stream: cudaStream_t.
void choose_cuda(const ChooseArgs& args, const LateFailure& late, void* stream);

}  // namespace tokenmask
