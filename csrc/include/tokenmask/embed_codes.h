// embed_codes: the sum of the table's rows of a position's ids, and its gradient. Torch-free.
#pragma once

#include "tokenmask/failure.h"
#include "tokenmask/floats.h"

namespace tokenmask {

constexpr int32_t kPad = 0;  // contributes nothing; mirrored by tokenmask.batch.PAD

struct EmbedCodesArgs {
  const int32_t* ids;  // [positions, levels]
  const void* table;   // [ids_in_table, width]
  void* out;           // [positions, width] out, of the table's type
  FloatType type;
  int64_t positions, levels, table_rows, width;
};

// Positions [begin, end). An id outside the table is a failure of its position.
int64_t embed_codes_cpu(const EmbedCodesArgs& args, int64_t begin, int64_t end);

// All positions; one that fails has NaN.
void embed_codes_cuda(const EmbedCodesArgs& args, const LateFailure& late, void* stream);

// The gradient of the table. Each row sums its positions in ascending order, in float32, so that the result does not
// depend on threads.
struct EmbedCodesBackwardArgs {
  const void* grad;        // [positions, width]
  const int64_t* starts;   // [table_rows + 1] where each table row's entries start in `entries`
  const int64_t* entries;  // indices into the flattened ids, ascending within a row; divided by levels: the position
  void* out;               // [table_rows, width] out, of the type of grad
  FloatType type;
  int64_t levels, table_rows, width;
};

// Table rows [begin, end).
void embed_codes_backward_cpu(const EmbedCodesBackwardArgs& args, int64_t begin, int64_t end);

// `entries` has `size` elements. Those of ids outside the table are
// in no row's list, and one of them is left in `late`.
void embed_codes_backward_cuda(const EmbedCodesBackwardArgs& args, int64_t size, const LateFailure& late, void* stream);

}  // namespace tokenmask
