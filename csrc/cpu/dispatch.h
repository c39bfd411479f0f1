// The CPU kernels of one instruction set, and which set runs. Each is the same source (kernels/) compiled
// again, and all give the same bits, except for the last ones of rotate_and_store, attend_cached and what stands between
// the products of a block.
#pragma once

#include "tokenmask/between.h"
#include "tokenmask/bound_best.h"
#include "tokenmask/cache.h"
#include "tokenmask/choose.h"
#include "tokenmask/commit.h"
#include "tokenmask/embed_codes.h"
#include "tokenmask/mask_tokens.h"
#include "tokenmask/quantize_residual.h"
#include "tokenmask/sample_codes.h"
#include "tokenmask/uniform.h"

namespace tokenmask {

struct CpuKernels {
  const char* name;
  int64_t (*choose)(const ChooseArgs&, int64_t, int64_t);
  int64_t (*commit)(const CommitArgs&, int64_t, int64_t);
  int64_t (*mask_tokens_count)(const MaskTokensArgs&, int64_t);
  int64_t (*mask_tokens)(const MaskTokensArgs&, int64_t, int64_t);
  int64_t (*sample_codes)(const SampleCodesArgs&, int64_t, int64_t);
  void (*uniform)(const UniformArgs&, int64_t, int64_t);
  int64_t (*embed_codes)(const EmbedCodesArgs&, int64_t, int64_t);
  void (*embed_codes_backward)(const EmbedCodesBackwardArgs&, int64_t, int64_t);
  int64_t (*quantize_panel)();
  int64_t (*quantize_pack)(const QuantizeResidualArgs&, int64_t, int64_t);
  int64_t (*quantize_residual)(const QuantizeResidualArgs&, int64_t, int64_t);
  void (*rotate_and_store)(const RotateAndStoreArgs&, int64_t, int64_t);
  void (*attend_cached)(const AttendCachedArgs&, int64_t, int64_t);
  void (*rms_norm)(const RmsNormArgs&, int64_t, int64_t);
  void (*rms_norm_backward)(const RmsNormBackwardArgs&, int64_t, int64_t);
  void (*turn_heads)(const TurnHeadsArgs&, int64_t, int64_t);
  void (*turn_heads_backward)(const TurnHeadsBackwardArgs&, int64_t, int64_t);
  void (*gate)(const GateArgs&, int64_t, int64_t);
  void (*gate_backward)(const GateArgs&, int64_t, int64_t);
  int64_t (*bound_best)(const BoundBestArgs&, int64_t, int64_t);
};

extern const CpuKernels kPortableKernels;
#if defined(__x86_64__)
extern const CpuKernels kAvx2Kernels;
extern const CpuKernels kAvx512Kernels;
#endif

// The set that runs: the widest that the processor has, unless `use_cpu_kernels` chose another.
const CpuKernels& cpu_kernels();

// The set of this name ("portable", "avx2", "avx512"), or null if the processor does not have it.
const CpuKernels* find_cpu_kernels(const char* name);

// For tests. Not while another thread is inside an op.
void use_cpu_kernels(const CpuKernels& kernels);

}  // namespace tokenmask
