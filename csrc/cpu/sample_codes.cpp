// One row at a time, in blocks of 64 codes. Pass 1: logits to z, its largest value and bad values. Pass 2: integer
// weights, their sums by block, and the statistics. Then the filters, which clear weights, and the draw by inverse CDF.
#include "tokenmask/sample_codes.h"

#include <cmath>

#include "choose.h"

namespace tokenmask {

namespace {

constexpr int64_t kBlock = 64;

struct RowScratch {
  std::vector<float> z;           // guided logits, padded by -inf to whole blocks
  std::vector<int32_t> weights;   // like z
  std::vector<int32_t> keys;      // order keys of z, filled when a filter needs them
  std::vector<int64_t> sums;      // of the weights of each block
  std::vector<int32_t> top_keys;  // candidates of top-p
  std::vector<int32_t> top_weights;
  SelectScratch select;

  explicit RowScratch(int64_t size)
      : z((size + kBlock - 1) / kBlock * kBlock),
        weights(z.size()),
        keys(z.size()),
        sums(z.size() / kBlock),
        top_keys(z.size()),
        top_weights(z.size()),
        select(int64_t(z.size()), true) {}
};

template <FloatType type>
TM_HOST_DEVICE float load(const void* logits, int64_t i) {
  if constexpr (type == FloatType::bfloat16) return widen_bfloat16(static_cast<const uint16_t*>(logits)[i]);
  if constexpr (type == FloatType::float16) return widen_float16(static_cast<const uint16_t*>(logits)[i]);
  return static_cast<const float*>(logits)[i];
}

template <FloatType type>
TM_HOST_DEVICE void load_block(const SampleCodesArgs& args, int64_t row, int64_t begin, int64_t count, float* z) {
  const int64_t at = row * args.size + begin;
  for (int64_t i = 0; i < count; ++i) z[i] = load<type>(args.logits, at + i);
  if (args.uncond) {
    const float scale = args.guidances ? args.guidances[row] : args.guidance;
    for (int64_t i = 0; i < count; ++i) z[i] = guided(z[i], load<type>(args.uncond, at + i), scale);
  }
  if (args.allowed) {
    const bool* allowed = args.allowed + row * args.allowed_stride + begin;
    for (int64_t i = 0; i < count; ++i) z[i] = allowed[i] ? z[i] : -kInfinity;
  }
}

struct KeyRange {
  int32_t low, high;
};

TM_HOST_DEVICE void widen_range(const float* z, int64_t count, KeyRange& range) {
  int32_t low = range.low, high = range.high;
  for (int64_t i = 0; i < count; ++i) {
    const int32_t key = order_key(z[i]);
    low = key < low ? key : low;
    high = key > high ? key : high;
  }
  range = {low, high};
}

// Pass 1.
template <FloatType type>
TM_HOST_DEVICE KeyRange load_row(const SampleCodesArgs& args, int64_t row, RowScratch& scratch) {
  KeyRange range = {INT32_MAX, INT32_MIN};
  for (int64_t begin = 0; begin < args.size; begin += kBlock) {
    float* z = scratch.z.data() + begin;
    if (args.size - begin >= kBlock) {
      load_block<type>(args, row, begin, kBlock, z);
      widen_range(z, kBlock, range);
    } else {
      load_block<type>(args, row, begin, args.size - begin, z);
      widen_range(z, args.size - begin, range);
      for (int64_t i = args.size - begin; i < kBlock; ++i) z[i] = -kInfinity;
    }
  }
  return range;
}

struct Statistics {
  int64_t total;          // sum of the weights
  int32_t second;         // the second largest weight
  double weighted_logit;  // sum of weight * x
};

// Pass 2. The sums of floats have a fixed shape, so that they do not depend on the instruction set.
TM_HOST_DEVICE Statistics weigh_row(float largest, float temperature, RowScratch& scratch) {
  Statistics statistics = {0, 0, 0.0};
  int32_t num_full = 0;
  for (size_t block = 0; block < scratch.sums.size(); ++block) {
    const float* z = scratch.z.data() + block * kBlock;
    int32_t* weights = scratch.weights.data() + block * kBlock;
    float product[kBlock];
    for (int64_t i = 0; i < kBlock; ++i) product[i] = add(z[i], -largest);
    if (temperature != 1.0f) {
      for (int64_t i = 0; i < kBlock; ++i) product[i] = divide(product[i], temperature);
    }
    int64_t sum = 0;
    int32_t second = statistics.second;
    for (int64_t i = 0; i < kBlock; ++i) {
      const float x = product[i] > kSmallestExponent ? product[i] : kSmallestExponent;
      const int32_t w = weight(x);
      const int32_t below_full = w < kFullWeight ? w : 0;
      weights[i] = w;
      product[i] = x * float(w);
      num_full += w >= kFullWeight;
      second = below_full > second ? below_full : second;
    }
    for (int64_t i = 0; i < kBlock; ++i) sum += weights[i];
    for (int64_t i = 0; i < 32; ++i) product[i] += product[i + 32];
    for (int64_t i = 0; i < 16; ++i) product[i] += product[i + 16];
    for (int64_t i = 0; i < 8; ++i) product[i] += product[i + 8];
    for (int64_t i = 0; i < 8; ++i) statistics.weighted_logit += product[i];
    statistics.second = second;
    statistics.total += sum;
    scratch.sums[block] = sum;
  }
  if (num_full > 1) statistics.second = kFullWeight;
  return statistics;
}

TM_HOST_DEVICE int64_t sum_blocks(RowScratch& scratch) {
  int64_t total = 0;
  for (size_t block = 0; block < scratch.sums.size(); ++block) {
    const int32_t* weights = scratch.weights.data() + block * kBlock;
    int64_t sum = 0;
    for (int64_t i = 0; i < kBlock; ++i) sum += weights[i];
    scratch.sums[block] = sum;
    total += sum;
  }
  return total;
}

// Clears the weights after the prefix. An element on its edge uses up 1 of the rest, or its weight.
template <bool weighted>
TM_HOST_DEVICE void keep_prefix(Prefix prefix, int64_t size, const int32_t* keys, int32_t* weights) {
  int64_t at_edge = 0;
  for (int64_t i = 0; i < size; ++i) {
    at_edge += keys[i] == prefix.key;
    weights[i] = keys[i] >= prefix.key ? weights[i] : 0;
  }
  for (int64_t i = 0; i < size && at_edge > 0; ++i) {
    if (keys[i] != prefix.key) continue;
    const int32_t cost = weighted ? weights[i] : 1;
    if (prefix.rest <= 0) weights[i] = 0;
    prefix.rest -= cost;
    --at_edge;
  }
}

// Candidates of top-p: what weighs less than an equal part of the mass to lose cannot reach into the prefix, because all
// of it together weighs less than that mass. The cut is made on z, with a margin for the rounding of the weights.
TM_HOST_DEVICE int64_t gather_candidates(float largest, float temperature, int64_t size, int64_t to_lose,
                                         RowScratch& scratch) {
  const double part = double(to_lose) / double(size) - 1.0;
  const double exponent = part > 0.0 ? std::log(part / kFullWeight) - 1e-3 : -2.0 * kFullWeight;
  const float cut = float(largest + exponent * temperature - 1e-3 * std::fabs(largest));
  int64_t count = 0;
  for (int64_t i = 0; i < size; ++i) {
    scratch.top_keys[count] = scratch.keys[i];
    scratch.top_weights[count] = scratch.weights[i];
    count += (scratch.z[i] >= cut) & (scratch.weights[i] > 0);
  }
  return count;
}

// Top-k, then top-p, then min-p. Returns the mass that is left.
TM_HOST_DEVICE int64_t filter_row(const SampleCodesArgs& args, float largest, float temperature, int64_t total,
                                  RowScratch& scratch) {
  const int64_t size = args.size;
  int32_t* weights = scratch.weights.data();
  int32_t* keys = scratch.keys.data();
  const bool has_top_k = args.top_k > 0 && args.top_k < size;
  if (has_top_k || args.top_p < 1.0) {
    for (int64_t i = 0; i < size; ++i) keys[i] = order_key(scratch.z[i]);
  }
  if (has_top_k) {
    keep_prefix<false>(select_prefix<false>(keys, nullptr, size, args.top_k, scratch.select), size, keys, weights);
    total = sum_blocks(scratch);
  }
  if (args.top_p < 1.0) {
    const int64_t needed = share_of(args.top_p, total);
    const int64_t count = gather_candidates(largest, temperature, size, total - needed, scratch);
    const Prefix prefix =
        select_prefix<true>(scratch.top_keys.data(), scratch.top_weights.data(), count, needed, scratch.select);
    keep_prefix<true>(prefix, size, keys, weights);
    total = sum_blocks(scratch);
  }
  if (args.min_p > 0.0) {
    const int32_t least = int32_t(share_of(args.min_p, kFullWeight));
    for (int64_t i = 0; i < size; ++i) weights[i] = weights[i] >= least ? weights[i] : 0;
    total = sum_blocks(scratch);
  }
  return total;
}

// The first code whose cumulative weight is above `target`.
TM_HOST_DEVICE int64_t find_code(int64_t target, const RowScratch& scratch) {
  size_t block = 0;
  while (target >= scratch.sums[block]) target -= scratch.sums[block++];
  int64_t code = int64_t(block) * kBlock;
  while (target >= scratch.weights[code]) target -= scratch.weights[code++];
  return code;
}

template <FloatType type>
TM_HOST_DEVICE int64_t sample_row(const SampleCodesArgs& args, int64_t row, RowScratch& scratch) {
  const KeyRange range = load_row<type>(args, row, scratch);
  const int32_t infinite = order_key(kInfinity), minus_infinite = order_key(-kInfinity);
  if (args.size == 0) return failure(row, Reason::nothing_allowed);
  if (range.high > infinite || range.low < minus_infinite) return failure(row, Reason::not_a_number);
  if (range.high == infinite) return failure(row, Reason::plus_infinity);
  if (range.high == minus_infinite) return failure(row, Reason::nothing_allowed);

  const float requested = args.temperatures ? args.temperatures[row] : args.temperature;
  if (!is_temperature(requested)) return failure(row, Reason::bad_temperature);
  const float temperature = requested == 0.0f ? 1.0f : requested;
  const float largest = order_value(range.high);
  const Statistics statistics = weigh_row(largest, temperature, scratch);
  int64_t code = 0;
  if (requested == 0.0f) {
    while (order_key(scratch.z[code]) != range.high) ++code;
  } else {
    const int64_t total = filter_row(args, largest, temperature, statistics.total, scratch);
    code = find_code(draw_below(args, row, total), scratch);
  }
  const double mass = double(statistics.total);
  const double log_mass = std::log(mass / kFullWeight);
  const double entropy = log_mass - statistics.weighted_logit / mass;
  args.codes[row] = int32_t(code);
  args.logprob[row] = float(divide(add(scratch.z[code], -largest), temperature) - log_mass);
  args.entropy[row] = float(entropy > 0.0 ? entropy : 0.0);
  args.margin[row] = float((kFullWeight - statistics.second) / mass);
  return kNoFailure;
}

template <FloatType type>
TM_HOST_DEVICE int64_t sample_rows(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  RowScratch scratch(args.size);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t failed = sample_row<type>(args, row, scratch);
    if (failed != kNoFailure) return failed;
  }
  return kNoFailure;
}

TM_TARGET_CLONES
int64_t sample_float32(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  return sample_rows<FloatType::float32>(args, begin, end);
}

TM_TARGET_CLONES
int64_t sample_bfloat16(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  return sample_rows<FloatType::bfloat16>(args, begin, end);
}

TM_TARGET_CLONES
int64_t sample_float16(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  return sample_rows<FloatType::float16>(args, begin, end);
}

}  // namespace

int64_t sample_codes_cpu(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  switch (args.type) {
    case FloatType::bfloat16:
      return sample_bfloat16(args, begin, end);
    case FloatType::float16:
      return sample_float16(args, begin, end);
    default:
      return sample_float32(args, begin, end);
  }
}

}  // namespace tokenmask
