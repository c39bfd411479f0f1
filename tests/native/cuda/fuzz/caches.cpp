// rotate_and_store and attend_cached.
#include <numeric>

#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "fuzz.h"

namespace {

// In float32 both sets agree to rounding; in half precision the CPU's float32 result, rounded, is the measure.
template <typename T>
void caches_of(CacheType type, float tolerance) {
  static const int64_t of_tiles[] = {32, 64, 128};  // for which half precision has kernels of its own
  // A row so long that a block passes over all of the slots that it looks at first.
  const bool late = chance(3);
  const int64_t looked_at = 256;
  const int64_t rows = 1 + below(3), heads = 1 + below(3),
                size = late        ? 2 * (1 + below(8))
                       : chance(2) ? of_tiles[below(3)]
                                   : 2 * (1 + below(chance(8) ? 300 : 40)),
                tiles = late ? looked_at / kTile + 1 + below(20) : below(chance(3) ? 40 : 5),
                most = late        ? 5
                       : chance(4) ? 100
                                   : 20;
  const int64_t total = tiles * kTile, units = rows * heads;
  Array<int64_t> splits(rows + 1), lengths(rows);
  std::vector<int64_t> drawn;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int64_t> order(total);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), generator);
    const int64_t count = below(std::min<int64_t>(total, most) + 1);
    drawn.insert(drawn.end(), order.begin(), order.begin() + count);
    splits[row + 1] = splits[row] + count;
    lengths[row] = late ? total - below(kTile) : below(total + 1);
  }
  const int64_t count = splits[rows];
  Array<int64_t> slots(count);
  std::copy(drawn.begin(), drawn.end(), slots.get());
  Array<float> cos(count * size), sin(count * size);
  Array<bool> allowed(count * total);
  for (auto* each : {&cos, &sin}) {
    for (int64_t i = 0; i < each->size; ++i) (*each)[i] = normal();
  }
  const int64_t from = late ? looked_at + below(total - looked_at) : 0;
  for (int64_t i = 0; i < allowed.size; ++i) put_flag(allowed, i, i % total >= from && chance(2));
  const int64_t sizes[] = {
      count * 3 * heads * size, size, size, units * total * size, units * total * size, count * heads * size,
      count * heads * size};
  std::vector<Array<T>> own;
  std::vector<Array<float>> wide;
  for (int64_t n : sizes) {
    own.emplace_back(n);
    wide.emplace_back(n);
    for (int64_t i = 0; i < n; ++i) wide.back()[i] = float(own.back()[i] = T(normal()));
  }
  const bool attend_everything = !late && chance(2);
  if (chance(2)) {  // in a query, a key or, where no query may pass over it, a value
    const int64_t in = chance(2) ? 0 : attend_everything ? 4 : 3;
    if (own[in].size) {
      int64_t at = below(own[in].size);
      // qkv is [count, 3, heads, size]: a value there becomes one that queries may pass over.
      if (in == 0 && !attend_everything && at / (heads * size) % 3 == 2) at -= heads * size;
      wide[in][at] = float(own[in][at] = T(chance(2) ? NAN : INFINITY));
    }
  }
  if (late && chance(2)) {  // NaN is all that is seen of the slots that are looked at first
    const int64_t seen = below(looked_at);
    for (int64_t m = 0; m < count; ++m) put_flag(allowed, m * total + seen, true);
    const int64_t at = (below(units) * total + seen / kTile * kTile) * size + seen % kTile;
    wide[3][at] = float(own[3][at] = T(NAN));
  }
  RotateAndStoreArgs store = {};
  store.cos = store.query_cos = cos.get();
  store.sin = store.query_sin = sin.get();
  store.row_splits = splits.get();
  store.slots = slots.get();
  store.count = count;
  store.rows = rows;
  store.heads = heads;
  store.size = size;
  store.total = total;
  store.eps = 1e-6f;
  AttendCachedArgs attend = {};
  attend.row_splits = splits.get();
  attend.lengths = lengths.get();
  attend.allowed = attend_everything ? nullptr : allowed.get();
  attend.count = count;
  attend.rows = rows;
  attend.heads = heads;
  attend.size = size;
  attend.total = total;
  const auto run = [&](auto& arrays, const CpuKernels& kernels, CacheType of) {
    store.type = attend.type = of;
    store.qkv = arrays[0].get();
    store.query_weight = arrays[1].get();
    store.key_weight = arrays[2].get();
    store.keys = arrays[3].get();
    store.values = arrays[4].get();
    store.query = arrays[5].get();
    kernels.rotate_and_store(store, 0, units);
    attend.query = arrays[5].get();
    attend.keys = arrays[3].get();
    attend.values = arrays[4].get();
    attend.out = arrays[6].get();
    kernels.attend_cached(attend, 0, units);
  };
  run(own, kCudaKernels, type);
  if (rows > 1) {  // the first row alone, in a launch of another shape: the same bits
    Array<T> alone(splits[1] * heads * size);
    attend.out = alone.get();
    attend.rows = 1;
    attend.count = splits[1];
    kCudaKernels.attend_cached(attend, 0, heads);
    attend.rows = rows;
    attend.count = count;
    require(memcmp(alone.get(), own[6].get(), alone.size * sizeof(T)) == 0, "attend_cached of a row alone");
  }
  run(wide, cpu_kernels(), CacheType::float32);
  for (int array : {3, 4, 5, 6}) {
    for (int64_t i = 0; i < own[array].size; ++i) {
      const float found = float(own[array][i]), known = wide[array][i];
      if (std::isnan(found) || std::isnan(known) || std::isinf(known)) {
        require(std::isnan(found) == std::isnan(known) && std::isinf(found) == std::isinf(known),
                array == 6 ? "NaN of attend_cached" : "NaN of rotate_and_store");
        continue;
      }
      const float difference = std::fabs(found - known);
      // Scores of long half-precision heads carry the rounding of queries and keys.
      require(difference <= tolerance * (array == 6 ? 2 * std::sqrt(float(size)) : 1) * (1 + std::fabs(wide[array][i])),
              array == 6 ? "attend_cached" : "rotate_and_store");
    }
  }
}

}  // namespace

void caches() {
  caches_of<float>(CacheType::float32, 1e-5f);
  caches_of<__nv_bfloat16>(CacheType::bfloat16, 0.01f);
  caches_of<__half>(CacheType::float16, 0.002f);
}
