#include "tokenmask/quantize_residual.h"

#include <torch/library.h>

#include <tuple>

#include "checks.h"
#include "late_failure.h"

namespace tokenmask {

namespace {

using Result = std::tuple<at::Tensor, at::Tensor>;

struct Prepared {
  at::Tensor x, codebooks, packed, biases, codes, quantized, rest, parts, largest;
  QuantizeResidualArgs args;
};

Prepared prepare(const at::Tensor& x, const at::Tensor& codebooks, bool unit_norm) {
  TORCH_CHECK_VALUE(x.dim() == 2, "quantize_residual: x must be [N, D], got ", x.sizes());
  TORCH_CHECK_VALUE(codebooks.dim() == 3, "quantize_residual: codebooks must be [K, C, D], got ", codebooks.sizes());
  TORCH_CHECK_VALUE(codebooks.size(0) == 0 || (codebooks.size(1) > 0 && codebooks.size(1) <= (1 << 30)),
                    "quantize_residual: a codebook holds 1 to 2^30 codes, got ", codebooks.size(1));
  Prepared p;
  p.x = checked(x, "x", at::kFloat, x.sizes(), x);
  p.codebooks = checked(codebooks, "codebooks", at::kFloat, {codebooks.size(0), codebooks.size(1), x.size(1)}, x);
  p.codes = at::empty({x.size(0), codebooks.size(0)}, x.options().dtype(at::kInt));
  p.quantized = at::empty(x.sizes(), x.options());
  p.args = {p.x.const_data_ptr<float>(),
            p.codebooks.const_data_ptr<float>(),
            nullptr,
            nullptr,
            p.codes.mutable_data_ptr<int32_t>(),
            p.quantized.mutable_data_ptr<float>(),
            x.size(0),
            x.size(1),
            codebooks.size(0),
            codebooks.size(1),
            unit_norm};
  return p;
}

Result quantize_residual_on_cpu(const at::Tensor& x, const at::Tensor& codebooks, bool unit_norm) {
  Prepared p = prepare(x, codebooks, unit_norm);
  QuantizeResidualArgs& args = p.args;
  const int64_t panel = quantize_panel(), panels = (args.codes + panel - 1) / panel;
  p.packed = at::empty({args.levels * panels * args.width * panel}, x.options());
  p.biases = at::empty({args.levels * panels * panel}, x.options());
  args.packed = p.packed.mutable_data_ptr<float>();
  args.biases = p.biases.mutable_data_ptr<float>();
  raise_failure(run_rows(args.levels * panels, panel * args.width,
                         [&](int64_t begin, int64_t end) { return quantize_pack_cpu(args, begin, end); }),
                "quantize_residual", "codebooks");
  raise_failure(run_rows(args.rows, args.levels * args.codes * args.width / 16,
                         [&](int64_t begin, int64_t end) { return quantize_residual_cpu(args, begin, end); }),
                "quantize_residual", "x");
  return {p.codes, p.quantized};
}

#ifdef TOKENMASK_WITH_CUDA
Result quantize_residual_on_cuda(const at::Tensor& x, const at::Tensor& codebooks, bool unit_norm) {
  const c10::cuda::CUDAGuard guard(x.device());
  Prepared p = prepare(x, codebooks, unit_norm);
  p.packed = at::empty({p.args.levels, p.args.width, padded_codes(p.args.codes)}, x.options()).zero_();
  p.packed.narrow(2, 0, p.args.codes).copy_(p.codebooks.transpose(1, 2));
  p.biases = at::empty({p.args.levels, p.args.codes}, x.options());
  p.rest =
      at::empty({(p.args.rows + kMostRowsOfTile - 1) / kMostRowsOfTile * kMostRowsOfTile, p.args.width}, x.options());
  p.args.packed = p.packed.mutable_data_ptr<float>();
  p.args.biases = p.biases.mutable_data_ptr<float>();
  p.args.rest = p.rest.mutable_data_ptr<float>();
  if (pays_on_tensor_cores(p.args.width, p.args.codes)) {
    p.parts =
        at::empty({p.args.levels, p.args.codes, 2 * padded_width(p.args.width)}, x.options().dtype(at::kBFloat16));
    p.largest = at::empty({p.args.levels}, x.options());
    p.args.parts = static_cast<uint16_t*>(p.parts.mutable_data_ptr());
    p.args.largest = p.largest.mutable_data_ptr<float>();
  }
  quantize_residual_cuda(p.args, before_launch(Op::quantize_residual), current_stream());
  after_launch(Op::quantize_residual);
  return {p.codes, p.quantized};
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) { m.impl("quantize_residual", &quantize_residual_on_cpu); }
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) { m.impl("quantize_residual", &quantize_residual_on_cuda); }
#endif

}  // namespace tokenmask
