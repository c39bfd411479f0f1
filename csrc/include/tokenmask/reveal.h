// reveal: the draws of a step, as far as the slots that it reveals need them. Torch-free. Of the CPU alone: on CUDA the
// step is sample_codes and commit.
#pragma once

#include "tokenmask/sample_codes.h"

namespace tokenmask {

enum class Statistic : int64_t { logprob = 0, entropy = 1, margin = 2 };

struct RevealArgs {
  SampleCodesArgs draws;  // logits, and how codes are drawn; counters and seeds are not read, what is null is not made
  const int64_t* slots;   // [rows], the slot of each row of logits, in the flattened [batch * length]
  const int64_t* counters;  // [batch * length]
  int64_t later;            // added to each counter
  const int64_t* seeds;     // [batch]
  const int64_t* count;     // [batch], of slots that are revealed
  const bool* chosen;       // [batch * length], which slots are revealed, or null: those with the highest ranks
  const float* noise;       // [rows], added to the ranks, or null
  Statistic by;
  float*
      ranks;  // [rows] out, if not null; -inf where `count` slots of the row are surer, and the rest then means nothing
  int64_t length;
};

int64_t reveal_cpu(const RevealArgs& args, int64_t begin, int64_t end);

}  // namespace tokenmask
