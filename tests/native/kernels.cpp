// The CPU kernels without torch, for sanitizers: `make sanitize`. Every instruction set that the processor has
// must give the results of a plain reading of the headers, on buffers that end exactly where the kernels may.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "../../csrc/cpu/dispatch.h"
#include "drawn.h"

#ifdef TOKENMASK_EMULATED_CUDA  // `make cuda-emulated`: the CUDA kernels are one more set
namespace tokenmask {
extern const CpuKernels kCudaKernels;
}
#endif

using namespace tokenmask;

namespace {

void require(bool holds, const char* what, const char* isa) {
  if (holds) return;
  std::printf("%s differs on %s\n", what, isa);
  std::exit(1);
}

std::vector<const CpuKernels*> kernel_sets() {
  std::vector<const CpuKernels*> sets;
  for (const char* name : {"portable", "avx2", "avx512"}) {
    if (const CpuKernels* found = find_cpu_kernels(name)) sets.push_back(found);
  }
#ifdef TOKENMASK_EMULATED_CUDA
  sets.push_back(&kCudaKernels);
#endif
  return sets;
}

// Scores of one kind a row: smooth, tied, constant, infinite, of two sizes.
float score(int64_t kind) {
  const float value = normal();
  switch (kind % 5) {
    case 0:
      return value;
    case 1:
      return std::round(value);
    case 2:
      return -0.25f;
    case 3:
      return below(4) ? value : (below(2) ? 1.0f : -1.0f) * std::numeric_limits<float>::infinity();
    default:
      return below(3) ? 1e-30f * value : 1e30f * value;
  }
}

std::vector<int64_t> ranked(const float* scores, const bool* is_open, int64_t length) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < length; ++i) {
    if (is_open[i]) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  return order;
}

void check_choose_and_commit(int64_t batch, int64_t length) {
  Array<float> scores(batch * length);
  Array<bool> is_open(batch * length), expected(batch * length);
  Array<int32_t> ids(batch * length), proposed(batch * length);
  Array<int64_t> count(batch);
  for (int64_t row = 0; row < batch; ++row) {
    for (int64_t i = row * length; i < (row + 1) * length; ++i) {
      scores[i] = score(row);
      is_open[i] = below(4) != 0;
      ids[i] = int32_t(i);
      proposed[i] = int32_t(-1 - i);
    }
    count[row] = below(length + 3) - 1;
    const auto order = ranked(&scores[row * length], &is_open[row * length], length);
    for (int64_t n = 0; n < std::min<int64_t>(count[row], int64_t(order.size())); ++n) {
      expected[row * length + order[n]] = true;
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    Array<bool> chosen(batch * length), open_after(batch * length);
    Array<int32_t> out(batch * length);
    const ChooseArgs args = {scores.get(), is_open.get(), count.get(), chosen.get(), batch, length};
    require(kernels->choose(args, 0, batch) == kNoFailure && chosen == expected, "choose", kernels->name);
    ChooseArgs choice = args;
    choice.chosen = open_after.get();
    const CommitArgs commit = {ids.get(), proposed.get(), choice, out.get()};
    require(kernels->commit(commit, 0, batch) == kNoFailure, "commit", kernels->name);
    for (int64_t i = 0; i < batch * length; ++i) {
      require(out[i] == (expected[i] ? proposed[i] : ids[i]), "commit", kernels->name);
      require(open_after[i] == (is_open[i] && !expected[i]), "commit", kernels->name);
    }
  }
}

void check_mask_tokens(int64_t batch, int64_t length) {
  Array<int32_t> ids(batch * length), mask_ids(length), low(length), high(length);
  Array<bool> maskable(batch * length);
  Array<int64_t> count(batch), samples(batch), offsets(batch + 1);
  for (int64_t i = 0; i < batch * length; ++i) {
    ids[i] = int32_t(below(1000));
    maskable[i] = below(5) != 0;
  }
  for (int64_t i = 0; i < length; ++i) {
    mask_ids[i] = -1;
    high[i] = 1 + int32_t(below(99));
  }
  MaskTokensArgs args = {};
  args.ids = ids.get();
  args.maskable = maskable.get();
  args.count = count.get();
  args.mask_ids = mask_ids.get();
  args.random_low = low.get();
  args.random_high = high.get();
  args.sample_ids = samples.get();
  args.offsets = offsets.get();
  args.batch = batch;
  args.length = length;
  args.seed = generator();
  args.mask_below = uint64_t{1} << 31;
  args.random_below = uint64_t{3} << 30;
  for (int64_t row = 0; row < batch; ++row) {
    count[row] = below(length + 3) - 1;
    samples[row] = int64_t(generator()) << 20;
    offsets[row + 1] = offsets[row] + mask_tokens_count(args, row);
  }
  Array<int32_t> expected(batch * length), expected_targets(offsets[batch]);
  Array<int64_t> expected_slots(offsets[batch]);
  for (int64_t row = 0; row < batch; ++row) {
    std::vector<float> words(length);
    for (int64_t i = 0; i < length; ++i) words[i] = uniform24(slot_word(args.seed, i, uint64_t(samples[row])));
    auto order = ranked(words.data(), &maskable[row * length], length);
    order.resize(offsets[row + 1] - offsets[row]);
    std::sort(order.begin(), order.end());
    for (int64_t i = row * length; i < (row + 1) * length; ++i) expected[i] = ids[i];
    for (size_t n = 0; n < order.size(); ++n) {
      const Random4 drawn = draw(args.seed, uint32_t(order[n]), Purpose::corruption, uint64_t(samples[row]));
      expected[row * length + order[n]] = corrupt(args, row, order[n], drawn.word[0], drawn.word[1]);
      expected_slots[offsets[row] + int64_t(n)] = row * length + order[n];
      expected_targets[offsets[row] + int64_t(n)] = ids[row * length + order[n]];
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    Array<int32_t> corrupted(batch * length), targets(offsets[batch]);
    Array<int64_t> slots(offsets[batch]);
    args.corrupted = corrupted.get();
    args.slots = slots.get();
    args.targets = targets.get();
    require(kernels->mask_tokens(args, 0, batch) == kNoFailure, "mask_tokens", kernels->name);
    require(corrupted == expected && slots == expected_slots && targets == expected_targets, "mask_tokens",
            kernels->name);
  }
}

// A plain reading of the steps in tokenmask/ops/sample_codes.py, for one row.
int32_t sampled(const SampleCodesArgs& args, int64_t row, const std::vector<float>& z) {
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

template <FloatType type>
void check_embed_codes(int64_t positions, int64_t levels, int64_t table_rows, int64_t width) {
  using Stored = std::conditional_t<type == FloatType::float32, float, uint16_t>;
  Array<int32_t> ids(positions * levels);
  Array<Stored> table(table_rows * width), expected(positions * width), gradient(table_rows * width);
  for (int64_t i = 0; i < positions * levels; ++i) ids[i] = int32_t(below(table_rows));
  for (int64_t i = 0; i < table_rows * width; ++i) store_float<type>(table.get(), i, normal());
  for (int64_t i = 0; i < positions * width; ++i) {
    float sum = 0.0f;
    for (int64_t k = 0; k < levels; ++k) {
      const int32_t id = ids[i / width * levels + k];
      if (id != kPad) sum += load_float<type>(table.get(), id * width + i % width);
    }
    store_float<type>(expected.get(), i, sum);
  }
  Array<int64_t> starts(table_rows + 1), entries(positions * levels);
  int64_t next = 0;
  for (int64_t id = 0; id < table_rows; ++id) {
    for (int64_t i = 0; i < positions * levels; ++i) {
      if (ids[i] == id) entries[next++] = i;
    }
    starts[id + 1] = next;
    for (int64_t d = 0; d < width; ++d) {
      float sum = 0.0f;
      for (int64_t e = starts[id]; id != kPad && e < next; ++e) {
        sum += load_float<type>(expected.get(), entries[e] / levels * width + d);
      }
      store_float<type>(gradient.get(), id * width + d, sum);
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    Array<Stored> out(positions * width), back(table_rows * width);
    const EmbedCodesArgs args = {ids.get(), table.get(), out.get(), type, positions, levels, table_rows, width};
    require(kernels->embed_codes(args, 0, positions) == kNoFailure && out == expected, "embed_codes", kernels->name);
    const EmbedCodesBackwardArgs backward = {out.get(), starts.get(), entries.get(), back.get(),
                                             type,      levels,       table_rows,    width};
    kernels->embed_codes_backward(backward, 0, table_rows);
    require(back == gradient, "embed_codes_backward", kernels->name);
  }
  if (positions * levels == 0) return;
  for (int32_t bad : {-1, int32_t(table_rows), INT32_MAX, INT32_MIN}) {
    ids[positions * levels - 1] = bad;
    Array<Stored> out(positions * width);
    const EmbedCodesArgs args = {ids.get(), table.get(), out.get(), type, positions, levels, table_rows, width};
    for (const CpuKernels* kernels : kernel_sets()) {
      require(kernels->embed_codes(args, 0, positions) == failure(positions - 1, Reason::id_out_of_range),
              "embed_codes with a foreign id", kernels->name);
    }
  }
}

void check_quantize_residual(int64_t rows, int64_t levels, int64_t codes, int64_t width, bool unit_norm) {
  Array<float> x(rows * width), books(levels * codes * width), expected_sum(rows * width);
  Array<int32_t> expected(rows * levels);
  for (int64_t i = 0; i < rows * width; ++i) x[i] = normal();
  for (int64_t i = 0; i < levels * codes * width; ++i) books[i] = below(9) ? normal() : 1.0f;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<float> left(x.get() + row * width, x.get() + (row + 1) * width);
    for (int64_t level = 0; level < levels; ++level) {
      float least = std::numeric_limits<float>::infinity();
      int64_t nearest = 0;
      for (int64_t code = 0; code < codes; ++code) {
        const float* c = &books[(level * codes + code) * width];
        float square = 0.0f;
        for (int64_t d = 0; d < width; ++d) square = std::fmaf(c[d], c[d], square);
        float value = unit_norm ? 0.0f : 0.5f * square;
        for (int64_t d = 0; d < width; ++d) value = std::fmaf(-left[d], c[d], value);
        if (value < least) {
          least = value;
          nearest = code;
        }
      }
      expected[row * levels + level] = int32_t(nearest);
      for (int64_t d = 0; d < width; ++d) {
        left[d] -= books[(level * codes + nearest) * width + d];
        expected_sum[row * width + d] += books[(level * codes + nearest) * width + d];
      }
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    const int64_t panel = kernels->quantize_panel(), panels = (codes + panel - 1) / panel;
    Array<float> packed(levels * panels * width * panel), biases(levels * panels * panel), sum(rows * width);
    Array<int32_t> out(rows * levels);
    const QuantizeResidualArgs args = {x.get(), books.get(), packed.get(), biases.get(), out.get(), sum.get(),
                                       rows,    width,       levels,       codes,        unit_norm};
    require(kernels->quantize_pack(args, 0, levels * panels) == kNoFailure, "quantize_pack", kernels->name);
    require(kernels->quantize_residual(args, 0, rows) == kNoFailure, "quantize_residual", kernels->name);
    require(out == expected && sum == expected_sum, "quantize_residual", kernels->name);
  }
}

bool close(const float* got, const float* expected, int64_t size) {
  for (int64_t i = 0; i < size; ++i) {
    if (!(std::fabs(got[i] - expected[i]) <= 1e-5f + 1e-4f * std::fabs(expected[i]))) return false;
  }
  return true;
}

// Positions of each row go to slots that are drawn, some next to each other; then they look at what is there.
void check_cache(int64_t rows, int64_t heads, int64_t size, int64_t tiles) {
  const int64_t total = tiles * kTile;
  Array<int64_t> splits(rows + 1), lengths(rows);
  std::vector<int64_t> drawn;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int64_t> order(total);
    std::iota(order.begin(), order.end(), 0);
    if (row % 2) std::shuffle(order.begin(), order.end(), generator);
    const int64_t first = below(total), count = below(total - first + 1);
    drawn.insert(drawn.end(), order.begin() + first, order.begin() + first + count);
    splits[row + 1] = splits[row] + count;
    lengths[row] = below(total + 1);
  }
  const int64_t count = splits[rows], units = rows * heads;
  Array<int64_t> slots(count);
  std::copy(drawn.begin(), drawn.end(), slots.get());
  Array<float> qkv(count * 3 * heads * size), weight(size), cos(count * size), sin(count * size);
  Array<float> before_keys(units * total * size), before_values(units * total * size);
  Array<bool> allowed(count * total);
  for (Array<float>* each : {&qkv, &weight, &cos, &sin, &before_keys, &before_values}) {
    for (int64_t i = 0; i < each->size; ++i) (*each)[i] = normal();
  }
  for (int64_t i = 0; i < count * total; ++i) allowed[i] = below(3) != 0;
  const auto key_at = [&](int64_t unit, int64_t slot, int64_t d) {
    return ((unit * tiles + slot / kTile) * size + d) * kTile + slot % kTile;
  };
  Array<float> query(count * heads * size), keys(units * total * size), values(units * total * size);
  Array<float> mixed(count * heads * size);
  std::copy(before_keys.get(), before_keys.get() + keys.size, keys.get());
  std::copy(before_values.get(), before_values.get() + values.size, values.get());
  const auto turned = [&](const float* x, int64_t position, int64_t d) {
    double square = 0;
    for (int64_t j = 0; j < size; ++j) square += double(x[j]) * x[j];
    const double scale = 1 / std::sqrt(square / double(size) + 1e-6);
    const int64_t other = (d + size / 2) % size;
    return float(scale *
                 (x[d] * weight[d] * cos[position * size + d] + x[other] * weight[other] * sin[position * size + d]));
  };
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t m = splits[row]; m < splits[row + 1]; ++m) {
      for (int64_t h = 0; h < heads; ++h) {
        const float* x = &qkv[(m * 3 * heads + h) * size];
        const int64_t unit = row * heads + h;
        for (int64_t d = 0; d < size; ++d) {
          query[(m * heads + h) * size + d] = turned(x, m, d);
          keys[key_at(unit, slots[m], d)] = turned(x + heads * size, m, d);
          values[(unit * total + slots[m]) * size + d] = x[2 * heads * size + d];
        }
      }
    }
  }
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t m = splits[row]; m < splits[row + 1]; ++m) {
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t unit = row * heads + h;
        std::vector<double> weights(lengths[row]);
        double sum = 0;
        for (int64_t i = 0; i < lengths[row]; ++i) {
          double score = 0;
          for (int64_t d = 0; d < size; ++d) {
            score += double(query[(m * heads + h) * size + d]) * keys[key_at(unit, i, d)];
          }
          weights[i] = allowed[m * total + i] ? std::exp(score / std::sqrt(double(size))) : 0.0;
          sum += weights[i];
        }
        for (int64_t d = 0; d < size; ++d) {
          double value = 0;
          for (int64_t i = 0; i < lengths[row]; ++i) value += weights[i] * values[(unit * total + i) * size + d];
          mixed[(m * heads + h) * size + d] = sum > 0 ? float(value / sum) : 0.0f;
        }
      }
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    Array<float> found_query(query.size), found_keys(keys.size), found_values(values.size), out(mixed.size);
    std::copy(before_keys.get(), before_keys.get() + keys.size, found_keys.get());
    std::copy(before_values.get(), before_values.get() + values.size, found_values.get());
    RotateAndStoreArgs store = {};
    store.qkv = qkv.get();
    store.query_weight = store.key_weight = weight.get();
    store.cos = store.query_cos = cos.get();
    store.sin = store.query_sin = sin.get();
    store.row_splits = splits.get();
    store.slots = slots.get();
    store.keys = found_keys.get();
    store.values = found_values.get();
    store.query = found_query.get();
    store.count = count;
    store.rows = rows;
    store.heads = heads;
    store.size = size;
    store.total = total;
    store.eps = 1e-6f;
    const int64_t some = units / 3;  // as two threads would split them
    kernels->rotate_and_store(store, 0, some);
    kernels->rotate_and_store(store, some, units);
    require(close(found_query.get(), query.get(), query.size) && close(found_keys.get(), keys.get(), keys.size) &&
                found_values == values,
            "rotate_and_store", kernels->name);
    AttendCachedArgs attend = {};
    attend.query = query.get();
    attend.row_splits = splits.get();
    attend.keys = keys.get();
    attend.values = values.get();
    attend.lengths = lengths.get();
    attend.allowed = allowed.get();
    attend.out = out.get();
    attend.count = count;
    attend.rows = rows;
    attend.heads = heads;
    attend.size = size;
    attend.total = total;
    kernels->attend_cached(attend, 0, some);
    kernels->attend_cached(attend, some, units);
    require(close(out.get(), mixed.get(), mixed.size), "attend_cached", kernels->name);
  }
}

// One row's norm: 1 / sqrt(mean(x^2) + eps).
double scale_of(const float* x, int64_t width) {
  double square = 0;
  for (int64_t i = 0; i < width; ++i) square += double(x[i]) * x[i];
  return 1 / std::sqrt(square / double(width) + 1e-3);
}

// Adds g n to for_weight, and gives (w g - n mean(w g n)) * scale.
void norm_back(const double* grad, const float* x, const float* weight, int64_t width, double* for_weight, float* out) {
  const double scale = scale_of(x, width);
  double shared = 0;
  for (int64_t i = 0; i < width; ++i) shared += grad[i] * weight[i] * x[i] * scale / double(width);
  for (int64_t i = 0; i < width; ++i) {
    for_weight[i] += grad[i] * x[i] * scale;
    out[i] = float((grad[i] * weight[i] - x[i] * scale * shared) * scale);
  }
}

// The sums of each block of kSumRows rows, added.
std::vector<float> added(const Array<float>& sums, int64_t width) {
  std::vector<float> total(width, 0.0f);
  for (int64_t i = 0; i < int64_t(sums.size); ++i) total[i % width] += sums.get()[i];
  return total;
}

void check_norm_and_gate(int64_t rows, int64_t width) {
  Array<float> x(rows * width), grad(rows * width), weight(width), normed(rows * width), for_x(rows * width);
  Array<float> wide(rows * 2 * width), gated(rows * width), for_wide(rows * 2 * width);
  for (Array<float>* each : {&x, &grad, &weight, &wide}) {
    for (int64_t i = 0; i < int64_t(each->size); ++i) (*each)[i] = normal();
  }
  std::vector<double> sums(width, 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    const float* of = &x[row * width];
    std::vector<double> back(&grad[row * width], &grad[row * width] + width);
    norm_back(back.data(), of, weight.get(), width, sums.data(), &for_x[row * width]);
    for (int64_t i = 0; i < width; ++i) {
      normed[row * width + i] = float(of[i] * scale_of(of, width) * weight[i]);
      const double a = wide[row * 2 * width + i], b = wide[(row * 2 + 1) * width + i], s = 1 / (1 + std::exp(-a)),
                   g = grad[row * width + i];
      gated[row * width + i] = float(a * s * b);
      for_wide[row * 2 * width + i] = float(g * b * s * (1 + a * (1 - s)));
      for_wide[(row * 2 + 1) * width + i] = float(g * a * s);
    }
  }
  const std::vector<float> expected(sums.begin(), sums.end());
  const int64_t blocks = (rows + kSumRows - 1) / kSumRows, some = rows / 3;
  for (const CpuKernels* kernels : kernel_sets()) {
    if (!kernels->gate) continue;  // it is on the CPU alone
    Array<float> y(x.size), scale(rows), back(x.size), weights(blocks * width), narrow(x.size), wide_back(wide.size);
    const RmsNormArgs norm = {x.get(), weight.get(), y.get(), scale.get(), rows, width, 1e-3f};
    kernels->rms_norm(norm, 0, some);
    kernels->rms_norm(norm, some, rows);
    const RmsNormBackwardArgs norm_args = {grad.get(), x.get(),       scale.get(), weight.get(),
                                           back.get(), weights.get(), rows,        width};
    kernels->rms_norm_backward(norm_args, 0, blocks / 2);
    kernels->rms_norm_backward(norm_args, blocks / 2, blocks);
    require(close(y.get(), normed.get(), y.size) && close(back.get(), for_x.get(), back.size) &&
                close(added(weights, width).data(), expected.data(), width),
            "rms_norm", kernels->name);
    kernels->gate({wide.get(), nullptr, narrow.get(), rows, width}, 0, rows);
    kernels->gate_backward({wide.get(), grad.get(), wide_back.get(), rows, width}, 0, rows);
    require(close(narrow.get(), gated.get(), narrow.size) && close(wide_back.get(), for_wide.get(), wide.size), "gate",
            kernels->name);
  }
}

void check_turn_heads(int64_t rows, int64_t heads, int64_t size) {
  const int64_t width = heads * size, blocks = (rows + kSumRows - 1) / kSumRows;
  Array<float> qkv(rows * 3 * width), for_qkv(rows * 3 * width), weights(2 * size), cos(2 * rows * size),
      sin(2 * rows * size), grads(3 * rows * width), turned(2 * rows * width);
  for (Array<float>* each : {&qkv, &weights, &cos, &sin, &grads}) {
    for (int64_t i = 0; i < int64_t(each->size); ++i) (*each)[i] = normal();
  }
  std::vector<double> sums(2 * size, 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t part = 0; part < 2; ++part) {  // queries, keys
        const float *x = &qkv[(row * 3 + part) * width + h * size], *weight = &weights[part * size],
                    *c = &cos[(part * rows + row) * size], *s = &sin[(part * rows + row) * size],
                    *g = &grads[(part * rows + row) * width + h * size];
        std::vector<double> back(size);
        for (int64_t d = 0; d < size; ++d) {
          const int64_t other = (d + size / 2) % size;
          turned[(part * rows + row) * width + h * size + d] =
              float(scale_of(x, size) * (x[d] * weight[d] * c[d] + x[other] * weight[other] * s[d]));
          back[d] = double(g[d]) * c[d] + double(g[other]) * s[other];
        }
        norm_back(back.data(), x, weight, size, &sums[part * size], &for_qkv[(row * 3 + part) * width + h * size]);
      }
    }
    std::copy(&grads[(2 * rows + row) * width], &grads[(2 * rows + row) * width] + width,
              &for_qkv[(row * 3 + 2) * width]);
  }
  const std::vector<float> expected(sums.begin(), sums.end());
  for (const CpuKernels* kernels : kernel_sets()) {
    if (!kernels->turn_heads) continue;
    Array<float> found(turned.size), back(qkv.size), back_weights(blocks * 2 * size);
    TurnHeadsArgs args = {qkv.get(),
                          weights.get(),
                          weights.get() + size,
                          cos.get() + rows * size,
                          sin.get() + rows * size,
                          cos.get(),
                          sin.get(),
                          found.get(),
                          found.get() + rows * width,
                          rows,
                          heads,
                          size,
                          1e-3f};
    kernels->turn_heads(args, 0, rows / 3);
    kernels->turn_heads(args, rows / 3, rows);
    const float* g = grads.get();
    const TurnHeadsBackwardArgs backward = {
        args, g, g + rows * width, g + 2 * rows * width, back.get(), back_weights.get()};
    kernels->turn_heads_backward(backward, 0, blocks / 2);
    kernels->turn_heads_backward(backward, blocks / 2, blocks);
    require(close(found.get(), turned.get(), found.size) && close(back.get(), for_qkv.get(), back.size) &&
                close(added(back_weights, 2 * size).data(), expected.data(), 2 * size),
            "turn_heads", kernels->name);
  }
}

}  // namespace

// With an argument N every Nth setting of sample_codes is checked: emulated kernels are slow.
int main(int count, char** words) {
  const int every = count > 1 ? std::atoi(words[1]) : 1;
  int settings = 0;
  for (int64_t length : {0, 1, 3, 4, 15, 16, 17, 63, 64, 100, 513, 1000, 2049}) {
    for (int repeat = 0; repeat < 4; ++repeat) {
      check_choose_and_commit(10, length);
      check_mask_tokens(5, length);
    }
  }
  for (int64_t size : {0, 1, 3, 16, 31, 64, 65, 255, 256, 257, 700, 1025}) {
    for (float temperature : {1.0f, 0.7f, 0.0f}) {
      for (int64_t top_k : {0, 1, 20, 150}) {
        for (double top_p : {1.0, 0.9, 0.999, 1e-6}) {
          for (double min_p : {0.0, 0.05, 1.0}) {
            if (settings++ % every) continue;
            check_sample_codes<FloatType::float32>(5, size, top_k, top_p, min_p, temperature);
          }
        }
        if (settings++ % every) continue;
        check_sample_codes<FloatType::bfloat16>(5, size, top_k, 0.9, 0.0, temperature);
        check_sample_codes<FloatType::float16>(5, size, top_k, 1.0, 0.0, temperature);
      }
    }
  }
  for (int64_t width : {0, 1, 7, 16, 63, 64, 65, 130}) {
    for (int64_t levels : {0, 1, 3}) {
      check_embed_codes<FloatType::float32>(13, levels, 6, width);
      check_embed_codes<FloatType::bfloat16>(13, levels, 6, width);
      check_embed_codes<FloatType::float16>(13, levels, 6, width);
      for (int64_t rows : {0, 1, 3, 50}) {
        check_quantize_residual(rows, levels, 37, width, levels == 3);
        check_quantize_residual(rows, levels, 1, width, false);
      }
    }
  }
  for (int64_t rows : {1, 2, 5}) {
    for (int64_t heads : {1, 3}) {
      for (int64_t size : {2, 6, 16, 34, 64}) {
        for (int64_t tiles : {1, 2, 5}) check_cache(rows, heads, size, tiles);
      }
    }
  }
  for (int64_t rows : {0, 1, 65, 130}) {
    for (int64_t width : {1, 7, 16, 47, 64, 130}) {
      check_norm_and_gate(rows, width);
      check_turn_heads(rows, 3, 2 * width);
    }
  }
  std::printf("the kernels of ");
  for (const CpuKernels* kernels : kernel_sets()) std::printf("%s ", kernels->name);
  std::printf("agree with a plain reading of their definitions\n");
  return 0;
}
