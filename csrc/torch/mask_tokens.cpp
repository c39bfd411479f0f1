#include "tokenmask/mask_tokens.h"

#include <torch/library.h>

#include <tuple>
#include <vector>

#include "checks.h"
#include "late_failure.h"

#ifdef TOKENMASK_WITH_CUDA
#include <ATen/ops/cumsum.h>
#endif

namespace tokenmask {

namespace {

using Result = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

struct Prepared {
  at::Tensor ids, maskable, count, mask_ids, scores, low, high, sample_ids, corrupted, slots, targets;
  MaskTokensArgs args = {};

  void allocate_lists(int64_t size) {
    slots = at::empty({size}, count.options());
    targets = at::empty({size}, ids.options());
    args.slots = slots.mutable_data_ptr<int64_t>();
    args.targets = targets.mutable_data_ptr<int32_t>();
  }
};

Prepared prepare(const at::Tensor& ids, const at::Tensor& maskable, const at::Tensor& count, const at::Tensor& mask_ids,
                 const std::optional<at::Tensor>& scores, const std::optional<at::Tensor>& random_low,
                 const std::optional<at::Tensor>& random_high, const at::Tensor& sample_ids, int64_t seed,
                 int64_t mask_below, int64_t random_below) {
  TORCH_CHECK_VALUE(ids.dim() == 2, "mask_tokens: ids must be [batch, length], got ", ids.sizes());
  TORCH_CHECK_VALUE(ids.size(1) <= INT32_MAX, "mask_tokens: a row holds at most 2^31 - 1 slots, got ", ids.size(1));
  TORCH_CHECK_VALUE(random_low.has_value() == random_high.has_value(), "mask_tokens: give both ends of random_range");
  TORCH_CHECK_VALUE(random_low.has_value() || random_below <= mask_below,
                    "mask_tokens: a random share above 0 needs random_range");
  Prepared p;
  p.ids = checked(ids, "ids", at::kInt, ids.sizes(), ids);
  p.maskable = checked(maskable, "maskable", at::kBool, ids.sizes(), ids);
  p.count = checked(count, "count", at::kLong, {ids.size(0)}, ids);
  p.sample_ids = checked(sample_ids, "sample_ids", at::kLong, {ids.size(0)}, ids);
  p.mask_ids = checked_rows(mask_ids, "mask_ids", at::kInt, ids, p.args.mask_ids_stride);
  if (scores) p.scores = checked(*scores, "scores", at::kFloat, ids.sizes(), ids);
  if (random_low) {
    TORCH_CHECK_VALUE(random_low->sizes() == random_high->sizes(), "mask_tokens: random_range needs two equal shapes");
    p.low = checked_rows(*random_low, "random_range", at::kInt, ids, p.args.random_stride);
    p.high = checked_rows(*random_high, "random_range", at::kInt, ids, p.args.random_stride);
  }
  p.corrupted = at::empty(ids.sizes(), ids.options());
  p.args.ids = p.ids.const_data_ptr<int32_t>();
  p.args.maskable = p.maskable.const_data_ptr<bool>();
  p.args.count = p.count.const_data_ptr<int64_t>();
  p.args.mask_ids = p.mask_ids.const_data_ptr<int32_t>();
  p.args.scores = data_or_null<float>(p.scores);
  p.args.random_low = data_or_null<int32_t>(p.low);
  p.args.random_high = data_or_null<int32_t>(p.high);
  p.args.sample_ids = p.sample_ids.const_data_ptr<int64_t>();
  p.args.corrupted = p.corrupted.mutable_data_ptr<int32_t>();
  p.args.batch = ids.size(0);
  p.args.length = ids.size(1);
  p.args.seed = uint64_t(seed);
  p.args.mask_below = uint64_t(mask_below);
  p.args.random_below = uint64_t(random_below);
  return p;
}

Result mask_tokens_on_cpu(const at::Tensor& ids, const at::Tensor& maskable, const at::Tensor& count,
                          const at::Tensor& mask_ids, const std::optional<at::Tensor>& scores,
                          const std::optional<at::Tensor>& random_low, const std::optional<at::Tensor>& random_high,
                          const at::Tensor& sample_ids, int64_t seed, int64_t mask_below, int64_t random_below) {
  Prepared p = prepare(ids, maskable, count, mask_ids, scores, random_low, random_high, sample_ids, seed, mask_below,
                       random_below);
  std::vector<int64_t> offsets(p.args.batch + 1, 0);
  for (int64_t row = 0; row < p.args.batch; ++row) offsets[row + 1] = offsets[row] + mask_tokens_count(p.args, row);
  p.args.offsets = offsets.data();
  p.allocate_lists(offsets.back());
  const int64_t failed = run_rows(p.args.batch, p.args.length,
                                  [&](int64_t begin, int64_t end) { return mask_tokens_cpu(p.args, begin, end); });
  raise_failure(failed, "mask_tokens", "scores of maskable slots");
  return {p.corrupted, p.slots, p.targets};
}

#ifdef TOKENMASK_WITH_CUDA
Result mask_tokens_on_cuda(const at::Tensor& ids, const at::Tensor& maskable, const at::Tensor& count,
                           const at::Tensor& mask_ids, const std::optional<at::Tensor>& scores,
                           const std::optional<at::Tensor>& random_low, const std::optional<at::Tensor>& random_high,
                           const at::Tensor& sample_ids, int64_t seed, int64_t mask_below, int64_t random_below) {
  const c10::cuda::CUDAGuard guard(ids.device());
  Prepared p = prepare(ids, maskable, count, mask_ids, scores, random_low, random_high, sample_ids, seed, mask_below,
                       random_below);
  const LateFailure late = before_launch(Op::mask_tokens);
  // Row counts stand after a leading 0, so that their running sum is the list of offsets.
  const at::Tensor counts = at::empty({p.args.batch + 1}, p.count.options());
  mask_tokens_count_cuda(p.args, counts.mutable_data_ptr<int64_t>(), current_stream());
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  const at::Tensor offsets = at::cumsum(counts, 0);
  p.args.offsets = offsets.const_data_ptr<int64_t>();
  p.allocate_lists(offsets[p.args.batch].item<int64_t>());  // the one wait: the lists have no length before
  mask_tokens_write_cuda(p.args, late, current_stream());
  after_launch(Op::mask_tokens);
  return {p.corrupted, p.slots, p.targets};
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) { m.impl("mask_tokens", &mask_tokens_on_cpu); }
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) { m.impl("mask_tokens", &mask_tokens_on_cuda); }
#endif

}  // namespace tokenmask
