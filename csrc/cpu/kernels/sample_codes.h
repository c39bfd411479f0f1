// One row at a time. Pass 1: logits to z (nothing to do if they are it), the two largest, bad values. Pass 2: integer
// weights, summed by block and not stored, and the statistics. Filters gather the few codes that can matter and work on
// these. The draw is by inverse CDF; a block's weights are computed again to find the code in it.
#pragma once

#include <cmath>

#include "candidates.h"

namespace tokenmask::TM_ISA {

constexpr int64_t kBlock = 256;
constexpr int kCacheLine = 16 / kLanes;       // vectors of a line of cache
constexpr int kTogether = 4;                  // vectors of pass 2, a multiple of kCacheLine
constexpr int kChains = kLanes == 4 ? 8 : 4;  // of pass 1
constexpr int64_t kStride = kChains * kLanes;

struct RowScratch {
  Buffer<float> z;  // of rows whose logits are not z, padded by -inf to whole strides
  Buffer<int64_t> sums;
  Candidates candidates;

  TM_HOST_DEVICE RowScratch(int64_t size, bool has_z)
      : z(has_z ? size + kStride : 0), sums(size / kBlock + 1), candidates(size + 2 * kStride) {}
};

// z of up to 64 codes, in plain loops.
template <FloatType type>
TM_HOST_DEVICE void load_codes(const SampleCodesArgs& args, int64_t row, int64_t begin, int64_t count, float* z) {
  const int64_t at = row * args.size + begin;
  for (int64_t i = 0; i < count; ++i) z[i] = load_float<type>(args.logits, at + i);
  if (args.uncond) {
    const float scale = args.guidances ? args.guidances[row] : args.guidance;
    for (int64_t i = 0; i < count; ++i) z[i] = guided(z[i], load_float<type>(args.uncond, at + i), scale);
  }
  if (args.allowed) {
    const uint8_t* allowed = reinterpret_cast<const uint8_t*>(args.allowed + row * args.allowed_stride + begin);
    for (int64_t i = 0; i < count; ++i) z[i] = allowed[i] ? z[i] : -kInfinity;
  }
}

// The two largest of each lane of each chain: their maxima, and what bounds the k-th largest of a row from below.
struct Peaks {
  Floats first[kChains], second[kChains];
  Mask nan;

  TM_HOST_DEVICE Peaks() : nan(unordered(Floats{}, Floats{})) {
    for (int c = 0; c < kChains; ++c) first[c] = second[c] = all(-kInfinity);
  }

  TM_HOST_DEVICE void add(const float* z) {
    Floats values[kChains];
    for (int c = 0; c < kChains; ++c) {
      values[c] = load<Floats>(z + c * kLanes);
      second[c] = larger(second[c], smaller(first[c], values[c]));
      first[c] = larger(first[c], values[c]);
    }
    for (int c = 0; c < kChains; c += 2) nan = nan | unordered(values[c], values[c + 1]);
  }

  TM_HOST_DEVICE void two_largest(float& largest, float& next) const {
    Floats a = first[0], b = second[0];
    for (int c = 1; c < kChains; ++c) {
      b = larger(larger(b, second[c]), smaller(a, first[c]));
      a = larger(a, first[c]);
    }
    largest = largest_lane(a);
    const Mask at = equal(a, all(largest));
    next = count_lanes(at) > 1 ? largest : largest_lane(select(at, b, a));
  }
};

template <FloatType type, bool plain>
TM_HOST_DEVICE const float* load_row(const SampleCodesArgs& args, int64_t row, RowScratch& scratch, Peaks& peaks) {
  const int64_t whole = args.size / kStride * kStride;
  const float* logits = static_cast<const float*>(args.logits) + row * args.size;
  float last[kStride];
  if constexpr (plain) {
    for (int64_t i = 0; i < whole; i += kStride) peaks.add(logits + i);
    for (int64_t i = whole; i < args.size; ++i) last[i - whole] = logits[i];
  } else {
    float* z = scratch.z.data;
    for (int64_t i = 0; i < whole; i += kStride) {
      load_codes<type>(args, row, i, kStride, z + i);
      peaks.add(z + i);
    }
    load_codes<type>(args, row, whole, args.size - whole, last);
    for (int64_t i = whole; i < args.size; ++i) z[i] = last[i - whole];
  }
  if (whole < args.size) {
    for (int64_t i = args.size; i < whole + kStride; ++i) last[i - whole] = -kInfinity;
    peaks.add(last);
  }
  return plain ? logits : scratch.z.data;
}

TM_HOST_DEVICE Floats exponent(Floats z, float largest, float temperature) {
  const Floats x = z - largest;
  return temperature == 1.0f ? x : x / temperature;
}

struct Totals {
  int64_t mass, surprise;  // sums over the codes
};

// Pass 2 on one block of at most kBlock codes.
template <bool heated, bool surprised>
TM_HOST_DEVICE void weigh_block(const float* z, int64_t count, float largest, float temperature, int64_t next_row,
                                Totals& totals, int64_t& block_mass) {
  Mass mass, surprises;
  const auto weigh = [&](const float* from) __attribute__((always_inline)) {
    Floats x[kTogether];
    Ints w[kTogether];
    for (int v = 0; v < kTogether; ++v) {
      // The memory of the next row is read while this row is worked on.
      if (v % kCacheLine == 0) __builtin_prefetch(from + v * kLanes + next_row, 0, 2);
      x[v] = load<Floats>(from + v * kLanes) - largest;
      if constexpr (heated) x[v] = x[v] / temperature;
      x[v] = larger(x[v], all(kSmallestExponent));
    }
    weights_of_clamped(x, w);
    for (int v = 0; v < kTogether; v += 2) mass.add((Words)w[v] + (Words)w[v + 1]);
    for (int v = 0; surprised && v < kTogether; v += 2) {
      surprises.add((Words)surprise(x[v], w[v]) + (Words)surprise(x[v + 1], w[v + 1]));
    }
  };
  constexpr int64_t kCodes = kTogether * kLanes;
  int64_t i = 0;
  for (; i + kCodes <= count; i += kCodes) weigh(z + i);
  if (i < count) {  // what fills the vectors weighs 0
    float last[kCodes];
    for (int64_t lane = 0; lane < kCodes; ++lane) last[lane] = i + lane < count ? z[i + lane] : -kInfinity;
    weigh(last);
  }
  block_mass = mass.total();
  totals.mass += block_mass;
  totals.surprise += surprises.total();
}

template <bool surprised>
TM_HOST_DEVICE Totals weigh_row(const float* z, int64_t size, float largest, float temperature, int64_t next_row,
                                int64_t* sums) {
  Totals totals = {0, 0};
  for (int64_t begin = 0; begin < size; begin += kBlock) {
    const int64_t count = size - begin < kBlock ? size - begin : kBlock;
    if (temperature == 1.0f) {
      weigh_block<false, surprised>(z + begin, count, largest, temperature, next_row, totals, sums[begin / kBlock]);
    } else {
      weigh_block<true, surprised>(z + begin, count, largest, temperature, next_row, totals, sums[begin / kBlock]);
    }
  }
  return totals;
}

// A value that at least k codes of the row reach.
TM_HOST_DEVICE float bound_of_top_k(const Peaks& peaks, int64_t k, RowScratch& scratch) {
  Candidates& few = scratch.candidates;
  if (k > 2 * kStride) return -kInfinity;
  few.size = 2 * kStride;
  for (int c = 0; c < kChains; ++c) {
    store(&few.keys[2 * c * kLanes], order_keys(peaks.first[c]));
    store(&few.keys[(2 * c + 1) * kLanes], order_keys(peaks.second[c]));
  }
  const Prefix prefix = select_prefix<false>({few.keys.data, nullptr, few.size}, few.range(), k, few.select);
  return order_value(prefix.rest == 0 ? prefix.key + 1 : prefix.key);
}

// A value of z below which weights are less than `weight`, with margins for their rounding.
TM_HOST_DEVICE float cut_below(double weight, float largest, float temperature) {
  if (weight <= 1.0) return -kInfinity;
  return float(largest + (::log((weight - 1.0) / kFullWeight) - 1e-3) * temperature - 1e-3 * __builtin_fabsf(largest));
}

// Top-k, then top-p, then min-p; the code that is drawn from what is left. What weighs less than an equal part of the
// mass that top-p may lose cannot be needed, because all of it together weighs less than that mass.
TM_HOST_DEVICE int64_t draw_filtered(const SampleCodesArgs& args, int64_t row, const float* z, float largest,
                                     float temperature, int64_t total, const Peaks& peaks, RowScratch& scratch) {
  Candidates& kept = scratch.candidates;
  const bool has_top_k = args.top_k > 0 && args.top_k < args.size, has_top_p = args.top_p < 1.0;
  const int32_t least = args.min_p > 0.0 ? int32_t(share_of(args.min_p, kFullWeight)) : 0;
  float cut = -kInfinity;
  if (has_top_k) {
    cut = bound_of_top_k(peaks, args.top_k, scratch);
  } else if (has_top_p) {
    cut = cut_below(double(total - share_of(args.top_p, total)) / double(args.size), largest, temperature);
  } else {
    cut = cut_below(least, largest, temperature);
  }
  kept.gather(z, args.size, cut);
  kept.weigh(largest, temperature);
  if (has_top_k) kept.keep_prefix<false>(args.top_k);
  if (has_top_p) kept.keep_prefix<true>(share_of(args.top_p, has_top_k ? kept.mass() : total));
  if (least > 0) kept.keep(kClosedKey + 1, least);
  return kept.codes[kept.find(draw_below(args, row, kept.mass()))];
}

TM_HOST_DEVICE int64_t draw_plain(const SampleCodesArgs& args, int64_t row, const float* z, float largest,
                                  float temperature, int64_t total, RowScratch& scratch) {
  int64_t target = draw_below(args, row, total), block = 0;
  while (target >= scratch.sums[block]) target -= scratch.sums[block++];
  const int64_t begin = block * kBlock, count = args.size - begin < kBlock ? args.size - begin : kBlock;
  Candidates& all_of_block = scratch.candidates;
  for (int64_t i = 0; i < count; i += kLanes) {
    Floats values;
    if (i + kLanes <= count) {
      values = load<Floats>(z + begin + i);
    } else {
      for (int lane = 0; lane < kLanes; ++lane) values[lane] = i + lane < count ? z[begin + i + lane] : -kInfinity;
    }
    store(&all_of_block.weights[i], weight(exponent(values, largest, temperature)));
  }
  all_of_block.size = count;
  return begin + all_of_block.find(target);
}

TM_HOST_DEVICE int64_t first_largest(const float* z, int64_t size, float largest) {
  int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    const Mask found = equal(load<Floats>(z + i), all(largest));
    if (any(found)) return i + __builtin_ctz(lane_bits(found));
  }
  while (z[i] != largest) ++i;
  return i;
}

template <FloatType type, bool plain>
TM_HOST_DEVICE int64_t sample_row(const SampleCodesArgs& args, int64_t row, RowScratch& scratch) {
  if (args.size == 0) return failure(row, Reason::nothing_allowed);
  Peaks peaks;
  const float* z = load_row<type, plain>(args, row, scratch, peaks);
  float largest, next;
  peaks.two_largest(largest, next);
  if (any(peaks.nan)) return failure(row, Reason::not_a_number);
  if (largest == kInfinity) return failure(row, Reason::plus_infinity);
  if (largest == -kInfinity) return failure(row, Reason::nothing_allowed);
  const float requested = args.temperatures ? args.temperatures[row] : args.temperature;
  if (!is_temperature(requested)) return failure(row, Reason::bad_temperature);

  const float temperature = requested == 0.0f ? 1.0f : requested;
  const auto weigh = args.entropy ? weigh_row<true> : weigh_row<false>;
  const Totals totals = weigh(z, args.size, largest, temperature, plain ? args.size : 0, scratch.sums.data);
  int64_t code;
  if (requested == 0.0f) {
    code = first_largest(z, args.size, largest);
  } else if ((args.top_k > 0 && args.top_k < args.size) || args.top_p < 1.0 || args.min_p > 0.0) {
    code = draw_filtered(args, row, z, largest, temperature, totals.mass, peaks, scratch);
  } else {
    code = draw_plain(args, row, z, largest, temperature, totals.mass, scratch);
  }
  const double mass = double(totals.mass);
  const double log_mass = ::log(mass / kFullWeight);
  const int32_t second = tokenmask::weight(divide(add(next, -largest), temperature));
  args.codes[row] = int32_t(code);
  args.logprob[row] = float(divide(add(z[code], -largest), temperature) - log_mass);
  if (args.entropy) args.entropy[row] = entropy_of(log_mass, totals.surprise, totals.mass);
  args.margin[row] = float((kFullWeight - second) / mass);
  return kNoFailure;
}

template <FloatType type>
TM_HOST_DEVICE int64_t sample_rows(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  const bool plain = type == FloatType::float32 && !args.uncond && !args.allowed;
  RowScratch scratch(args.size, !plain);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t failed =
        plain ? sample_row<type, true>(args, row, scratch) : sample_row<type, false>(args, row, scratch);
    if (failed != kNoFailure) return failed;
  }
  return kNoFailure;
}

inline int64_t sample_codes(const SampleCodesArgs& args, int64_t begin, int64_t end) {
  switch (args.type) {
    case FloatType::bfloat16:
      return sample_rows<FloatType::bfloat16>(args, begin, end);
    case FloatType::float16:
      return sample_rows<FloatType::float16>(args, begin, end);
    default:
      return sample_rows<FloatType::float32>(args, begin, end);
  }
}

}  // namespace tokenmask::TM_ISA
