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
};

constexpr int64_t kNoFailure = INT64_MAX;

TM_HOST_DEVICE int64_t failure(int64_t row, Reason reason) { return row * 8 + int64_t(reason); }

}  // namespace tokenmask
