// One step of plain decoding on the CPU: the kernels of sample_codes and commit with nothing but copies in between.
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <tuple>
#include <vector>

#include "checks.h"
#include "tokenmask/bound_best.h"
#include "tokenmask/commit.h"
#include "tokenmask/sample_codes.h"

namespace tokenmask {

namespace {

using Result = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>;
using Optional = std::optional<at::Tensor>;

enum Statistic : int64_t { kLogprob, kEntropy, kMargin };

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

// Of the best codes of `many` slots, those whose slot can be among the `count` surest of its row, in order. Empty where
// all must be looked at: most slots are revealed, some open slot is not asked or one is asked twice, or something is bad,
// which is then told as ever. What is left out lies below as many others as are revealed, whatever was rounded.
std::vector<int64_t> can_be_revealed(const float* logits, int64_t size, const float* noise, const int64_t* where,
                                     int64_t many, const bool* is_open, const int64_t* count, int64_t rows,
                                     int64_t length) {
  std::vector<int64_t> ends(rows + 1, 0);
  for (int64_t i = 0; i < rows * length; ++i) ends[i / length + 1] += is_open[i];
  int64_t revealed = 0;
  for (int64_t row = 0; row < rows; ++row) {
    revealed += std::clamp<int64_t>(count[row], 0, ends[row + 1]);
    ends[row + 1] += ends[row];
  }
  if (ends[rows] != many || 2 * revealed > many || size > kMostBounded) return {};
  std::vector<bool> seen(rows * length, false);
  for (int64_t i = 0; i < many; ++i) {
    if (!is_open[where[i]] || seen[where[i]] || (noise && !std::isfinite(noise[i]))) return {};
    seen[where[i]] = true;
  }
  const auto about = array<float>(many);
  const BoundBestArgs args = {logits, about.get(), many, size};
  const int64_t failed =
      run_rows(many, size, [&](int64_t begin, int64_t end) { return bound_best_cpu(args, begin, end); });
  if (failed != kNoFailure) return {};

  const auto rank = [&](int64_t i, float bound) { return noise ? about[i] + bound + noise[i] : about[i] + bound; };
  std::vector<float> least(many), others(rows);  // of each row: the ranks that its slots have at the least
  std::vector<int64_t> next(ends.begin(), ends.end() - 1);
  for (int64_t i = 0; i < many; ++i) least[next[where[i] / length]++] = rank(i, -kBoundOfBest);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t most = std::clamp<int64_t>(count[row], 0, ends[row + 1] - ends[row]);
    const auto first = least.begin() + ends[row], last = least.begin() + ends[row + 1];
    if (most) std::nth_element(first, first + (most - 1), last, std::greater<float>());
    others[row] = most ? first[most - 1] : kInfinity;
  }
  std::vector<int64_t> found;
  for (int64_t i = 0; i < many; ++i) {
    if (rank(i, kBoundOfBest) >= others[where[i] / length]) found.push_back(i);
  }
  return found;
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
  TORCH_CHECK_VALUE(by >= kLogprob && by <= kMargin, "reveal: by must be in 0..2, got ", by);
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

  const auto where = array<int64_t>(many), keys = array<int64_t>(many), own_seeds = array<int64_t>(many);
  const int64_t* answered = index.const_data_ptr<int64_t>();
  const int64_t* places = slots.const_data_ptr<int64_t>();
  const int64_t* counted = counters.const_data_ptr<int64_t>();
  const int64_t* seeded = seeds.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < many; ++i) {
    TORCH_CHECK_VALUE(answered[i] >= 0 && answered[i] < asked, "reveal: index must lie in 0..", asked - 1, ", got ",
                      answered[i], "; count what is there");
    const int64_t at = where[i] = places[answered[i]];
    TORCH_CHECK_VALUE(at >= 0 && at < size, "reveal: slots must lie in 0..", size - 1, ", got ", at,
                      "; count what is there");
    keys[i] = int64_t(uint64_t(counted[at]) + uint64_t(later));
    own_seeds[i] = seeded[at / length];
  }

  const bool by_entropy = by == kEntropy && !ranks_in;
  const auto codes = array<int32_t>(many);
  const auto logprob = array<float>(many), margin = array<float>(many), entropy = array<float>(by_entropy ? many : 0);
  SampleCodesArgs draws = {};
  draws.logits = logits.const_data_ptr();
  draws.type = float_type(logits, "reveal: logits");
  draws.counters = keys.get();
  draws.seeds = own_seeds.get();
  draws.codes = codes.get();
  draws.logprob = logprob.get();
  draws.entropy = by_entropy ? entropy.get() : nullptr;
  draws.margin = margin.get();
  draws.rows = many;
  draws.size = logits.size(1);
  draws.temperature = float(temperature);
  draws.guidance = 1.0f;
  draws.top_k = top_k;
  draws.top_p = top_p;
  draws.min_p = min_p;
  const float* more = data_or_null<float>(noise);
  std::vector<int64_t> few;
  if (temperature == 0.0 && by == kLogprob && !ranks_in && draws.type == FloatType::float32) {
    few = can_be_revealed(logits.const_data_ptr<float>(), draws.size, more, where.get(), many,
                          is_open.const_data_ptr<bool>(), count.const_data_ptr<int64_t>(), rows, length);
  }
  if (few.empty()) {
    raise_failure(
        run_rows(many, draws.size, [&](int64_t begin, int64_t end) { return sample_codes_cpu(draws, begin, end); }),
        "sample_codes", "allowed logits");
  } else {
    std::fill_n(codes.get(), many, 0);
    std::fill_n(logprob.get(), many, -kInfinity);  // below all that are revealed
    run_rows(int64_t(few.size()), draws.size, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) sample_codes_cpu(draws, few[i], few[i] + 1);
      return kNoFailure;
    });
  }

  const int32_t* before = ids.const_data_ptr<int32_t>();
  const float* known = score.const_data_ptr<float>();
  const auto proposed = copied(before, size);
  const auto sure = copied(ranks_in ? ranks.const_data_ptr<float>() : known, size);
  for (int64_t i = 0; i < many; ++i) {
    proposed[where[i]] = int32_t(uint32_t(codes[i]) + uint32_t(offset));
    if (ranks_in) continue;
    const float told = by == kLogprob ? logprob[i] : (by == kEntropy ? -entropy[i] : margin[i]);
    sure[where[i]] = more ? told + more[i] : told;
  }
  const at::Tensor found = at::empty(shape, ids.options());
  const at::Tensor still = at::empty(shape, is_open.options());
  const at::Tensor after = at::empty(shape, score.options());
  const CommitArgs writes = {before,
                             proposed.get(),
                             {sure.get(), is_open.const_data_ptr<bool>(), count.const_data_ptr<int64_t>(),
                              still.mutable_data_ptr<bool>(), rows, length},
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
