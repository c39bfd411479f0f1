// The CUDA kernels in the form of one more set of CPU kernels, so that what tests these tests them too, emulated or on
// a GPU. A call runs all rows, at its last part: kernels of a GPU have no parts.
#ifdef EMULATED
#include "cuda_runtime.h"
#else
#include <cuda_runtime_api.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <vector>

#include "cpu/dispatch.h"

namespace tokenmask {

namespace {

void require(const char* op, cudaError_t error) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", op, cudaGetErrorString(error));
  std::abort();
}

#ifdef EMULATED
void finish(const char* op) { require(op, cudaGetLastError()); }
#else
void finish(const char* op) {
  require(op, cudaGetLastError());
  require(op, cudaDeviceSynchronize());
}
#endif

// An array of a host where a kernel can use it, of its exact size; what it wrote is back when this goes.
template <typename T>
class OnDevice {
 public:
  OnDevice(T* host, int64_t count) : host_(host), bytes_(host ? count * int64_t(sizeof(T)) : 0) {
#ifdef EMULATED
    device_ = host;
#else
    if (!host) return;
    require("cudaMalloc", cudaMalloc(&device_, bytes_ ? bytes_ : 1));
    require("cudaMemcpy", cudaMemcpy(device_, host, bytes_, cudaMemcpyHostToDevice));
#endif
  }
  ~OnDevice() {
#ifndef EMULATED
    if constexpr (!std::is_const_v<T>) {
      if (bytes_) require("cudaMemcpy", cudaMemcpy(host_, device_, bytes_, cudaMemcpyDeviceToHost));
    }
    if (host_) cudaFree(device_);
#endif
  }
  OnDevice(const OnDevice&) = delete;
  operator T*() const { return static_cast<T*>(device_); }

 private:
  T* host_;
  int64_t bytes_;
#ifdef EMULATED
  T* device_ = nullptr;
#else
  void* device_ = nullptr;
#endif
};

template <typename T>
OnDevice(T*, int64_t) -> OnDevice<T>;

OnDevice<const char> bytes_of(const void* host, int64_t count, int64_t size) {
  return {static_cast<const char*>(host), count * size};
}
OnDevice<char> bytes_of(void* host, int64_t count, int64_t size) { return {static_cast<char*>(host), count * size}; }

// Runs with a place for a failure and returns the one that it holds.
template <typename Launch>
int64_t with_failure(const char* op, const Launch& launch) {
  int64_t words[2] = {kNoFailure, 0};
  {
    const OnDevice late(words, 2);
    launch(LateFailure{late});
    finish(op);
  }
  return words[0];
}

// The same where the CPU kernels cannot fail.
template <typename Launch>
void without_failure(const char* op, const Launch& launch) {
  const int64_t failed = with_failure(op, launch);
  if (failed == kNoFailure) return;
  std::fprintf(stderr, "%s: failure %lld\n", op, static_cast<long long>(failed));
  std::abort();
}

int64_t choose(const ChooseArgs& on_host, int64_t, int64_t) {
  ChooseArgs args = on_host;
  const int64_t size = args.batch * args.length;
  const OnDevice scores(args.scores, size);
  const OnDevice is_open(args.is_open, size);
  const OnDevice count(args.count, args.batch);
  const OnDevice chosen(args.chosen, size);
  args = {scores, is_open, count, chosen, args.batch, args.length};
  return with_failure("choose", [&](const LateFailure& late) { choose_cuda(args, late, nullptr); });
}

int64_t commit(const CommitArgs& on_host, int64_t, int64_t) {
  CommitArgs args = on_host;
  const int64_t size = args.choice.batch * args.choice.length;
  const OnDevice ids(args.ids, size), proposed(args.proposed, size);
  const OnDevice scores(args.choice.scores, size);
  const OnDevice is_open(args.choice.is_open, size);
  const OnDevice count(args.choice.count, args.choice.batch);
  const OnDevice chosen(args.choice.chosen, size);
  const OnDevice out(args.out, size);
  args = {ids, proposed, {scores, is_open, count, chosen, args.choice.batch, args.choice.length}, out};
  return with_failure("commit", [&](const LateFailure& late) { commit_cuda(args, late, nullptr); });
}

// As csrc/torch/mask_tokens.cpp runs it. Only the first launch knows the counts, and the caller's offsets must agree.
int64_t mask_tokens(const MaskTokensArgs& on_host, int64_t, int64_t) {
  MaskTokensArgs args = on_host;
  const int64_t batch = args.batch, length = args.length, size = batch * length, listed = args.offsets[batch];
  const int64_t ids_of_masks = args.mask_ids_stride ? size : length, ranges = args.random_stride ? size : length;
  std::vector<int64_t> counts_here(batch + 1, -1);
  const OnDevice ids(args.ids, size), mask_ids(args.mask_ids, ids_of_masks);
  const OnDevice low(args.random_low, ranges), high(args.random_high, ranges);
  const OnDevice maskable(args.maskable, size);
  const OnDevice count(args.count, batch), samples(args.sample_ids, batch), offsets(args.offsets, batch + 1);
  const OnDevice scores(args.scores, size);
  const OnDevice corrupted(args.corrupted, size), targets(args.targets, listed);
  const OnDevice slots(args.slots, listed);
  args.ids = ids, args.mask_ids = mask_ids, args.random_low = low, args.random_high = high, args.maskable = maskable;
  args.count = count, args.sample_ids = samples, args.offsets = offsets, args.scores = scores;
  args.corrupted = corrupted, args.targets = targets, args.slots = slots;
  {
    const OnDevice counts(counts_here.data(), batch + 1);
    mask_tokens_count_cuda(args, counts, nullptr);
    finish("mask_tokens");
  }
  if (counts_here[0] != 0) return -1;
  for (int64_t row = 0; row < batch; ++row) {
    if (counts_here[row + 1] != on_host.offsets[row + 1] - on_host.offsets[row]) return -1;
  }
  return with_failure("mask_tokens", [&](const LateFailure& late) { mask_tokens_write_cuda(args, late, nullptr); });
}

int64_t size_of(FloatType type) { return type == FloatType::float32 ? 4 : 2; }
int64_t size_of(CacheType type) { return type == CacheType::float32 ? 4 : 2; }

int64_t sample_codes(const SampleCodesArgs& on_host, int64_t, int64_t) {
  SampleCodesArgs args = on_host;
  const int64_t rows = args.rows, size = rows * args.size;
  const auto logits = bytes_of(args.logits, size, size_of(args.type)),
             uncond = bytes_of(args.uncond, size, size_of(args.type));
  const OnDevice allowed(args.allowed, args.allowed_stride ? size : args.size);
  const OnDevice counters(args.counters, rows), seeds(args.seeds, rows);
  const OnDevice temperatures(args.temperatures, rows), guidances(args.guidances, rows);
  const OnDevice codes(args.codes, rows);
  const OnDevice logprob(args.logprob, rows), entropy(args.entropy, rows), margin(args.margin, rows);
  args.logits = static_cast<const char*>(logits), args.uncond = static_cast<const char*>(uncond),
  args.allowed = allowed;
  args.counters = counters, args.seeds = seeds, args.temperatures = temperatures, args.guidances = guidances;
  args.codes = codes, args.logprob = logprob, args.entropy = entropy, args.margin = margin;
  return with_failure("sample_codes", [&](const LateFailure& late) { sample_codes_cuda(args, late, nullptr); });
}

void uniform(const UniformArgs& on_host, int64_t, int64_t) {
  UniformArgs args = on_host;
  const OnDevice counters(args.counters, args.size), seeds(args.seeds, args.size);
  const OnDevice out(args.out, args.size);
  args.counters = counters, args.seeds = seeds, args.out = out;
  uniform_cuda(args, nullptr);
  finish("uniform");
}

int64_t embed_codes(const EmbedCodesArgs& on_host, int64_t, int64_t) {
  EmbedCodesArgs args = on_host;
  const OnDevice ids(args.ids, args.positions * args.levels);
  const auto table = bytes_of(args.table, args.table_rows * args.width, size_of(args.type));
  const auto out = bytes_of(args.out, args.positions * args.width, size_of(args.type));
  args.ids = ids, args.table = static_cast<const char*>(table), args.out = static_cast<char*>(out);
  return with_failure("embed_codes", [&](const LateFailure& late) { embed_codes_cuda(args, late, nullptr); });
}

void embed_codes_backward(const EmbedCodesBackwardArgs& on_host, int64_t, int64_t) {
  EmbedCodesBackwardArgs args = on_host;
  const int64_t listed = args.starts[args.table_rows];
  int64_t positions = 0;
  for (int64_t i = 0; i < listed; ++i) positions = std::max(positions, args.entries[i] / args.levels + 1);
  const auto grad = bytes_of(args.grad, positions * args.width, size_of(args.type));
  const OnDevice starts(args.starts, args.table_rows + 1), entries(args.entries, listed);
  const auto out = bytes_of(args.out, args.table_rows * args.width, size_of(args.type));
  args.grad = static_cast<const char*>(grad), args.starts = starts, args.entries = entries,
  args.out = static_cast<char*>(out);
  without_failure("embed_codes_backward",
                  [&](const LateFailure& late) { embed_codes_backward_cuda(args, listed, late, nullptr); });
}

constexpr int64_t kPanel = 4;

int64_t panel() { return kPanel; }

int64_t pack(const QuantizeResidualArgs& args, int64_t begin, int64_t end) {
  const int64_t stride = padded_codes(args.codes);
  for (int64_t at = begin * kPanel; at < end * kPanel; ++at) {
    const int64_t level = at / stride, code = at % stride;
    for (int64_t d = 0; d < args.width; ++d) {
      args.packed[(level * args.width + d) * stride + code] =
          code < args.codes ? args.codebooks[(level * args.codes + code) * args.width + d] : 0.0f;
    }
  }
  return kNoFailure;
}

int64_t quantize_residual(const QuantizeResidualArgs& on_host, int64_t, int64_t) {
  QuantizeResidualArgs args = on_host;
  const int64_t book = args.levels * args.codes;
  const OnDevice x(args.x, args.rows * args.width), codebooks(args.codebooks, book * args.width);
  const OnDevice packed(args.packed, args.levels * padded_codes(args.codes) * args.width), biases(args.biases, book),
      quantized(args.quantized, args.rows * args.width);
  const OnDevice codes(args.out_codes, args.rows * args.levels);
  args.x = x, args.codebooks = codebooks, args.packed = packed, args.biases = biases, args.quantized = quantized,
  args.out_codes = codes;
  const int64_t tiles = (args.rows + kMostRowsOfTile - 1) / kMostRowsOfTile;
  std::vector<float> rest_here(tiles * kMostRowsOfTile * args.width);
  const OnDevice rest(rest_here.data(), int64_t(rest_here.size()));
  args.rest = rest;
  std::vector<float> largest_here(args.levels);
  const OnDevice largest(largest_here.data(), args.levels);
  const OnDevice parts(args.parts, 2 * book * padded_width(args.width));
  const OnDevice counted(args.counted, 2);
  args.parts = parts, args.counted = counted, args.largest = largest;
  const int64_t failed =
      with_failure("quantize_residual", [&](const LateFailure& late) { quantize_residual_cuda(args, late, nullptr); });
  return failed >= kAfterCodebooks && failed != kNoFailure ? failed - kAfterCodebooks : failed;
}

void rotate_and_store(const RotateAndStoreArgs& on_host, int64_t, int64_t end) {
  RotateAndStoreArgs args = on_host;
  if (end != args.rows * args.heads) return;
  const int64_t each = size_of(args.type), vectors = args.count * args.heads,
                cache = args.rows * args.heads * args.total * args.size;
  const auto qkv = bytes_of(args.qkv, 3 * vectors * args.size, each);
  const auto query_weight = bytes_of(args.query_weight, args.size, each),
             key_weight = bytes_of(args.key_weight, args.size, each);
  const OnDevice cos(args.cos, args.count * args.size), sin(args.sin, args.count * args.size);
  const OnDevice query_cos(args.query_cos, args.count * args.size), query_sin(args.query_sin, args.count * args.size);
  const OnDevice splits(args.row_splits, args.rows + 1), slots(args.slots, args.count);
  const auto keys = bytes_of(args.keys, cache, each), values = bytes_of(args.values, cache, each),
             query = bytes_of(args.query, vectors * args.size, each);
  args.qkv = static_cast<const char*>(qkv), args.query_weight = static_cast<const char*>(query_weight);
  args.key_weight = static_cast<const char*>(key_weight), args.cos = cos, args.sin = sin, args.query_cos = query_cos;
  args.query_sin = query_sin, args.row_splits = splits, args.slots = slots, args.keys = static_cast<char*>(keys);
  args.values = static_cast<char*>(values), args.query = static_cast<char*>(query);
  without_failure("rotate_and_store", [&](const LateFailure& late) { rotate_and_store_cuda(args, late, nullptr); });
}

void attend_cached(const AttendCachedArgs& on_host, int64_t, int64_t end) {
  AttendCachedArgs args = on_host;
  if (end != args.rows * args.heads) return;
  const int64_t each = size_of(args.type), vectors = args.count * args.heads,
                cache = args.rows * args.heads * args.total * args.size;
  const auto query = bytes_of(args.query, vectors * args.size, each), keys = bytes_of(args.keys, cache, each),
             values = bytes_of(args.values, cache, each);
  const OnDevice splits(args.row_splits, args.rows + 1), lengths(args.lengths, args.rows);
  const OnDevice allowed(args.allowed, args.count * args.total);
  const auto out = bytes_of(args.out, vectors * args.size, each);
  args.query = static_cast<const char*>(query), args.keys = static_cast<const char*>(keys),
  args.values = static_cast<const char*>(values);
  args.row_splits = splits, args.lengths = lengths, args.allowed = allowed, args.out = static_cast<char*>(out);
  without_failure("attend_cached", [&](const LateFailure& late) { attend_cached_cuda(args, late, nullptr); });
}

}  // namespace

extern const CpuKernels kCudaKernels;
const CpuKernels kCudaKernels = {
    "cuda",
    choose,
    commit,
    mask_tokens_count,
    mask_tokens,
    sample_codes,
    uniform,
    embed_codes,
    embed_codes_backward,
    panel,
    pack,
    quantize_residual,
    rotate_and_store,
    attend_cached,
    nullptr,  // what stands between the products of a block, and bound_best, is on the CPU alone
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr,
    nullptr};

}  // namespace tokenmask
