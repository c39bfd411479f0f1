#include "tokenmask/reveal.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <cstring>
#include <memory>
#include <tuple>

#include "checks.h"
#include "tokenmask/commit.h"

namespace tokenmask {

namespace {

using Result = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>;
using Optional = std::optional<at::Tensor>;

template <typename T>
std::unique_ptr<T[]> array(int64_t size) {
  return std::unique_ptr<T[]>(new T[size]);
}

template <typename T>
std::unique_ptr<T[]> copied(const T* from, int64_t size) {
  std::unique_ptr<T[]> made = array<T>(size);
  if (size) std::memcpy(made.get(), from, size * sizeof(T));
  return made;
}

Result reveal_on_cpu(const at::Tensor& logits_in, const at::Tensor& index_in, const at::Tensor& slots_in,
                     const at::Tensor& ids_in, const at::Tensor& score_in, const at::Tensor& is_open_in,
                     const at::Tensor& count_in, const at::Tensor& counters_in, int64_t later,
                     const at::Tensor& seeds_in, double temperature, int64_t top_k, double top_p, double min_p,
                     int64_t offset, int64_t by, const Optional& noise_in, const Optional& ranks_in) {
  TORCH_CHECK_VALUE(logits_in.dim() == 2, "reveal: logits must be [N, V], got ", logits_in.sizes());
  TORCH_CHECK_VALUE(logits_in.size(1) <= INT32_MAX, "reveal: codes are int32, got ", logits_in.size(1), " of them");
  TORCH_CHECK_VALUE(slots_in.dim() == 1, "reveal: slots must be [M], got ", slots_in.sizes());
  TORCH_CHECK_VALUE(ids_in.dim() > 1 && ids_in.size(0) > 0, "reveal: ids must be [B, ...], got ", ids_in.sizes());
  TORCH_CHECK_VALUE(by >= 0 && by <= int64_t(Statistic::margin), "reveal: by must be in 0..2, got ", by);
  const at::IntArrayRef shape = ids_in.sizes();
  const int64_t many = logits_in.size(0), asked = slots_in.size(0);
  const int64_t rows = ids_in.size(0), size = ids_in.numel(), length = size / rows;
  TORCH_CHECK_VALUE(length <= INT32_MAX, "reveal: a row holds at most 2^31 - 1 slots, got ", length);
  const at::Tensor logits = logits_in.contiguous();
  const at::Tensor index = checked(index_in, "index", at::kLong, {many}, logits);
  const at::Tensor slots = checked(slots_in, "slots", at::kLong, {asked}, logits);
  const at::Tensor ids = checked(ids_in, "ids", at::kInt, shape, logits);
  const at::Tensor score = checked(score_in, "score", at::kFloat, shape, logits);
  const at::Tensor is_open = checked(is_open_in, "is_open", at::kBool, shape, logits);
  const at::Tensor count = checked(count_in, "count", at::kLong, {rows}, logits);
  const at::Tensor counters = checked(counters_in, "counters", at::kLong, shape, logits);
  const at::Tensor seeds = checked(seeds_in, "seeds", at::kLong, {rows}, logits);
  at::Tensor noise, ranks;
  if (noise_in) noise = checked(*noise_in, "noise", at::kFloat, {many}, logits);
  if (ranks_in) ranks = checked(*ranks_in, "ranks", at::kFloat, shape, logits);

  const auto where = array<int64_t>(many);
  const int64_t* answered = index.const_data_ptr<int64_t>();
  const int64_t* places = slots.const_data_ptr<int64_t>();
  const bool* open_before = is_open.const_data_ptr<bool>();
  for (int64_t i = 0; i < many; ++i) {
    TORCH_CHECK_VALUE(answered[i] >= 0 && answered[i] < asked, "reveal: index must lie in 0..", asked - 1, ", got ",
                      answered[i], "; count what is there");
    const int64_t at = where[i] = places[answered[i]];
    TORCH_CHECK_VALUE(at >= 0 && at < size, "reveal: slots must lie in 0..", size - 1, ", got ", at,
                      "; count what is there");
    TORCH_CHECK_VALUE(open_before[at], "reveal: slots must be open, got the closed one ", at,
                      "; draw codes of open ones alone");
  }

  const int32_t* before = ids.const_data_ptr<int32_t>();
  const float* known = score.const_data_ptr<float>();
  const at::Tensor found = at::empty(shape, ids.options());
  const at::Tensor still = at::empty(shape, is_open.options());
  const at::Tensor after = at::empty(shape, score.options());
  const std::unique_ptr<bool[]> chosen(new bool[ranks_in ? size : 0]());
  int64_t refused = kNoFailure;
  if (ranks_in) {  // what is revealed is known before anything is drawn
    const ChooseArgs choice = {
        ranks.const_data_ptr<float>(), open_before, count.const_data_ptr<int64_t>(), chosen.get(), rows, length};
    refused = run_rows(rows, length, [&](int64_t begin, int64_t end) { return choose_cpu(choice, begin, end); });
  }

  const auto codes = array<int32_t>(many);
  const auto logprob = array<float>(many), told = array<float>(ranks_in ? 0 : many);
  RevealArgs args = {};
  args.draws.logits = logits.const_data_ptr();
  args.draws.type = float_type(logits, "reveal: logits");
  args.draws.codes = codes.get();
  args.draws.logprob = logprob.get();
  args.draws.rows = many;
  args.draws.size = logits.size(1);
  args.draws.temperature = float(temperature);
  args.draws.guidance = 1.0f;
  args.draws.top_k = top_k;
  args.draws.top_p = top_p;
  args.draws.min_p = min_p;
  args.slots = where.get();
  args.counters = counters.const_data_ptr<int64_t>();
  args.later = later;
  args.seeds = seeds.const_data_ptr<int64_t>();
  args.count = count.const_data_ptr<int64_t>();
  args.chosen = ranks_in ? chosen.get() : nullptr;
  args.noise = data_or_null<float>(noise);
  args.by = Statistic(by);
  args.ranks = ranks_in ? nullptr : told.get();
  args.length = length;
  raise_failure(
      run_rows(many, args.draws.size, [&](int64_t begin, int64_t end) { return reveal_cpu(args, begin, end); }),
      "sample_codes", "allowed logits");
  raise_failure(refused, "commit", "confidence of open slots");

  const auto proposed = copied(before, size);
  const auto sure = copied(ranks_in ? ranks.const_data_ptr<float>() : known, size);
  for (int64_t i = 0; i < many; ++i) {
    proposed[where[i]] = int32_t(uint32_t(codes[i]) + uint32_t(offset));
    if (!ranks_in) sure[where[i]] = told[i];
  }
  const CommitArgs writes = {
      before,
      proposed.get(),
      {sure.get(), open_before, count.const_data_ptr<int64_t>(), still.mutable_data_ptr<bool>(), rows, length},
      found.mutable_data_ptr<int32_t>()};
  raise_failure(run_rows(rows, length, [&](int64_t begin, int64_t end) { return commit_cpu(writes, begin, end); }),
                "commit", "confidence of open slots");

  const bool* open = still.const_data_ptr<bool>();
  float* scores = after.mutable_data_ptr<float>();
  if (size) std::memcpy(scores, known, size * sizeof(float));
  for (int64_t i = 0; i < many; ++i) {
    if (!open[where[i]]) scores[where[i]] = logprob[i];
  }
  int64_t left = 0;
  for (int64_t i = 0; i < size; ++i) left += open[i];
  const at::Tensor rest = at::empty({left}, slots.options());
  int64_t* next = rest.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < size; ++i) {
    if (open[i]) *next++ = i;
  }
  return {found, still, after, rest};
}

}  // namespace

TORCH_LIBRARY_IMPL(tokenmask, CPU, m) { m.impl("reveal", &reveal_on_cpu); }

}  // namespace tokenmask
