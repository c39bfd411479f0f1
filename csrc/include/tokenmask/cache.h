// rotate_and_store and attend_cached: keys and values of some positions of each row, kept in slots. Torch-free.
// A row's keys lie 16 slots side by side, [heads][total / 16][size][16]; its values slot by slot, [heads][total][size].
#pragma once

#include "tokenmask/failure.h"

namespace tokenmask {

constexpr int64_t kTile = 16;
constexpr int64_t kMostSize = 1024;  // of a head

enum class CacheType { float32, bfloat16, float16 };

struct RotateAndStoreArgs {
  CacheType type;
  const void* qkv;                                 // [count, 3, heads, size]
  const void *query_weight, *key_weight;           // [size]
  const float *cos, *sin, *query_cos, *query_sin;  // [count, size]
  const int64_t* row_splits;                       // [rows + 1]
  const int64_t* slots;                            // [count]
  void *keys, *values;                             // in place
  void* query;                                     // [count, heads, size] out
  int64_t count, rows, heads, size, total;
  float eps;
};

struct AttendCachedArgs {
  CacheType type;
  const void* query;          // [count, heads, size]
  const int64_t* row_splits;  // [rows + 1]
  const void *keys, *values;
  const int64_t* lengths;  // [rows]
  const bool* allowed;     // [count, total] or null
  void* out;               // [count, heads, size]
  int64_t count, rows, heads, size, total;
};

// Units [begin, end) of rows * heads; float32 only. Slots and splits were checked.
void rotate_and_store_cpu(const RotateAndStoreArgs& args, int64_t begin, int64_t end);

// Units [begin, end) of rows * heads; float32 only. Lengths and splits were checked.
void attend_cached_cpu(const AttendCachedArgs& args, int64_t begin, int64_t end);

// A slot beyond the cache is not stored, a length beyond it gives NaN; both, and splits that do not rise from 0 to
// `count`, are left in `late`, so that no step waits for a check. `rows` is above 0 if `count` is.
void rotate_and_store_cuda(const RotateAndStoreArgs& args, const LateFailure& late, void* stream);
void attend_cached_cuda(const AttendCachedArgs& args, const LateFailure& late, void* stream);

// The row of a packed position; splits rise from 0 to more than `position`.
TM_HOST_DEVICE int64_t row_of(const int64_t* row_splits, int64_t rows, int64_t position) {
  int64_t low = 0, high = rows - 1;
  while (low < high) {
    const int64_t middle = (low + high + 1) / 2;
    if (row_splits[middle] <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}

}  // namespace tokenmask
