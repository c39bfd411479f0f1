// rotate_and_store and attend_cached. Sums run in a fixed order, so that a result does not depend on threads or
// neighbours; where a processor fuses a product and a sum, they differ in the last bits from one that does not.
#pragma once

#include "simd.h"
#include "tokenmask/cache.h"
#include "tokenmask/weight.h"

namespace tokenmask::TM_ISA {

// rotate_and_store ----------------------------------------------------------------------------------------------------

TM_HOST_DEVICE float sum_of_squares(const float* x, int64_t size) {
  Floats squares = {};
  int64_t j = 0;
  for (; j + kLanes <= size; j += kLanes) squares = fused(load<Floats>(x + j), load<Floats>(x + j), squares);
  float sum = sum_lanes(squares);
  for (; j < size; ++j) sum += x[j] * x[j];
  return sum;
}

// A head's vector scaled by `scale` and its weights, and turned: x * cos + swap(x) * sin.
TM_HOST_DEVICE void scale_and_turn(const float* x, float scale, const float* weight, const float* cos, const float* sin,
                                   int64_t size, float* out) {
  const int64_t half = size / 2;
  int64_t j = 0;
  for (; j + kLanes <= half; j += kLanes) {
    const Floats a = load<Floats>(x + j) * scale * load<Floats>(weight + j);
    const Floats b = load<Floats>(x + j + half) * scale * load<Floats>(weight + j + half);
    store(out + j, fused(b, load<Floats>(sin + j), a * load<Floats>(cos + j)));
    store(out + j + half, fused(a, load<Floats>(sin + j + half), b * load<Floats>(cos + j + half)));
  }
  for (; j < half; ++j) {
    const float a = x[j] * scale * weight[j], b = x[j + half] * scale * weight[j + half];
    out[j] = a * cos[j] + b * sin[j];
    out[j + half] = b * cos[j + half] + a * sin[j + half];
  }
}

// rows[i][j] becomes rows[j][i]: a matrix is transposed by as many perfect shuffles of its rows as its width has bits.
TM_HOST_DEVICE void transpose(Floats (&rows)[kLanes]) {
  for (int width = kLanes; width > 1; width /= 2) {
    Floats shuffled[kLanes];
    for (int i = 0; i < kLanes / 2; ++i)
      interleave(rows[i], rows[i + kLanes / 2], shuffled[2 * i], shuffled[2 * i + 1]);
    for (int i = 0; i < kLanes; ++i) rows[i] = shuffled[i];
  }
}

// Writes keys [kTile, size] of the slots of a tile that are present
// into it, [size, kTile]. Rows of others hold anything.
TM_HOST_DEVICE void store_tile(const float* keys, const bool* present, int64_t size, float* tile) {
  for (int64_t first = 0; first < kTile; first += kLanes) {
    const Mask kept = load_mask(present + first);
    int64_t j = 0;
    for (; j + kLanes <= size; j += kLanes) {
      Floats rows[kLanes];
      for (int r = 0; r < kLanes; ++r) rows[r] = load<Floats>(keys + (first + r) * size + j);
      transpose(rows);
      for (int c = 0; c < kLanes; ++c) {
        float* line = tile + (j + c) * kTile + first;
        store(line, select(kept, rows[c], load<Floats>(line)));
      }
    }
    for (; j < size; ++j) {
      for (int64_t slot = first; slot < first + kLanes; ++slot) {
        if (present[slot]) tile[j * kTile + slot] = keys[slot * size + j];
      }
    }
  }
}

// Units of (row, head). Neighbouring positions whose slots share a tile go through all heads of a row together: their
// vectors are read in the order in which they lie, and each line of a tile is written once.
inline void rotate_and_store(const RotateAndStoreArgs& args, int64_t begin, int64_t end) {
  const int64_t size = args.size, heads = args.heads;
  const auto* query_weight = static_cast<const float*>(args.query_weight);
  const auto* key_weight = static_cast<const float*>(args.key_weight);
  Buffer<float> turned(heads * kTile * size), scales(2 * heads);
  for (int64_t unit = begin; unit < end;) {
    const int64_t row = unit / heads, first_head = unit % heads;
    const int64_t count = end - unit < heads - first_head ? end - unit : heads - first_head;  // heads of this row
    float* keys = static_cast<float*>(args.keys) + unit * args.total * size;
    float* values = static_cast<float*>(args.values) + unit * args.total * size;
    const int64_t last = args.row_splits[row + 1];
    for (int64_t m = args.row_splits[row]; m < last;) {
      const int64_t tile = args.slots[m] / kTile;
      int64_t together = m + 1;
      while (together < last && together < m + kTile && args.slots[together] / kTile == tile) ++together;
      bool present[kTile] = {};
      for (int64_t p = m; p < together; ++p) {
        const float* x = static_cast<const float*>(args.qkv) + (p * 3 * heads + first_head) * size;
        float* query = static_cast<float*>(args.query) + (p * heads + first_head) * size;
        const int64_t slot = args.slots[p];
        present[slot % kTile] = true;
        for (int64_t h = 0; h < count; ++h) {
          scales[2 * h] = sum_of_squares(x + h * size, size);
          scales[2 * h + 1] = sum_of_squares(x + (heads + h) * size, size);
        }
        for (int64_t i = 0; i < 2 * count; ++i) scales[i] = 1.0f / __builtin_sqrtf(scales[i] / float(size) + args.eps);
        for (int64_t h = 0; h < count; ++h) {
          scale_and_turn(x + h * size, scales[2 * h], query_weight, args.query_cos + p * size,
                         args.query_sin + p * size, size, query + h * size);
          scale_and_turn(x + (heads + h) * size, scales[2 * h + 1], key_weight, args.cos + p * size,
                         args.sin + p * size, size, &turned[(h * kTile + slot % kTile) * size]);
          memcpy(values + (h * args.total + slot) * size, x + (2 * heads + h) * size, size * sizeof(float));
        }
      }
      for (int64_t h = 0; h < count; ++h) {
        store_tile(&turned[h * kTile * size], present, size, keys + (h * args.total + tile * kTile) * size);
      }
      m = together;
    }
    unit += count;
  }
}

// attend_cached -------------------------------------------------------------------------------------------------------

constexpr int kQueries = kLanes == 16 ? 14 : 6;  // times two vectors: as many sums as registers allow

// exp of numbers that are at most 0, to about 2e-7 of the result; 0 below -87. Series: Cephes (S. Moshier).
TM_HOST_DEVICE Floats exp_of_negative(Floats x) {
  const Floats limited = larger(x, all(-87.0f));
  const Floats whole = (limited * 1.44269504088896341f + 12582912.0f) - 12582912.0f;  // 1.5 * 2^23 leaves no fraction
  const Floats rest = fused(whole, all(-1.42860682030941723e-6f), fused(whole, all(-0.693145751953125f), limited));
  Floats series = all(1.9875691500e-4f);
  series = fused(series, rest, all(1.3981999507e-3f));
  series = fused(series, rest, all(8.3334519073e-3f));
  series = fused(series, rest, all(4.1665795894e-2f));
  series = fused(series, rest, all(1.6666665459e-1f));
  series = fused(series, rest, all(5.0000001201e-1f));
  series = fused(series, rest * rest, rest + 1.0f);
  const Floats scale = (Floats)((__builtin_convertvector(whole, Ints) + 127) << 23);
  return select(less(x, all(-87.0f)), Floats{}, series * scale);
}

// A block of queries of one row and head.
struct Block {
  const float* query;  // of the first; the next one is query_stride on
  const float* keys;
  const float* values;
  const bool* allowed;  // of the first, or null; the next one is total on
  float* out;
  int64_t query_stride, size, total, length;
  float* weights;  // scratch [kQueries, padded]
  int64_t padded;  // length rounded up to whole tiles
};

// The scores of `vectors` vectors of slots from `first` on.
template <int count, int vectors>
TM_HOST_DEVICE void score_slots(const Block& block, int64_t first) {
  const float scale = 1.0f / __builtin_sqrtf(float(block.size));
  const float* keys[vectors];
  for (int v = 0; v < vectors; ++v) {
    const int64_t slot = first + v * kLanes;
    keys[v] = block.keys + slot / kTile * kTile * block.size + slot % kTile;
  }
  Floats sums[count][vectors] = {};
  for (int64_t d = 0; d < block.size; ++d) {
    Floats key[vectors];
    for (int v = 0; v < vectors; ++v) {
      key[v] = load<Floats>(keys[v] + d * kTile);
      pin(key[v]);
    }
#pragma GCC unroll 16
    for (int q = 0; q < count; ++q) {
      const Floats x = all(block.query[q * block.query_stride + d]);
      for (int v = 0; v < vectors; ++v) sums[q][v] = fused(key[v], x, sums[q][v]);
    }
  }
#pragma GCC unroll 16
  for (int q = 0; q < count; ++q) {
    for (int v = 0; v < vectors; ++v) store(block.weights + q * block.padded + first + v * kLanes, sums[q][v] * scale);
  }
}

template <int count>
TM_HOST_DEVICE void score(const Block& block) {
  int64_t first = 0;
  for (; first + 2 * kLanes <= block.padded; first += 2 * kLanes) score_slots<count, 2>(block, first);
  if (first < block.padded) score_slots<count, 1>(block, first);
}

// Scores become weights that are not yet divided by their sum, which is returned; 0
// where nothing may be seen. NaN where a score that may be seen is NaN or +inf, or
// all of them are -inf: softmax has no answer there, and zeros would hide it.
TM_HOST_DEVICE float soften(float* weights, const bool* allowed, int64_t length, int64_t padded) {
  for (int64_t i = length; i < padded; ++i) weights[i] = -kInfinity;
  if (allowed) {
    for (int64_t i = 0; i < length; ++i) weights[i] = is_set(allowed, i) ? weights[i] : -kInfinity;
  }
  Floats most = all(-kInfinity);
  for (int64_t i = 0; i < padded; i += kLanes) most = larger(load<Floats>(weights + i), most);
  const float largest = largest_lane(most);
  if (largest == -kInfinity) {  // the maximum passes over NaN
    bool sees = length > 0 && !allowed;
    for (int64_t i = 0; allowed && i < length; ++i) sees |= is_set(allowed, i);
    const float weight = sees ? __builtin_nanf("") : 0.0f;
    for (int64_t i = 0; i < padded; ++i) weights[i] = weight;
    return weight;
  }
  Floats sum = {};
  Mask bad = unordered(sum, sum);
  for (int64_t i = 0; i < padded; i += kLanes) {
    const Floats x = load<Floats>(weights + i) - largest;
    bad = bad | unordered(x, x);
    const Floats weight = exp_of_negative(x);
    store(weights + i, weight);
    sum += weight;
  }
  if (!any(bad)) return sum_lanes(sum);
  for (int64_t i = 0; i < length; ++i) weights[i] = __builtin_nanf("");
  return __builtin_nanf("");
}

// `vectors` vectors of components from `d` on.
template <int count, int vectors>
TM_HOST_DEVICE void mix_components(const Block& block, const float* shares, int64_t d) {
  Floats mixed[count][vectors] = {};
  for (int64_t i = 0; i < block.length; ++i) {
    Floats value[vectors];
    for (int v = 0; v < vectors; ++v) {
      value[v] = load<Floats>(block.values + i * block.size + d + v * kLanes);
      pin(value[v]);
    }
#pragma GCC unroll 16
    for (int q = 0; q < count; ++q) {
      const Floats x = all(block.weights[q * block.padded + i]);
      for (int v = 0; v < vectors; ++v) mixed[q][v] = fused(value[v], x, mixed[q][v]);
    }
  }
#pragma GCC unroll 16
  for (int q = 0; q < count; ++q) {
    for (int v = 0; v < vectors; ++v) {
      store(block.out + q * block.query_stride + d + v * kLanes, mixed[q][v] * shares[q]);
    }
  }
}

template <int count>
TM_HOST_DEVICE void mix(const Block& block, const float* shares) {
  int64_t d = 0;
  for (; d + 2 * kLanes <= block.size; d += 2 * kLanes) mix_components<count, 2>(block, shares, d);
  for (; d + kLanes <= block.size; d += kLanes) mix_components<count, 1>(block, shares, d);
  for (; d < block.size; ++d) {
    for (int q = 0; q < count; ++q) {
      float sum = 0.0f;
      for (int64_t i = 0; i < block.length; ++i) {
        sum += block.weights[q * block.padded + i] * block.values[i * block.size + d];
      }
      block.out[q * block.query_stride + d] = sum * shares[q];
    }
  }
}

// The first `queries` of at most `count`.
template <int count>
TM_HOST_DEVICE void attend(const Block& block, int64_t queries) {
  if constexpr (count > 1) {
    if (queries < count) return attend<count - 1>(block, queries);
  }
  score<count>(block);
  float shares[count];
  for (int q = 0; q < count; ++q) {
    const bool* allowed = block.allowed ? block.allowed + q * block.total : nullptr;
    const float sum = soften(block.weights + q * block.padded, allowed, block.length, block.padded);
    shares[q] = sum == 0.0f ? 0.0f : 1.0f / sum;  // NaN stays
  }
  mix<count>(block, shares);
}

inline void attend_cached(const AttendCachedArgs& args, int64_t begin, int64_t end) {
  const int64_t size = args.size, heads = args.heads, stride = heads * size;
  Buffer<float> weights(kQueries * args.total);
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
    block.weights = weights.data;
    int64_t first = args.row_splits[row];
    const int64_t last = args.row_splits[row + 1];
    for (int64_t blocks = (last - first + kQueries - 1) / kQueries; blocks > 0; --blocks) {
      const int64_t queries = (last - first + blocks - 1) / blocks;  // blocks of almost equal size
      block.query = static_cast<const float*>(args.query) + first * stride + head * size;
      block.out = static_cast<float*>(args.out) + first * stride + head * size;
      block.allowed = args.allowed ? args.allowed + first * args.total : nullptr;
      attend<kQueries>(block, queries);
      first += queries;
    }
  }
}

}  // namespace tokenmask::TM_ISA
