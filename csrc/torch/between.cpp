#include "tokenmask/between.h"

#include <ATen/ops/sum.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "checks.h"

namespace tokenmask {

namespace {

constexpr auto kFloat = at::kFloat;

int64_t blocks_of(int64_t rows) { return (rows + kSumRows - 1) / kSumRows; }

const float* data(const at::Tensor& tensor) { return tensor.const_data_ptr<float>(); }

// A contiguous float32 [..., width] with a last axis.
at::Tensor rows_of(const at::Tensor& x, const char* op) {
  TORCH_CHECK_TYPE(x.scalar_type() == kFloat, op, ": must be float32, got ", x.scalar_type());
  TORCH_CHECK_VALUE(x.dim() >= 1, op, ": must be [..., width], got ", x.sizes());
  return x.contiguous();
}

int64_t count_rows(const at::Tensor& x) { return x.numel() / std::max<int64_t>(1, x.size(-1)); }

std::tuple<at::Tensor, at::Tensor> rms_norm_on_cpu(const at::Tensor& x_, const at::Tensor& weight_, double eps) {
  const at::Tensor x = rows_of(x_, "rms_norm"), weight = checked(weight_, "weight", kFloat, {x.size(-1)}, x);
  const int64_t rows = count_rows(x), width = x.size(-1);
  at::Tensor out = at::empty(x.sizes(), x.options()), scale = at::empty({rows}, x.options());
  const RmsNormArgs args = {data(x), data(weight), out.mutable_data_ptr<float>(), scale.mutable_data_ptr<float>(), rows,
                            width,   float(eps)};
  run_rows(rows, width, [&](int64_t begin, int64_t end) {
    rms_norm_cpu(args, begin, end);
    return kNoFailure;
  });
  return {out, scale};
}

std::tuple<at::Tensor, at::Tensor> rms_norm_backward_on_cpu(const at::Tensor& grad_, const at::Tensor& x_,
                                                            const at::Tensor& scale_, const at::Tensor& weight_) {
  const at::Tensor x = rows_of(x_, "rms_norm"), grad = checked(grad_, "grad", kFloat, x.sizes(), x);
  const int64_t rows = count_rows(x), width = x.size(-1), blocks = blocks_of(rows);
  const at::Tensor scale = checked(scale_, "scale", kFloat, {rows}, x),
                   weight = checked(weight_, "weight", kFloat, {width}, x);
  at::Tensor for_x = at::empty(x.sizes(), x.options()), sums = at::empty({blocks, width}, x.options());
  const RmsNormBackwardArgs args = {
      data(grad), data(x), data(scale), data(weight), for_x.mutable_data_ptr<float>(), sums.mutable_data_ptr<float>(),
      rows,       width};
  run_rows(blocks, kSumRows * width, [&](int64_t begin, int64_t end) {
    rms_norm_backward_cpu(args, begin, end);
    return kNoFailure;
  });
  return {for_x, at::sum(sums, at::IntArrayRef{0})};
}

struct Heads {
  at::Tensor qkv, query_weight, key_weight, cos, sin, query_cos, query_sin;
  TurnHeadsArgs args;
};

Heads prepare(const at::Tensor& qkv, const at::Tensor& query_weight, const at::Tensor& key_weight,
              const at::Tensor& cos, const at::Tensor& sin, const at::Tensor& query_cos, const at::Tensor& query_sin,
              double eps) {
  TORCH_CHECK_TYPE(qkv.scalar_type() == kFloat, "turn_heads: qkv must be float32, got ", qkv.scalar_type());
  TORCH_CHECK_VALUE(qkv.dim() == 5 && qkv.size(2) == 3 && qkv.size(4) % 2 == 0,
                    "turn_heads: qkv must be [B, L, 3, H, C] with an even C, got ", qkv.sizes());
  const int64_t size = qkv.size(4);
  const int64_t turns[] = {qkv.size(0), qkv.size(1), size};
  Heads h;
  h.qkv = qkv.contiguous();
  h.query_weight = checked(query_weight, "query_weight", kFloat, {size}, qkv);
  h.key_weight = checked(key_weight, "key_weight", kFloat, {size}, qkv);
  h.cos = checked(cos, "cos", kFloat, turns, qkv);
  h.sin = checked(sin, "sin", kFloat, turns, qkv);
  h.query_cos = checked(query_cos, "query_cos", kFloat, turns, qkv);
  h.query_sin = checked(query_sin, "query_sin", kFloat, turns, qkv);
  h.args = {data(h.qkv), data(h.query_weight),      data(h.key_weight), data(h.cos),
            data(h.sin), data(h.query_cos),         data(h.query_sin),  nullptr,
            nullptr,     qkv.size(0) * qkv.size(1), qkv.size(3),        size,
            float(eps)};
  return h;
}

std::tuple<at::Tensor, at::Tensor> turn_heads_on_cpu(const at::Tensor& qkv, const at::Tensor& query_weight,
                                                     const at::Tensor& key_weight, const at::Tensor& cos,
                                                     const at::Tensor& sin, const at::Tensor& query_cos,
                                                     const at::Tensor& query_sin, double eps) {
  Heads h = prepare(qkv, query_weight, key_weight, cos, sin, query_cos, query_sin, eps);
  const int64_t shape[] = {qkv.size(0), qkv.size(1), qkv.size(3), qkv.size(4)};
  at::Tensor query = at::empty(shape, qkv.options()), key = at::empty(shape, qkv.options());
  h.args.query = query.mutable_data_ptr<float>();
  h.args.key = key.mutable_data_ptr<float>();
  run_rows(h.args.rows, 2 * h.args.heads * h.args.size, [&](int64_t begin, int64_t end) {
    turn_heads_cpu(h.args, begin, end);
    return kNoFailure;
  });
  return {query, key};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> turn_heads_backward_on_cpu(
    const at::Tensor& query_, const at::Tensor& key_, const at::Tensor& value_, const at::Tensor& qkv,
    const at::Tensor& query_weight, const at::Tensor& key_weight, const at::Tensor& cos, const at::Tensor& sin,
    const at::Tensor& query_cos, const at::Tensor& query_sin, double eps) {
  const Heads h = prepare(qkv, query_weight, key_weight, cos, sin, query_cos, query_sin, eps);
  const int64_t shape[] = {qkv.size(0), qkv.size(1), qkv.size(3), qkv.size(4)}, blocks = blocks_of(h.args.rows);
  const at::Tensor query = checked(query_, "query", kFloat, shape, qkv), key = checked(key_, "key", kFloat, shape, qkv),
                   value = checked(value_, "value", kFloat, shape, qkv);
  at::Tensor for_qkv = at::empty(qkv.sizes(), qkv.options()), sums = at::empty({blocks, 2, h.args.size}, qkv.options());
  const TurnHeadsBackwardArgs args = {
      h.args, data(query), data(key), data(value), for_qkv.mutable_data_ptr<float>(), sums.mutable_data_ptr<float>()};
  run_rows(blocks, kSumRows * 3 * h.args.heads * h.args.size, [&](int64_t begin, int64_t end) {
    turn_heads_backward_cpu(args, begin, end);
    return kNoFailure;
  });
  const at::Tensor both = at::sum(sums, at::IntArrayRef{0});
  return {for_qkv, both.select(0, 0).clone(), both.select(0, 1).clone()};
}

int64_t half_of(const at::Tensor& x) {
  TORCH_CHECK_VALUE(x.size(-1) % 2 == 0, "gate: x must have an even last axis, got ", x.sizes());
  return x.size(-1) / 2;
}

at::Tensor gate_on_cpu(const at::Tensor& x_) {
  const at::Tensor x = rows_of(x_, "gate");
  const int64_t width = half_of(x);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = width;
  at::Tensor out = at::empty(shape, x.options());
  const GateArgs args = {data(x), nullptr, out.mutable_data_ptr<float>(), count_rows(x), width};
  run_rows(args.rows, 4 * width, [&](int64_t begin, int64_t end) {
    gate_cpu(args, begin, end);
    return kNoFailure;
  });
  return out;
}

at::Tensor gate_backward_on_cpu(const at::Tensor& grad_, const at::Tensor& x_) {
  const at::Tensor x = rows_of(x_, "gate");
  const int64_t width = half_of(x);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = width;
  const at::Tensor grad = checked(grad_, "grad", kFloat, shape, x);
  at::Tensor out = at::empty(x.sizes(), x.options());
  const GateArgs args = {data(x), data(grad), out.mutable_data_ptr<float>(), count_rows(x), width};
  run_rows(args.rows, 4 * width, [&](int64_t begin, int64_t end) {
    gate_backward_cpu(args, begin, end);
    return kNoFailure;
  });
  return out;
}

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) {
  m.impl("rms_norm", &rms_norm_on_cpu);
  m.impl("rms_norm_backward", &rms_norm_backward_on_cpu);
  m.impl("turn_heads", &turn_heads_on_cpu);
  m.impl("turn_heads_backward", &turn_heads_backward_on_cpu);
  m.impl("gate", &gate_on_cpu);
  m.impl("gate_backward", &gate_backward_on_cpu);
}

}  // namespace tokenmask
