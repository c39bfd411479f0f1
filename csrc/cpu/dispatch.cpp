#include "dispatch.h"

#include <cstring>
#include <initializer_list>

namespace tokenmask {

namespace {

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt");
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

const CpuKernels* widest() {
  for (const char* name : {"avx512", "avx2"}) {
    if (const CpuKernels* kernels = find_cpu_kernels(name)) return kernels;
  }
  return &kPortableKernels;
}

const CpuKernels*& running() {
  static const CpuKernels* kernels = widest();
  return kernels;
}

}  // namespace

const CpuKernels& cpu_kernels() { return *running(); }

void use_cpu_kernels(const CpuKernels& kernels) { running() = &kernels; }

const CpuKernels* find_cpu_kernels(const char* name) {
  if (std::strcmp(name, "portable") == 0) return &kPortableKernels;
#if defined(__x86_64__)
  if (std::strcmp(name, "avx2") == 0 && has_avx2()) return &kAvx2Kernels;
  if (std::strcmp(name, "avx512") == 0 && has_avx512()) return &kAvx512Kernels;
#endif
  return nullptr;
}

int64_t choose_cpu(const ChooseArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().choose(args, begin, end);
}

int64_t commit_cpu(const CommitArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().commit(args, begin, end);
}

int64_t mask_tokens_cpu(const MaskTokensArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().mask_tokens(args, begin, end);
}

int64_t sample_codes_cpu(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().sample_codes(args, begin, end);
}

void uniform_cpu(const UniformArgs& args, int64_t begin, int64_t end) { cpu_kernels().uniform(args, begin, end); }

int64_t mask_tokens_count(const MaskTokensArgs& args, int64_t row) {
  return cpu_kernels().mask_tokens_count(args, row);
}

int64_t embed_codes_cpu(const EmbedCodesArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().embed_codes(args, begin, end);
}

void embed_codes_backward_cpu(const EmbedCodesBackwardArgs& args, int64_t begin, int64_t end) {
  cpu_kernels().embed_codes_backward(args, begin, end);
}

int64_t quantize_panel() { return cpu_kernels().quantize_panel(); }

int64_t quantize_pack_cpu(const QuantizeResidualArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().quantize_pack(args, begin, end);
}

int64_t quantize_residual_cpu(const QuantizeResidualArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().quantize_residual(args, begin, end);
}

void rotate_and_store_cpu(const RotateAndStoreArgs& args, int64_t begin, int64_t end) {
  cpu_kernels().rotate_and_store(args, begin, end);
}

void attend_cached_cpu(const AttendCachedArgs& args, int64_t begin, int64_t end) {
  cpu_kernels().attend_cached(args, begin, end);
}

void rms_norm_cpu(const RmsNormArgs& args, int64_t begin, int64_t end) { cpu_kernels().rms_norm(args, begin, end); }

void rms_norm_backward_cpu(const RmsNormBackwardArgs& args, int64_t begin, int64_t end) {
  cpu_kernels().rms_norm_backward(args, begin, end);
}

void turn_heads_cpu(const TurnHeadsArgs& args, int64_t begin, int64_t end) {
  cpu_kernels().turn_heads(args, begin, end);
}

void turn_heads_backward_cpu(const TurnHeadsBackwardArgs& args, int64_t begin, int64_t end) {
  cpu_kernels().turn_heads_backward(args, begin, end);
}

void gate_cpu(const GateArgs& args, int64_t begin, int64_t end) { cpu_kernels().gate(args, begin, end); }

void gate_backward_cpu(const GateArgs& args, int64_t begin, int64_t end) {
  cpu_kernels().gate_backward(args, begin, end);
}

int64_t bound_best_cpu(const BoundBestArgs& args, int64_t begin, int64_t end) {
  return cpu_kernels().bound_best(args, begin, end);
}

}  // namespace tokenmask
