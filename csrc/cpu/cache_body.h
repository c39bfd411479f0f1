// The kernels of rotate_and_store and attend_cached. Included once for each instruction set, inside a namespace that has
// Lanes (kLanes floats) and fused(a, b, c) = a * b + c. Sums run in a fixed order: a result does not depend on threads or
// neighbours.

constexpr int kVectors = kTile / kLanes;  // of a tile
constexpr int kQueries = 6;               // times two vectors of eight: twelve registers

inline Lanes load(const float* from) {
  Lanes lanes;
  memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

inline void store(float* to, Lanes lanes) { memcpy(to, &lanes, sizeof(lanes)); }

inline float sum_of(Lanes lanes) {
  float sum = 0;
  for (int i = 0; i < kLanes; ++i) sum += lanes[i];
  return sum;
}

// exp of numbers that are at most 0, to about 2e-7 of the result; 0 below -87. Series: Cephes (S. Moshier).
inline Lanes exp_of_negative(Lanes x) {
  const Lanes limited = x < -87.0f ? all(-87.0f) : x;
  const Lanes whole = (limited * 1.44269504088896341f + 12582912.0f) - 12582912.0f;  // 1.5 * 2^23 leaves no fraction
  const Lanes rest = fused(whole, all(-1.42860682030941723e-6f), fused(whole, all(-0.693145751953125f), limited));
  Lanes series = all(1.9875691500e-4f);
  series = fused(series, rest, all(1.3981999507e-3f));
  series = fused(series, rest, all(8.3334519073e-3f));
  series = fused(series, rest, all(4.1665795894e-2f));
  series = fused(series, rest, all(1.6666665459e-1f));
  series = fused(series, rest, all(5.0000001201e-1f));
  series = fused(series, rest * rest, rest + 1.0f);
  typedef int32_t Words __attribute__((vector_size(sizeof(Lanes))));
  const Words power = (__builtin_convertvector(whole, Words) + 127) << 23;
  Lanes scale;
  memcpy(&scale, &power, sizeof(scale));
  return x < -87.0f ? Lanes{} : series * scale;
}

// rotate_and_store ----------------------------------------------------------------------------------------------------

inline float inverse_norm(const float* x, int64_t size, float eps) {
  Lanes squares{};
  int64_t j = 0;
  for (; j + kLanes <= size; j += kLanes) squares = fused(load(x + j), load(x + j), squares);
  float sum = sum_of(squares);
  for (; j < size; ++j) sum += x[j] * x[j];
  return 1.0f / std::sqrt(sum / float(size) + eps);
}

// A head's vector divided by its root mean square, scaled, and turned: x * cos + swap(x) * sin.
inline void normalise_and_turn(const float* x, const float* weight, const float* cos, const float* sin, int64_t size,
                               float eps, float* out) {
  const float scale = inverse_norm(x, size, eps);
  const int64_t half = size / 2;
  int64_t j = 0;
  for (; j + kLanes <= half; j += kLanes) {
    const Lanes a = load(x + j) * scale * load(weight + j), b = load(x + j + half) * scale * load(weight + j + half);
    store(out + j, fused(b, load(sin + j), a * load(cos + j)));
    store(out + j + half, fused(a, load(sin + j + half), b * load(cos + j + half)));
  }
  for (; j < half; ++j) {
    const float a = x[j] * scale * weight[j], b = x[j + half] * scale * weight[j + half];
    out[j] = a * cos[j] + b * sin[j];
    out[j + half] = b * cos[j + half] + a * sin[j + half];
  }
}

// Units of (row, head), so that the tiles a unit writes stay in cache.
inline void rotate_and_store(const RotateAndStoreArgs& args, int64_t begin, int64_t end) {
  const int64_t size = args.size, heads = args.heads;
  const auto* query_weight = static_cast<const float*>(args.query_weight);
  const auto* key_weight = static_cast<const float*>(args.key_weight);
  float turned[kMostSize];
  for (int64_t unit = begin; unit < end; ++unit) {
    const int64_t row = unit / heads, h = unit % heads;
    float* keys = static_cast<float*>(args.keys) + unit * args.total * size;
    float* values = static_cast<float*>(args.values) + unit * args.total * size;
    for (int64_t m = args.row_splits[row]; m < args.row_splits[row + 1]; ++m) {
      const float* x = static_cast<const float*>(args.qkv) + (m * 3 * heads + h) * size;
      normalise_and_turn(x, query_weight, args.query_cos + m * size, args.query_sin + m * size, size, args.eps,
                         static_cast<float*>(args.query) + (m * heads + h) * size);
      normalise_and_turn(x + heads * size, key_weight, args.cos + m * size, args.sin + m * size, size, args.eps, turned);
      const int64_t slot = args.slots[m];
      float* key = keys + slot / kTile * kTile * size + slot % kTile;
      for (int64_t j = 0; j < size; ++j) key[j * kTile] = turned[j];
      memcpy(values + slot * size, x + 2 * heads * size, size * sizeof(float));
    }
  }
}

// attend_cached -------------------------------------------------------------------------------------------------------

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

template <int count>
inline void score(const Block& block) {
  const float scale = 1.0f / std::sqrt(float(block.size));
  for (int64_t first = 0; first < block.padded; first += kTile) {
    const float* key = block.keys + first * block.size;
    Lanes sums[count][kVectors] = {};
    for (int64_t d = 0; d < block.size; ++d) {
      Lanes lanes[kVectors];
      for (int v = 0; v < kVectors; ++v) lanes[v] = load(key + d * kTile + v * kLanes);
      for (int q = 0; q < count; ++q) {  // one broadcast serves all vectors, so that the sums stay in registers
        const Lanes x = all(block.query[q * block.query_stride + d]);
        for (int v = 0; v < kVectors; ++v) sums[q][v] = fused(lanes[v], x, sums[q][v]);
      }
    }
    for (int q = 0; q < count; ++q) {
      for (int v = 0; v < kVectors; ++v) store(block.weights + q * block.padded + first + v * kLanes, sums[q][v] * scale);
    }
  }
}

// Scores become weights that are not yet divided by their sum, which is returned; 0 where nothing may be seen.
inline float soften(float* weights, const bool* allowed, int64_t length, int64_t padded) {
  for (int64_t i = length; i < padded; ++i) weights[i] = -INFINITY;
  if (allowed) {
    for (int64_t i = 0; i < length; ++i) weights[i] = allowed[i] ? weights[i] : -INFINITY;
  }
  Lanes most = all(-INFINITY);
  for (int64_t i = 0; i < padded; i += kLanes) most = load(weights + i) > most ? load(weights + i) : most;
  float largest = -INFINITY;
  for (int i = 0; i < kLanes; ++i) largest = most[i] > largest ? most[i] : largest;
  if (largest == -INFINITY) {
    for (int64_t i = 0; i < padded; ++i) weights[i] = 0;
    return 0;
  }
  Lanes sum{};
  for (int64_t i = 0; i < padded; i += kLanes) {
    const Lanes weight = exp_of_negative(load(weights + i) - largest);
    store(weights + i, weight);
    sum += weight;
  }
  return sum_of(sum);
}

template <int count>
inline void mix(const Block& block, const float* sums) {
  int64_t d = 0;
  for (; d + kTile <= block.size; d += kTile) {
    Lanes mixed[count][kVectors] = {};
    for (int64_t i = 0; i < block.length; ++i) {
      Lanes lanes[kVectors];
      for (int v = 0; v < kVectors; ++v) lanes[v] = load(block.values + i * block.size + d + v * kLanes);
      for (int q = 0; q < count; ++q) {
        const Lanes x = all(block.weights[q * block.padded + i]);
        for (int v = 0; v < kVectors; ++v) mixed[q][v] = fused(lanes[v], x, mixed[q][v]);
      }
    }
    for (int q = 0; q < count; ++q) {
      const float share = sums[q] > 0 ? 1.0f / sums[q] : 0.0f;
      for (int v = 0; v < kVectors; ++v) store(block.out + q * block.query_stride + d + v * kLanes, mixed[q][v] * share);
    }
  }
  for (; d < block.size; ++d) {
    for (int q = 0; q < count; ++q) {
      float sum = 0;
      for (int64_t i = 0; i < block.length; ++i) {
        sum += block.weights[q * block.padded + i] * block.values[i * block.size + d];
      }
      block.out[q * block.query_stride + d] = sums[q] > 0 ? sum / sums[q] : 0.0f;
    }
  }
}

template <int count>
inline void attend(const Block& block) {
  float sums[count];
  score<count>(block);
  for (int q = 0; q < count; ++q) {
    const bool* allowed = block.allowed ? block.allowed + q * block.total : nullptr;
    sums[q] = soften(block.weights + q * block.padded, allowed, block.length, block.padded);
  }
  mix<count>(block, sums);
}

inline void attend_cached(const AttendCachedArgs& args, int64_t begin, int64_t end) {
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
      switch (last - first) {
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
