// A failure in words: the rule, where it was broken, and what to do.
#pragma once

#include <c10/util/Exception.h>

#include "tokenmask/failure.h"

namespace tokenmask {

// Raises ValueError for a failure. `of_which` says of which call, if it is not this one; `number` is the one that the
// sentence names, if it names one.
inline void raise_failure(int64_t failed, const char* op, const char* input, const char* of_which = "",
                          int64_t number = 0) {
  if (failed == kNoFailure) return;
  const int64_t row = failed / kReasons;
  switch (static_cast<Reason>(failed % kReasons)) {
    case Reason::not_a_number:
      TORCH_CHECK_VALUE(false, op, ": ", input, " must not be NaN, got NaN in row ", row, of_which,
                        "; check what computed that row (a diverged model, or 0 / 0)");
    case Reason::plus_infinity:
      TORCH_CHECK_VALUE(false, op, ": ", input, " must be below +inf, got +inf in row ", row, of_which,
                        "; check what computed that row");
    case Reason::nothing_allowed:
      TORCH_CHECK_VALUE(false, op, ": each row needs an allowed code whose logit is above -inf, got none in row ", row,
                        of_which, "; allow a code or raise a logit there");
    case Reason::empty_range:
      TORCH_CHECK_VALUE(false, op,
                        ": random_range must have low < high at each chosen slot, got an empty range in row ", row,
                        of_which, "; widen it, close the slot, or set the random share to 0");
    case Reason::bad_temperature:
      TORCH_CHECK_VALUE(false, op, ": temperature must be finite and at least 0, got another value in row ", row,
                        of_which, "; use 0 for the arg-max");
    case Reason::id_out_of_range:
      TORCH_CHECK_VALUE(false, op, ": ", input, " must be rows of the table, got another id at position ", row,
                        " of the flattened batch", of_which, "; check the layout that made the ids");
    case Reason::not_finite:
      TORCH_CHECK_VALUE(false, op, ": ", input, " must be finite, got NaN or infinity in row ", row, of_which,
                        "; check what computed that row");
    case Reason::not_finite_code:
      TORCH_CHECK_VALUE(false, op, ": codebooks must be finite, got NaN or infinity at level ", row, of_which,
                        "; check what trained that codebook");
    case Reason::slot_out_of_range:
      TORCH_CHECK_VALUE(false, op, ": slots must lie in 0..", number, ", got another at position ", row, of_which,
                        "; make the cache larger");
    case Reason::length_out_of_range:
      TORCH_CHECK_VALUE(false, op, ": lengths must lie in 0..", number, ", got another in row ", row, of_which,
                        "; count the slots in use");
    case Reason::bad_splits:
      TORCH_CHECK_VALUE(false, op, ": row_splits must rise from 0 to M = ", number, ", got others at row ", row,
                        of_which, "; make them with cumsum");
  }
}

}  // namespace tokenmask
