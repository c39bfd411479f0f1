#include <algorithm>
#include <cmath>
#include <vector>

#include "tokenmask/cache.h"

#include "lanes.h"

namespace tokenmask {

namespace {

constexpr int kQueries = 6;  // with two vectors each they fill twelve registers

// A block of queries of one row and head.
struct Block {
  const float* query;  // first of the block; the next one is query_stride on
  const float* keys;
  const float* values;
  const bool* allowed;  // of the first query, or null; the next one is total on
  float* out;
  int64_t query_stride, size, total, length;
  float* weights;  // scratch [kQueries, padded]
  int64_t padded;  // length rounded up to whole tiles
};

TM_INLINE Lanes load(const float* from) {
  Lanes lanes;
  memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

TM_INLINE void store(float* to, Lanes lanes) { memcpy(to, &lanes, sizeof(lanes)); }

template <int count>
TM_INLINE void score(const Block& block) {
  const float scale = 1.0f / std::sqrt(float(block.size));
  for (int64_t first = 0; first < block.padded; first += kTile) {
    const float* key = block.keys + first * block.size;
    Lanes low[count] = {}, high[count] = {};
    for (int64_t d = 0; d < block.size; ++d) {
      const Lanes a = load(key + d * kTile), b = load(key + d * kTile + kLanes);
      for (int q = 0; q < count; ++q) {
        const float x = block.query[q * block.query_stride + d];
        low[q] += a * x;
        high[q] += b * x;
      }
    }
    for (int q = 0; q < count; ++q) {
      float* to = block.weights + q * block.padded + first;
      store(to, low[q] * scale);
      store(to + kLanes, high[q] * scale);
    }
  }
}

// Scores become weights that are not yet divided by their sum, which is returned; 0 where nothing may be seen.
TM_INLINE float soften(float* weights, const bool* allowed, int64_t length, int64_t padded) {
  for (int64_t i = length; i < padded; ++i) weights[i] = -INFINITY;
  if (allowed) {
    for (int64_t i = 0; i < length; ++i) weights[i] = allowed[i] ? weights[i] : -INFINITY;
  }
  float most[kTile];
  for (int lane = 0; lane < kTile; ++lane) most[lane] = -INFINITY;
  for (int64_t i = 0; i < padded; i += kTile) {
    for (int lane = 0; lane < kTile; ++lane) most[lane] = weights[i + lane] > most[lane] ? weights[i + lane] : most[lane];
  }
  const float largest = *std::max_element(most, most + kTile);
  if (largest == -INFINITY) {
    for (int64_t i = 0; i < padded; ++i) weights[i] = 0;
    return 0;
  }
  float partial[kTile] = {};
  for (int64_t i = 0; i < padded; i += kTile) {
    for (int lane = 0; lane < kTile; ++lane) {
      const float weight = exp_of_negative(weights[i + lane] - largest);
      weights[i + lane] = weight;
      partial[lane] += weight;
    }
  }
  float sum = 0;
  for (int lane = 0; lane < kTile; ++lane) sum += partial[lane];
  return sum;
}

template <int count>
TM_INLINE void mix(const Block& block, const float* sums) {
  int64_t d = 0;
  for (; d + kTile <= block.size; d += kTile) {
    Lanes low[count] = {}, high[count] = {};
    for (int64_t i = 0; i < block.length; ++i) {
      const float* value = block.values + i * block.size + d;
      const Lanes a = load(value), b = load(value + kLanes);
      for (int q = 0; q < count; ++q) {
        const float weight = block.weights[q * block.padded + i];
        low[q] += a * weight;
        high[q] += b * weight;
      }
    }
    for (int q = 0; q < count; ++q) {
      const float share = sums[q] > 0 ? 1.0f / sums[q] : 0.0f;
      store(block.out + q * block.query_stride + d, low[q] * share);
      store(block.out + q * block.query_stride + d + kLanes, high[q] * share);
    }
  }
  for (; d < block.size; ++d) {
    for (int q = 0; q < count; ++q) {
      float sum = 0;
      for (int64_t i = 0; i < block.length; ++i) sum += block.weights[q * block.padded + i] * block.values[i * block.size + d];
      block.out[q * block.query_stride + d] = sums[q] > 0 ? sum / sums[q] : 0.0f;
    }
  }
}

template <int count>
TM_INLINE void attend(const Block& block) {
  float sums[count];
  score<count>(block);
  for (int q = 0; q < count; ++q) {
    const bool* allowed = block.allowed ? block.allowed + q * block.total : nullptr;
    sums[q] = soften(block.weights + q * block.padded, allowed, block.length, block.padded);
  }
  mix<count>(block, sums);
}

}  // namespace

TM_LANE_CLONES
void attend_cached_cpu(const AttendCachedArgs& args, int64_t begin, int64_t end) {
  const int64_t size = args.size, heads = args.heads, stride = heads * size;
  std::vector<float> weights(kQueries * args.total);
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t row = unit / heads, head = unit % heads;
    Block block;
    block.keys = static_cast<const float*>(args.keys) + unit * args.total * size;
    block.values = static_cast<const float*>(args.values) + unit * args.total * size;
    block.query_stride = stride;
    block.size = size;
    block.total = args.total;
    block.length = args.lengths[row];
    block.padded = (block.length + kTile - 1) / kTile * kTile;
    block.weights = weights.data();
    const int64_t last = args.row_splits[row + 1];
    for (int64_t first = args.row_splits[row]; first < last; first += kQueries) {
      block.query = static_cast<const float*>(args.query) + first * stride + head * size;
      block.out = static_cast<float*>(args.out) + first * stride + head * size;
      block.allowed = args.allowed ? args.allowed + first * args.total : nullptr;
      switch (std::min<int64_t>(kQueries, last - first)) {
        case 1: attend<1>(block); break;
        case 2: attend<2>(block); break;
        case 3: attend<3>(block); break;
        case 4: attend<4>(block); break;
        case 5: attend<5>(block); break;
        default: attend<kQueries>(block);
      }
    }
  }
}

}  // namespace tokenmask
