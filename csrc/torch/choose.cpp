#include "tokenmask/choose.h"

#include <torch/library.h>

#include "checks.h"
#include "late_failure.h"

namespace tokenmask {

namespace {

struct Prepared {
  at::Tensor scores, is_open, count, chosen;
  ChooseArgs args;
};

Prepared prepare(const at::Tensor& scores, const at::Tensor& is_open, const at::Tensor& count) {
  TORCH_CHECK_VALUE(scores.dim() == 2, "choose: scores must be [batch, length], got ", scores.sizes());
  TORCH_CHECK_VALUE(scores.size(1) <= INT32_MAX, "choose: a row holds at most 2^31 - 1 slots, got ", scores.size(1));
  Prepared p;
  p.scores = checked(scores, "scores", at::kFloat, scores.sizes(), scores);
  p.is_open = checked(is_open, "is_open", at::kBool, scores.sizes(), scores);
  p.count = checked(count, "count", at::kLong, {scores.size(0)}, scores);
  p.chosen = at::empty(scores.sizes(), is_open.options());
  p.args = {p.scores.const_data_ptr<float>(),
            p.is_open.const_data_ptr<bool>(),
            p.count.const_data_ptr<int64_t>(),
            p.chosen.mutable_data_ptr<bool>(),
            scores.size(0),
            scores.size(1)};
  return p;
}

at::Tensor choose_on_cpu(const at::Tensor& scores, const at::Tensor& is_open, const at::Tensor& count) {
  const Prepared p = prepare(scores, is_open, count);
  const int64_t failed =
      run_rows(p.args.batch, p.args.length, [&](int64_t begin, int64_t end) { return choose_cpu(p.args, begin, end); });
  raise_failure(failed, "choose", "scores of open slots");
  return p.chosen;
}

#ifdef TOKENMASK_WITH_CUDA
at::Tensor choose_on_cuda(const at::Tensor& scores, const at::Tensor& is_open, const at::Tensor& count) {
  const c10::cuda::CUDAGuard guard(scores.device());
  const Prepared p = prepare(scores, is_open, count);
  choose_cuda(p.args, before_launch(Op::choose), current_stream());
  after_launch(Op::choose);
  return p.chosen;
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) { m.impl("choose", &choose_on_cpu); }
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) { m.impl("choose", &choose_on_cuda); }
#endif

}  // namespace tokenmask
