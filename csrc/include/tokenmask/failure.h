// Why a row has no answer. Kernels report the first bad row as one integer, so that any order of rows gives the same.
#pragma once

#include "tokenmask/macros.h"

namespace tokenmask {

enum class Reason : int64_t {
  not_a_number = 0,
  plus_infinity = 1,
  nothing_allowed = 2,
  empty_range = 3,
  bad_temperature = 4,
  id_out_of_range = 5,
  not_finite = 6,
  not_finite_code = 7,
  slot_out_of_range = 8,
  length_out_of_range = 9,
  bad_splits = 10,
};

constexpr int64_t kNoFailure = INT64_MAX;

constexpr int64_t kReasons = 16;  // room for as many

TM_HOST_DEVICE int64_t failure(int64_t row, Reason reason) { return row * kReasons + int64_t(reason); }

// Where a CUDA kernel, for which nobody waits, leaves its first failure and the number that the sentence about it names.
struct LateFailure {
  int64_t* words;  // [2]
};

}  // namespace tokenmask
