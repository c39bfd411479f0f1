#include "tokenmask/commit.h"

#include <torch/library.h>

#include <tuple>

#include "checks.h"
#include "late_failure.h"

namespace tokenmask {

namespace {

struct Prepared {
  at::Tensor ids, proposed, confidence, is_open, count, out, still_open;
  CommitArgs args;
};

Prepared prepare(const at::Tensor& ids, const at::Tensor& proposed, const at::Tensor& confidence,
                 const at::Tensor& is_open, const at::Tensor& count) {
  TORCH_CHECK_VALUE(ids.dim() == 2, "commit: ids must be [batch, length], got ", ids.sizes());
  TORCH_CHECK_VALUE(ids.size(1) <= INT32_MAX, "commit: a row holds at most 2^31 - 1 slots, got ", ids.size(1));
  Prepared p;
  p.ids = checked(ids, "ids", at::kInt, ids.sizes(), ids);
  p.proposed = checked(proposed, "proposed", at::kInt, ids.sizes(), ids);
  p.confidence = checked(confidence, "confidence", at::kFloat, ids.sizes(), ids);
  p.is_open = checked(is_open, "is_open", at::kBool, ids.sizes(), ids);
  p.count = checked(count, "count", at::kLong, {ids.size(0)}, ids);
  p.out = at::empty(ids.sizes(), ids.options());
  p.still_open = at::empty(ids.sizes(), is_open.options());
  p.args = {p.ids.const_data_ptr<int32_t>(),
            p.proposed.const_data_ptr<int32_t>(),
            {p.confidence.const_data_ptr<float>(), p.is_open.const_data_ptr<bool>(), p.count.const_data_ptr<int64_t>(),
             p.still_open.mutable_data_ptr<bool>(), ids.size(0), ids.size(1)},
            p.out.mutable_data_ptr<int32_t>()};
  return p;
}

std::tuple<at::Tensor, at::Tensor> commit_on_cpu(const at::Tensor& ids, const at::Tensor& proposed,
                                                 const at::Tensor& confidence, const at::Tensor& is_open,
                                                 const at::Tensor& count) {
  const Prepared p = prepare(ids, proposed, confidence, is_open, count);
  const int64_t failed =
      run_rows(ids.size(0), ids.size(1), [&](int64_t begin, int64_t end) { return commit_cpu(p.args, begin, end); });
  raise_failure(failed, "commit", "confidence of open slots");
  return {p.out, p.still_open};
}

#ifdef TOKENMASK_WITH_CUDA
std::tuple<at::Tensor, at::Tensor> commit_on_cuda(const at::Tensor& ids, const at::Tensor& proposed,
                                                  const at::Tensor& confidence, const at::Tensor& is_open,
                                                  const at::Tensor& count) {
  const c10::cuda::CUDAGuard guard(ids.device());
  const Prepared p = prepare(ids, proposed, confidence, is_open, count);
  commit_cuda(p.args, before_launch(Op::commit), current_stream());
  after_launch(Op::commit);
  return {p.out, p.still_open};
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) { m.impl("commit", &commit_on_cpu); }
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) { m.impl("commit", &commit_on_cuda); }
#endif

}  // namespace tokenmask
