// sample_codes, and the bound of the best codes.
#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "checks.h"

// A plain reading of the steps in tokenmask/ops/sample_codes.py, for one row.
static int32_t sampled(const SampleCodesArgs& args, int64_t row, const std::vector<float>& z) {
  std::vector<int64_t> order(z.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return z[a] > z[b]; });
  if (args.temperature == 0.0f) return int32_t(order[0]);
  std::vector<int64_t> weights(z.size(), 0);
  int64_t rank = 0, left = 0, mass = 0;
  for (int64_t code : order) {
    if (args.top_k <= 0 || rank++ < args.top_k) weights[code] = weight((z[code] - z[order[0]]) / args.temperature);
    left += weights[code];
  }
  const int64_t needed = args.top_p < 1.0 ? share_of(args.top_p, left) : left;
  for (int64_t code : order) {
    const int64_t own = weights[code];
    if (mass >= needed || (args.min_p > 0.0 && own < share_of(args.min_p, kFullWeight))) weights[code] = 0;
    mass += own;
  }
  int64_t target = draw_below(args, row, std::accumulate(weights.begin(), weights.end(), int64_t{0}));
  int32_t code = 0;
  while (target >= weights[code]) target -= weights[code++];
  return code;
}

template <FloatType type>
void check_sample_codes(int64_t rows, int64_t size, int64_t top_k, double top_p, double min_p, float temperature) {
  using Stored = std::conditional_t<type == FloatType::float32, float, uint16_t>;
  Array<Stored> logits(rows * size), uncond(rows * size);
  Array<bool> allowed(size);
  Array<int64_t> counters(rows);
  for (int64_t i = 0; i < rows * size; ++i) {
    float value = 3 * score(i / size);
    if (!(value < 6e4f)) value = 2.0f;  // the largest half is 65504
    store_float<type>(logits.get(), i, value);
    store_float<type>(uncond.get(), i, normal());
  }
  for (int64_t i = 0; i < size; ++i) allowed[i] = below(3) != 0;
  for (int64_t row = 0; row < rows; ++row) {
    counters[row] = below(1 << 30);
    if (size) store_float<type>(logits.get(), row * size, 0.5f);
  }
  if (size) allowed[0] = true;
  for (int guided_too = 0; guided_too < 2; ++guided_too) {
    SampleCodesArgs args = {};
    args.logits = logits.get();
    args.type = type;
    args.counters = counters.get();
    args.rows = rows;
    args.size = size;
    args.seed = 7;
    args.temperature = temperature;
    args.top_k = top_k;
    args.top_p = top_p;
    args.min_p = min_p;
    if (guided_too) {
      args.uncond = uncond.get();
      args.guidance = 1.5f;
      args.allowed = allowed.get();
    }
    std::vector<Array<float>> known;
    for (const CpuKernels* kernels : kernel_sets()) {
      Array<int32_t> codes(rows);
      Array<float> logprob(rows), entropy(rows), margin(rows);
      args.codes = codes.get();
      args.logprob = logprob.get();
      args.entropy = entropy.get();
      args.margin = margin.get();
      const int64_t failed = kernels->sample_codes(args, 0, rows);
      if (size == 0) {
        require(rows == 0 || failed == failure(0, Reason::nothing_allowed), "sample_codes", kernels->name);
        continue;
      }
      require(failed == kNoFailure, "sample_codes", kernels->name);
      for (int64_t row = 0; row < rows; ++row) {
        std::vector<float> z(size);
        for (int64_t i = 0; i < size; ++i) {
          z[i] = load_float<type>(logits.get(), row * size + i);
          if (guided_too) z[i] = guided(z[i], load_float<type>(uncond.get(), row * size + i), args.guidance);
          if (guided_too && !allowed[i]) z[i] = -kInfinity;
        }
        require(codes[row] == sampled(args, row, z), "sample_codes", kernels->name);
      }
      if (known.empty()) {
        for (Array<float>* each : {&logprob, &entropy, &margin}) known.push_back(std::move(*each));
      } else {
        require(logprob == known[0] && entropy == known[1] && margin == known[2], "statistics of sample_codes",
                kernels->name);
      }
      if (std::string(kernels->name) == "cuda") continue;
      Array<int32_t> again(rows);
      Array<float> sure(rows), gap(rows);
      args.codes = again.get();
      args.logprob = sure.get();
      args.entropy = nullptr;
      args.margin = gap.get();
      require(
          kernels->sample_codes(args, 0, rows) == kNoFailure && again == codes && sure == known[0] && gap == known[2],
          "sample_codes without entropy", kernels->name);
    }
  }
}

template void check_sample_codes<FloatType::float32>(int64_t, int64_t, int64_t, double, double, float);
template void check_sample_codes<FloatType::bfloat16>(int64_t, int64_t, int64_t, double, double, float);
template void check_sample_codes<FloatType::float16>(int64_t, int64_t, int64_t, double, double, float);

// What sample_codes says at temperature 0, and where it fails.
void check_bound_best(int64_t rows, int64_t size) {
  Array<float> logits(rows * size), about(rows), logprob(rows), margin(rows);
  Array<int32_t> codes(rows);
  Array<int64_t> counters(rows);
  const float scale = below(2) ? 3.0f : 40.0f, far = below(2) ? 0.0f : 1e4f;
  for (int64_t i = 0; i < rows * size; ++i) logits[i] = scale * score(below(4) ? 0 : i / size) + far;
  for (int64_t row = 0; row < rows; ++row) logits[row * size + below(size)] = far;
  if (below(4) == 0) logits[below(rows * size)] = below(2) ? kInfinity : std::numeric_limits<float>::quiet_NaN();
  SampleCodesArgs draws = {};
  draws.logits = logits.get();
  draws.counters = counters.get();
  draws.rows = rows;
  draws.size = size;
  draws.codes = codes.get();
  draws.logprob = logprob.get();
  draws.margin = margin.get();
  const BoundBestArgs args = {logits.get(), about.get(), rows, size};
  for (const CpuKernels* kernels : kernel_sets()) {
    if (!kernels->bound_best) continue;  // on the CPU alone
    const int64_t failed = kernels->sample_codes(draws, 0, rows);
    require(kernels->bound_best(args, 0, rows) == failed, "the failure of bound_best", kernels->name);
    for (int64_t row = 0; failed == kNoFailure && row < rows; ++row) {
      require(std::fabs(about[row] - logprob[row]) <= kBoundOfBest / 10, "bound_best", kernels->name);
    }
  }
}
