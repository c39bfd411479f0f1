#include "tokenmask/embed_codes.h"

#include <torch/library.h>

#include <vector>

#include "checks.h"
#include "late_failure.h"

#ifdef TOKENMASK_WITH_CUDA
#include <ATen/ops/arange.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#endif

namespace tokenmask {

namespace {

struct Prepared {
  at::Tensor ids, table, out;
  EmbedCodesArgs args;
};

void check_ids(const at::Tensor& ids) {
  TORCH_CHECK_TYPE(ids.scalar_type() == at::kInt, "embed_codes: ids must be int32, got ", ids.scalar_type());
  TORCH_CHECK_VALUE(ids.dim() == 3, "embed_codes: ids must be [B, L, K], got ", ids.sizes());
}

Prepared prepare(const at::Tensor& ids, const at::Tensor& table) {
  check_ids(ids);
  TORCH_CHECK_VALUE(table.dim() == 2, "embed_codes: table must be [R, D], got ", table.sizes());
  Prepared p;
  p.ids = ids.contiguous();
  p.table = checked(table, "table", table.scalar_type(), table.sizes(), ids);
  p.out = at::empty({ids.size(0), ids.size(1), table.size(1)}, table.options());
  p.args = {p.ids.const_data_ptr<int32_t>(),
            p.table.const_data_ptr(),
            p.out.mutable_data_ptr(),
            float_type(table, "embed_codes: table"),
            ids.size(0) * ids.size(1),
            ids.size(2),
            table.size(0),
            table.size(1)};
  return p;
}

struct PreparedBackward {
  at::Tensor grad, out;
  EmbedCodesBackwardArgs args;
};

PreparedBackward prepare_backward(const at::Tensor& grad, const at::Tensor& ids, int64_t table_rows) {
  check_ids(ids);
  TORCH_CHECK_VALUE(grad.dim() == 3 && table_rows >= 0, "embed_codes: grad must be [B, L, D], got ", grad.sizes());
  PreparedBackward p;
  p.grad = checked(grad, "grad", grad.scalar_type(), {ids.size(0), ids.size(1), grad.size(2)}, ids);
  p.out = at::empty({table_rows, grad.size(2)}, grad.options());
  p.args = {p.grad.const_data_ptr(),
            nullptr,
            nullptr,
            p.out.mutable_data_ptr(),
            float_type(grad, "embed_codes: grad"),
            ids.size(2),
            table_rows,
            grad.size(2)};
  return p;
}

at::Tensor embed_codes_on_cpu(const at::Tensor& ids, const at::Tensor& table) {
  const Prepared p = prepare(ids, table);
  const int64_t failed = run_rows(p.args.positions, p.args.levels * p.args.width,
                                  [&](int64_t begin, int64_t end) { return embed_codes_cpu(p.args, begin, end); });
  raise_failure(failed, "embed_codes", "ids");
  return p.out;
}

// A counting sort lists the entries of each table row in ascending order.
at::Tensor embed_codes_backward_on_cpu(const at::Tensor& grad, const at::Tensor& ids, int64_t table_rows) {
  PreparedBackward p = prepare_backward(grad, ids, table_rows);
  const at::Tensor flat = ids.contiguous();
  const int32_t* id = flat.const_data_ptr<int32_t>();
  const int64_t size = flat.numel();
  std::vector<int64_t> starts(table_rows + 1, 0), next, entries(size);
  for (int64_t i = 0; i < size; ++i) {
    if (id[i] < 0 || id[i] >= table_rows) {
      raise_failure(failure(i / p.args.levels, Reason::id_out_of_range), "embed_codes", "ids");
    }
    ++starts[id[i] + 1];
  }
  for (int64_t row = 0; row < table_rows; ++row) starts[row + 1] += starts[row];
  next = starts;
  for (int64_t i = 0; i < size; ++i) entries[next[id[i]]++] = i;
  p.args.starts = starts.data();
  p.args.entries = entries.data();
  const int64_t entries_per_row = table_rows ? size / table_rows + 1 : 1;
  run_rows(table_rows, entries_per_row * p.args.width, [&](int64_t begin, int64_t end) {
    embed_codes_backward_cpu(p.args, begin, end);
    return kNoFailure;
  });
  return p.out;
}

#ifdef TOKENMASK_WITH_CUDA
at::Tensor embed_codes_on_cuda(const at::Tensor& ids, const at::Tensor& table) {
  const c10::cuda::CUDAGuard guard(ids.device());
  const Prepared p = prepare(ids, table);
  embed_codes_cuda(p.args, before_launch(Op::embed_codes), current_stream());
  after_launch(Op::embed_codes);
  return p.out;
}

at::Tensor embed_codes_backward_on_cuda(const at::Tensor& grad, const at::Tensor& ids, int64_t table_rows) {
  const c10::cuda::CUDAGuard guard(ids.device());
  PreparedBackward p = prepare_backward(grad, ids, table_rows);
  const auto [sorted, entries] = at::sort(ids.flatten(), /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const at::Tensor rows = at::arange(table_rows + 1, ids.options());
  const at::Tensor starts = at::searchsorted(sorted, rows);
  p.args.starts = starts.const_data_ptr<int64_t>();
  p.args.entries = entries.const_data_ptr<int64_t>();
  embed_codes_backward_cuda(p.args, ids.numel(), before_launch(Op::embed_codes_backward), current_stream());
  after_launch(Op::embed_codes_backward);
  return p.out;
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) {
  m.impl("embed_codes", &embed_codes_on_cpu);
  m.impl("embed_codes_backward", &embed_codes_backward_on_cpu);
}
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) {
  m.impl("embed_codes", &embed_codes_on_cuda);
  m.impl("embed_codes_backward", &embed_codes_backward_on_cuda);
}
#endif

}  // namespace tokenmask
