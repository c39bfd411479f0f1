// The host has not seen which positions are of which row, so that kernels look.
#pragma once

#include "report.cuh"

namespace tokenmask {

// Splits that do not rise from 0 to the number of positions would give some to rows that they do not belong to.
__device__ inline void check_splits(const int64_t* row_splits, int64_t rows, int64_t count, const LateFailure& late) {
  const int64_t threads = int64_t{gridDim.x} * blockDim.x;
  for (int64_t row = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; row < rows; row += threads) {
    const bool falls = row_splits[row + 1] < row_splits[row];
    const bool misses = (row == 0 && row_splits[0] != 0) || (row == rows - 1 && row_splits[rows] != count);
    if (falls || misses) report(late, failure(row, Reason::bad_splits), count);
  }
}

}  // namespace tokenmask
