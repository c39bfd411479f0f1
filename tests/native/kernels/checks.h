// What the files of this folder share, and the checks that each has.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <vector>

#include "../../../csrc/cpu/dispatch.h"
#include "../drawn.h"

#ifdef TOKENMASK_EMULATED_CUDA  // `make cuda-emulated`: the CUDA kernels are one more set
namespace tokenmask {
extern const CpuKernels kCudaKernels;
}
#endif

using namespace tokenmask;

inline void require(bool holds, const char* what, const char* isa) {
  if (holds) return;
  std::printf("%s differs on %s\n", what, isa);
  std::exit(1);
}

inline std::vector<const CpuKernels*> kernel_sets() {
  std::vector<const CpuKernels*> sets;
  for (const char* name : {"portable", "avx2", "avx512"}) {
    if (const CpuKernels* found = find_cpu_kernels(name)) sets.push_back(found);
  }
#ifdef TOKENMASK_EMULATED_CUDA
  sets.push_back(&kCudaKernels);
#endif
  return sets;
}

// Scores of one kind a row: smooth, tied, constant, infinite, of two sizes.
inline float score(int64_t kind) {
  const float value = normal();
  switch (kind % 5) {
    case 0:
      return value;
    case 1:
      return std::round(value);
    case 2:
      return -0.25f;
    case 3:
      return below(4) ? value : (below(2) ? 1.0f : -1.0f) * std::numeric_limits<float>::infinity();
    default:
      return below(3) ? 1e-30f * value : 1e30f * value;
  }
}

inline bool close(const float* got, const float* expected, int64_t size) {
  for (int64_t i = 0; i < size; ++i) {
    if (!(std::fabs(got[i] - expected[i]) <= 1e-5f + 1e-4f * std::fabs(expected[i]))) return false;
  }
  return true;
}

void check_choose_and_commit(int64_t batch, int64_t length);
void check_mask_tokens(int64_t batch, int64_t length);
template <FloatType type>
void check_sample_codes(int64_t rows, int64_t size, int64_t top_k, double top_p, double min_p, float temperature);
void check_bound_best(int64_t rows, int64_t size);
template <FloatType type>
void check_embed_codes(int64_t positions, int64_t levels, int64_t table_rows, int64_t width);
void check_quantize_residual(int64_t rows, int64_t levels, int64_t codes, int64_t width, bool unit_norm);
void check_cache(int64_t rows, int64_t heads, int64_t size, int64_t tiles);
void check_norm_and_gate(int64_t rows, int64_t width);
void check_turn_heads(int64_t rows, int64_t heads, int64_t size);
