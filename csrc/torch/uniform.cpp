#include "tokenmask/uniform.h"

#include <torch/library.h>

#include "checks.h"

namespace tokenmask {

namespace {

struct Prepared {
  at::Tensor counters, seeds, out;
  UniformArgs args;
};

Prepared prepare(const at::Tensor& counters, int64_t seed, const std::optional<at::Tensor>& seeds, int64_t purpose) {
  TORCH_CHECK_VALUE(counters.dim() == 1, "uniform: counters must be [N], got ", counters.sizes());
  Prepared p;
  p.counters = checked(counters, "counters", at::kLong, counters.sizes(), counters);
  if (seeds) p.seeds = checked(*seeds, "seed", at::kLong, counters.sizes(), counters);
  p.out = at::empty(counters.sizes(), counters.options().dtype(at::kFloat));
  p.args = {p.counters.const_data_ptr<int64_t>(),
            data_or_null<int64_t>(p.seeds),
            p.out.mutable_data_ptr<float>(),
            counters.size(0),
            uint64_t(seed),
            uint32_t(purpose)};
  return p;
}

at::Tensor uniform_on_cpu(const at::Tensor& counters, int64_t seed, const std::optional<at::Tensor>& seeds,
                          int64_t purpose) {
  const Prepared p = prepare(counters, seed, seeds, purpose);
  run_rows(p.args.size, 8, [&](int64_t begin, int64_t end) {
    uniform_cpu(p.args, begin, end);
    return kNoFailure;
  });
  return p.out;
}

#ifdef TOKENMASK_WITH_CUDA
at::Tensor uniform_on_cuda(const at::Tensor& counters, int64_t seed, const std::optional<at::Tensor>& seeds,
                           int64_t purpose) {
  const c10::cuda::CUDAGuard guard(counters.device());
  const Prepared p = prepare(counters, seed, seeds, purpose);
  uniform_cuda(p.args, current_stream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  return p.out;
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) { m.impl("uniform", &uniform_on_cpu); }
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) { m.impl("uniform", &uniform_on_cuda); }
#endif

}  // namespace tokenmask
