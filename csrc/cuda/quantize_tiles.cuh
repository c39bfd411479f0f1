// quantize_residual on tensor cores, for what they are made for.
#pragma once

#include "tokenmask/quantize_residual.h"

#ifndef TM_MANY_ROWS  // a test makes it small, so that large tiles have their turn
#define TM_MANY_ROWS 16384
#endif

namespace tokenmask {

// Runs it where `args.parts` is given, once the biases are filled, and a tile's rows fit a block's shared memory; false if
// they do not, and nothing was run.
bool quantize_tiles_cuda(const QuantizeResidualArgs& args, const LateFailure& late, void* stream);

// Fills `args.parts`, and clears `args.largest`.
void split_codebooks_cuda(const QuantizeResidualArgs& args, void* stream);

}  // namespace tokenmask
