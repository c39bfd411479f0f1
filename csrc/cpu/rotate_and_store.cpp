#include <cmath>

#include "tokenmask/cache.h"

#include "lanes.h"

namespace tokenmask {

namespace {

// A head's vector divided by its root mean square, scaled, and turned: x * cos + swap(x) * sin. `at` places component j.
template <typename Place>
TM_INLINE void normalise_and_turn(const float* x, const float* weight, const float* cos, const float* sin, int64_t size,
                                  float eps, float* scratch, const Place& at) {
  float partial[kLanes] = {};
  int64_t j = 0;
  for (; j + kLanes <= size; j += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) partial[lane] += x[j + lane] * x[j + lane];
  }
  for (; j < size; ++j) partial[0] += x[j] * x[j];
  float sum = 0;
  for (int lane = 0; lane < kLanes; ++lane) sum += partial[lane];
  const float scale = 1.0f / std::sqrt(sum / float(size) + eps);
  for (j = 0; j < size; ++j) scratch[j] = x[j] * scale * weight[j];
  const int64_t half = size / 2;
  for (j = 0; j < half; ++j) at(j, scratch[j] * cos[j] + scratch[j + half] * sin[j]);
  for (j = half; j < size; ++j) at(j, scratch[j] * cos[j] + scratch[j - half] * sin[j]);
}

}  // namespace

TM_LANE_CLONES
void rotate_and_store_cpu(const RotateAndStoreArgs& args, int64_t begin, int64_t end) {
  const int64_t size = args.size, heads = args.heads, total = args.total;
  const auto* qkv = static_cast<const float*>(args.qkv);
  const auto* query_weight = static_cast<const float*>(args.query_weight);
  const auto* key_weight = static_cast<const float*>(args.key_weight);
  auto* keys = static_cast<float*>(args.keys);
  auto* values = static_cast<float*>(args.values);
  auto* query = static_cast<float*>(args.query);
  float scratch[1024];  // the registration refuses larger heads
  for (int64_t m = begin; m < end; ++m) {
    const int64_t row = row_of(args.row_splits, args.rows, m), slot = args.slots[m];
    for (int64_t h = 0; h < heads; ++h) {
      const float* x = qkv + (m * 3 * heads + h) * size;
      float* out = query + (m * heads + h) * size;
      normalise_and_turn(x, query_weight, args.query_cos + m * size, args.query_sin + m * size, size, args.eps, scratch,
                         [out](int64_t j, float value) { out[j] = value; });
      float* key = keys + ((row * heads + h) * total + slot / kTile * kTile) * size + slot % kTile;
      normalise_and_turn(x + heads * size, key_weight, args.cos + m * size, args.sin + m * size, size, args.eps, scratch,
                         [key](int64_t j, float value) { key[j * kTile] = value; });
      memcpy(values + ((row * heads + h) * total + slot) * size, x + 2 * heads * size, size * sizeof(float));
    }
  }
}

}  // namespace tokenmask
