#include "tokenmask/cache.h"

#include <torch/library.h>

#include "checks.h"
#include "late_failure.h"

namespace tokenmask {

namespace {

using Optional = std::optional<at::Tensor>;

CacheType cache_type(const at::Tensor& tensor, const char* op) {
  const auto type = tensor.scalar_type();
  if (tensor.device().is_cpu()) {
    TORCH_CHECK_TYPE(type == at::kFloat, op, ": on the CPU vectors must be float32, got ", type);
  }
  TORCH_CHECK_TYPE(type == at::kFloat || type == at::kBFloat16 || type == at::kHalf, op,
                   ": vectors must be float32, bfloat16 or float16, got ", type);
  if (type == at::kFloat) return CacheType::float32;
  return type == at::kHalf ? CacheType::float16 : CacheType::bfloat16;
}

// Keys and values are used where they are, so they must lie as the kernels expect.
void check_cache(const at::Tensor& keys, const at::Tensor& values, int64_t heads, int64_t size,
                 const at::Tensor& like) {
  TORCH_CHECK_VALUE(values.dim() == 4 && values.size(2) % kTile == 0, "values must be [B, H, T, D], T a multiple of ",
                    kTile, ", got ", values.sizes());
  const int64_t rows = values.size(0), total = values.size(2);
  TORCH_CHECK_VALUE(size <= kMostSize, "a head may have at most ", kMostSize, " components, got ", size);
  TORCH_CHECK_VALUE(keys.is_contiguous() && values.is_contiguous(), "keys and values must be contiguous");
  checked(values, "values", like.scalar_type(), {rows, heads, total, size}, like);
  checked(keys, "keys", like.scalar_type(), {rows, heads, total / kTile, size, kTile}, like);
}

// That splits rise from 0 to the number of positions. On CUDA the kernels look, because the host would have to wait.
void check_splits(const at::Tensor& row_splits, int64_t count, const char* op) {
  const auto* ends = row_splits.const_data_ptr<int64_t>();
  bool rises = ends[0] == 0 && ends[row_splits.numel() - 1] == count;
  for (int64_t b = 1; b < row_splits.numel(); ++b) rises = rises && ends[b] >= ends[b - 1];
  TORCH_CHECK_VALUE(rises, op, ": row_splits must rise from 0 to M = ", count, ", got others; make them with cumsum");
}

// A cache without rows has no place for positions.
void check_rows(int64_t rows, int64_t count, const char* op) {
  TORCH_CHECK_VALUE(rows > 0 || count == 0, op, ": row_splits must rise from 0 to M = ", count,
                    ", got those of a cache without rows; give the cache a row");
}

void check_bounds(const at::Tensor& numbers, int64_t below, const char* op, const char* what, const char* where,
                  const char* cure) {
  const auto* values = numbers.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < numbers.numel(); ++i) {
    TORCH_CHECK_VALUE(values[i] >= 0 && values[i] < below, op, ": ", what, " must lie in 0..", below - 1,
                      ", got another ", where, " ", i, "; ", cure);
  }
}

struct Rotation {
  at::Tensor qkv, query_weight, key_weight, cos, sin, query_cos, query_sin, row_splits, slots, query;
  RotateAndStoreArgs args = {};
};

Rotation prepare_rotation(const at::Tensor& qkv, const at::Tensor& query_weight, const at::Tensor& key_weight,
                          const at::Tensor& cos, const at::Tensor& sin, const Optional& query_cos,
                          const Optional& query_sin, const at::Tensor& row_splits, const at::Tensor& slots,
                          const at::Tensor& keys, const at::Tensor& values, double eps) {
  constexpr const char* op = "rotate_and_store";
  TORCH_CHECK_VALUE(qkv.dim() == 4 && qkv.size(1) == 3 && qkv.size(3) % 2 == 0,
                    "rotate_and_store: qkv must be [M, 3, H, D] with an even D, got ", qkv.sizes());
  const int64_t count = qkv.size(0), heads = qkv.size(2), size = qkv.size(3);
  Rotation r;
  r.args.type = cache_type(qkv, op);
  check_cache(keys, values, heads, size, qkv);
  r.qkv = qkv.contiguous();
  r.query_weight = checked(query_weight, "query_weight", qkv.scalar_type(), {size}, qkv);
  r.key_weight = checked(key_weight, "key_weight", qkv.scalar_type(), {size}, qkv);
  r.cos = checked(cos, "cos", at::kFloat, {count, size}, qkv);
  r.sin = checked(sin, "sin", at::kFloat, {count, size}, qkv);
  TORCH_CHECK_VALUE(query_cos.has_value() == query_sin.has_value(), op,
                    ": give both query_cos and query_sin or neither");
  r.query_cos = query_cos ? checked(*query_cos, "query_cos", at::kFloat, {count, size}, qkv) : r.cos;
  r.query_sin = query_sin ? checked(*query_sin, "query_sin", at::kFloat, {count, size}, qkv) : r.sin;
  r.row_splits = checked(row_splits, "row_splits", at::kLong, {values.size(0) + 1}, qkv);
  r.slots = checked(slots, "slots", at::kLong, {count}, qkv);
  check_rows(values.size(0), count, op);
  r.query = at::empty({count, heads, size}, qkv.options());
  r.args.qkv = r.qkv.const_data_ptr();
  r.args.query_weight = r.query_weight.const_data_ptr();
  r.args.key_weight = r.key_weight.const_data_ptr();
  r.args.cos = r.cos.const_data_ptr<float>();
  r.args.sin = r.sin.const_data_ptr<float>();
  r.args.query_cos = r.query_cos.const_data_ptr<float>();
  r.args.query_sin = r.query_sin.const_data_ptr<float>();
  r.args.row_splits = r.row_splits.const_data_ptr<int64_t>();
  r.args.slots = r.slots.const_data_ptr<int64_t>();
  r.args.keys = keys.mutable_data_ptr();
  r.args.values = values.mutable_data_ptr();
  r.args.query = r.query.mutable_data_ptr();
  r.args.count = count;
  r.args.rows = values.size(0);
  r.args.heads = heads;
  r.args.size = size;
  r.args.total = values.size(2);
  r.args.eps = float(eps);
  return r;
}

at::Tensor rotate_and_store_on_cpu(const at::Tensor& qkv, const at::Tensor& query_weight, const at::Tensor& key_weight,
                                   const at::Tensor& cos, const at::Tensor& sin, const Optional& query_cos,
                                   const Optional& query_sin, const at::Tensor& row_splits, const at::Tensor& slots,
                                   at::Tensor keys, at::Tensor values, double eps) {
  const Rotation r = prepare_rotation(qkv, query_weight, key_weight, cos, sin, query_cos, query_sin, row_splits, slots,
                                      keys, values, eps);
  check_splits(r.row_splits, r.args.count, "rotate_and_store");
  check_bounds(r.slots, r.args.total, "rotate_and_store", "slots", "at position", "make the cache larger");
  const int64_t units = r.args.rows * r.args.heads;
  const int64_t work = 3 * r.args.count * r.args.size / std::max<int64_t>(1, r.args.rows);  // of one unit
  at::parallel_for(0, units, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, work)),
                   [&](int64_t begin, int64_t end) { rotate_and_store_cpu(r.args, begin, end); });
  return r.query;
}

struct Attention {
  at::Tensor query, row_splits, lengths, allowed, out;
  AttendCachedArgs args = {};
};

Attention prepare_attention(const at::Tensor& query, const at::Tensor& row_splits, const at::Tensor& keys,
                            const at::Tensor& values, const at::Tensor& lengths, const Optional& allowed) {
  constexpr const char* op = "attend_cached";
  TORCH_CHECK_VALUE(query.dim() == 3, "attend_cached: query must be [M, H, D], got ", query.sizes());
  const int64_t count = query.size(0), heads = query.size(1), size = query.size(2);
  Attention a;
  a.args.type = cache_type(query, op);
  check_cache(keys, values, heads, size, query);
  const int64_t rows = values.size(0), total = values.size(2);
  a.query = query.contiguous();
  a.row_splits = checked(row_splits, "row_splits", at::kLong, {rows + 1}, query);
  a.lengths = checked(lengths, "lengths", at::kLong, {rows}, query);
  if (allowed) a.allowed = checked(*allowed, "allowed", at::kBool, {count, total}, query);
  check_rows(rows, count, op);
  a.out = at::empty({count, heads, size}, query.options());
  a.args.query = a.query.const_data_ptr();
  a.args.row_splits = a.row_splits.const_data_ptr<int64_t>();
  a.args.keys = keys.const_data_ptr();
  a.args.values = values.const_data_ptr();
  a.args.lengths = a.lengths.const_data_ptr<int64_t>();
  a.args.allowed = data_or_null<bool>(a.allowed);
  a.args.out = a.out.mutable_data_ptr();
  a.args.count = count;
  a.args.rows = rows;
  a.args.heads = heads;
  a.args.size = size;
  a.args.total = total;
  return a;
}

at::Tensor attend_cached_on_cpu(const at::Tensor& query, const at::Tensor& row_splits, const at::Tensor& keys,
                                const at::Tensor& values, const at::Tensor& lengths, const Optional& allowed) {
  const Attention a = prepare_attention(query, row_splits, keys, values, lengths, allowed);
  check_splits(a.row_splits, a.args.count, "attend_cached");
  check_bounds(a.lengths, a.args.total + 1, "attend_cached", "lengths", "in row", "count the slots in use");
  const int64_t units = a.args.rows * a.args.heads;
  const int64_t work = a.args.count * a.args.total * a.args.size / std::max<int64_t>(1, a.args.rows);  // of one unit
  at::parallel_for(0, units, std::max<int64_t>(1, 65536 / std::max<int64_t>(1, work)),
                   [&](int64_t begin, int64_t end) { attend_cached_cpu(a.args, begin, end); });
  return a.out;
}

#ifdef TOKENMASK_WITH_CUDA
at::Tensor rotate_and_store_on_cuda(const at::Tensor& qkv, const at::Tensor& query_weight, const at::Tensor& key_weight,
                                    const at::Tensor& cos, const at::Tensor& sin, const Optional& query_cos,
                                    const Optional& query_sin, const at::Tensor& row_splits, const at::Tensor& slots,
                                    at::Tensor keys, at::Tensor values, double eps) {
  const c10::cuda::CUDAGuard guard(qkv.device());
  const Rotation r = prepare_rotation(qkv, query_weight, key_weight, cos, sin, query_cos, query_sin, row_splits, slots,
                                      keys, values, eps);
  rotate_and_store_cuda(r.args, before_launch(Op::rotate_and_store), current_stream());
  after_launch(Op::rotate_and_store);
  return r.query;
}

at::Tensor attend_cached_on_cuda(const at::Tensor& query, const at::Tensor& row_splits, const at::Tensor& keys,
                                 const at::Tensor& values, const at::Tensor& lengths, const Optional& allowed) {
  const c10::cuda::CUDAGuard guard(query.device());
  const Attention a = prepare_attention(query, row_splits, keys, values, lengths, allowed);
  attend_cached_cuda(a.args, before_launch(Op::attend_cached), current_stream());
  after_launch(Op::attend_cached);
  return a.out;
}
#endif

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) {
  m.impl("rotate_and_store", &rotate_and_store_on_cpu);
  m.impl("attend_cached", &attend_cached_on_cpu);
}
#ifdef TOKENMASK_WITH_CUDA
TORCH_LIBRARY_IMPL(tokenmask, CUDA, m) {
  m.impl("rotate_and_store", &rotate_and_store_on_cuda);
  m.impl("attend_cached", &attend_cached_on_cuda);
}
#endif

}  // namespace tokenmask
