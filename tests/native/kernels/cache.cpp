// rotate_and_store and attend_cached.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "checks.h"

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
