// Every kernel of one instruction set, as the table that ../dispatch.h describes.
#pragma once

#include "../dispatch.h"
#include "between.h"
#include "bound_best.h"
#include "cache.h"
#include "choose.h"
#include "embed_codes.h"
#include "mask_tokens.h"
#include "quantize_residual.h"
#include "sample_codes.h"
#include "uniform.h"

namespace tokenmask::TM_ISA {

constexpr CpuKernels kernels(const char* name) {
  return {name,
          choose,
          commit,
          mask_tokens_count,
          mask_tokens,
          sample_codes,
          uniform,
          embed_codes,
          embed_codes_backward,
          panel_width,
          pack_codebooks,
          quantize_residual,
          rotate_and_store,
          attend_cached,
          rms_norm,
          rms_norm_backward,
          turn_heads,
          turn_heads_backward,
          gate,
          gate_backward,
          bound_best};
}

}  // namespace tokenmask::TM_ISA
