// Every kernel of one instruction set, as the table that ../dispatch.h describes.
#pragma once

#include "../dispatch.h"
#include "embed_codes.h"
#include "quantize_residual.h"

namespace tokenmask::TM_ISA {

constexpr CpuKernels kernels(const char* name) {
  return {name, embed_codes, embed_codes_backward, panel_width, pack_codebooks, quantize_residual};
}

}  // namespace tokenmask::TM_ISA
