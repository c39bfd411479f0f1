#include "tokenmask/sample_codes.h"

#include <torch/library.h>

#include <tuple>

#include "checks.h"
#include "late_failure.h"

namespace tokenmask {

namespace {

using Result = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>;
using Optional = std::optional<at::Tensor>;

struct Prepared {
  at::Tensor logits, uncond, allowed, counters, seeds, temperatures, guidances, codes, logprob, entropy, margin;
  SampleCodesArgs args = {};
};

Prepared prepare(const at::Tensor& logits, const at::Tensor& counters, int64_t seed, const Optional& seeds,
                 double temperature, const Optional& temperatures, int64_t top_k, double top_p, double min_p,
                 const Optional& uncond, double guidance, const Optional& guidances, const Optional& allowed) {
  TORCH_CHECK_VALUE(logits.dim() == 2, "sample_codes: logits must be [N, V], got ", logits.sizes());
  TORCH_CHECK_VALUE(logits.size(1) <= INT32_MAX, "sample_codes: codes are int32, got ", logits.size(1), " of them");
  Prepared p;
  SampleCodesArgs& args = p.args;
  args.type = float_type(logits, "sample_codes: logits");
  args.rows = logits.size(0);
  args.size = logits.size(1);
  p.logits = logits.contiguous();
  p.counters = checked(counters, "counters", at::kLong, {args.rows}, logits);
  if (seeds) p.seeds = checked(*seeds, "seed", at::kLong, {args.rows}, logits);
  if (temperatures) p.temperatures = checked(*temperatures, "temperature", at::kFloat, {args.rows}, logits);
  if (uncond) p.uncond = checked(*uncond, "uncond", logits.scalar_type(), logits.sizes(), logits);
  if (guidances) p.guidances = checked(*guidances, "guidance", at::kFloat, {args.rows}, logits);
  if (allowed) p.allowed = checked_rows(*allowed, "allowed", at::kBool, logits, args.allowed_stride);
  p.codes = at::empty({args.rows}, logits.options().dtype(at::kInt));
  p.logprob = at::empty({args.rows}, logits.options().dtype(at::kFloat));
  p.entropy = at::empty({args.rows}, logits.options().dtype(at::kFloat));
  p.margin = at::empty({args.rows}, logits.options().dtype(at::kFloat));
  args.logits = p.logits.const_data_ptr();
  args.uncond = uncond ? p.uncond.const_data_ptr() : nullptr;
  args.allowed = data_or_null<bool>(p.allowed);
  args.counters = p.counters.const_data_ptr<int64_t>();
  args.seeds = data_or_null<int64_t>(p.seeds);
  args.temperatures = data_or_null<float>(p.temperatures);
  args.guidances = data_or_null<float>(p.guidances);
  args.codes = p.codes.mutable_data_ptr<int32_t>();
  args.logprob = p.logprob.mutable_data_ptr<float>();
  args.entropy = p.entropy.mutable_data_ptr<float>();
  args.margin = p.margin.mutable_data_ptr<float>();
  args.seed = uint64_t(seed);
  args.temperature = float(temperature);
  args.guidance = float(guidance);
  args.top_k = top_k;
  args.top_p = top_p;
  args.min_p = min_p;
  return p;
}

Result sample_codes_on_cpu(const at::Tensor& logits, const at::Tensor& counters, int64_t seed, const Optional& seeds,
                           double temperature, const Optional& temperatures, int64_t top_k, double top_p, double min_p,
                           const Optional& uncond, double guidance, const Optional& guidances,
                           const Optional& allowed) {
  const Prepared p = prepare(logits, counters, seed, seeds, temperature, temperatures, top_k, top_p, min_p, uncond,
                             guidance, guidances, allowed);
  const int64_t failed = run_rows(p.args.rows, p.args.size,
                                  [&](int64_t begin, int64_t end) { return sample_codes_cpu(p.args, begin, end); });
  raise_failure(failed, "sample_codes", "allowed logits");
  return {p.codes, p.logprob, p.entropy, p.margin};
}

#ifdef TOKENMASK_WITH_CUDA
Result sample_codes_on_cuda(const at::Tensor& logits, const at::Tensor& counters, int64_t seed, const Optional& seeds,
                            double temperature, const Optional& temperatures, int64_t top_k, double top_p, double min_p,
                            const Optional& uncond, double guidance, const Optional& guidances,
                            const Optional& allowed) {
  const c10::cuda::CUDAGuard guard(logits.device());
  const Prepared p = prepare(logits, counters, seed, seeds, temperature, temperatures, top_k, top_p, min_p, uncond,
                             guidance, guidances, allowed);
  sample_codes_cuda(p.args, before_launch(Op::sample_codes), current_stream());
  after_launch(Op::sample_codes);
  return {p.codes, p.logprob, p.entropy, p.margin};
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) { m.impl("sample_codes", &sample_codes_on_cpu); }
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) { m.impl("sample_codes", &sample_codes_on_cuda); }
#endif

}  // namespace tokenmask
