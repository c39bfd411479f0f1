#pragma once

#include "simd.h"
#include "tokenmask/embed_codes.h"

namespace tokenmask::TM_ISA {

constexpr int64_t kColumns = 64;  // whose sums stay in registers while the levels pass

// Results of at least so many bytes would only push each other out of the caches near the core.
constexpr int64_t kStreamedBytes = 8 << 20;

// Columns [begin, end) of a position. Levels are added left to right in
// float32. The rows of the next position, `next`, are asked for meanwhile.
template <FloatType type, bool streams>
TM_HOST_DEVICE void embed_columns(const EmbedCodesArgs& args, const int32_t* ids, const int32_t* next, int64_t out,
                                  int64_t begin, int64_t end) {
  for (; begin < end; begin += kColumns) {
    const int64_t count = end - begin < kColumns ? end - begin : kColumns;
    alignas(64) float sum[kColumns] = {};
    const auto add_levels = [&](int64_t columns) __attribute__((always_inline)) {
      for (int64_t level = 0; level < args.levels; ++level) {
        prefetch<type>(args.table, next[level] * args.width + begin, columns);
        if (ids[level] == kPad) continue;
        const int64_t row = ids[level] * args.width + begin;
        for (int64_t i = 0; i < columns; ++i) sum[i] += load_float<type>(args.table, row + i);
      }
      if constexpr (streams) {
        float* to = static_cast<float*>(args.out) + out + begin;
        for (int64_t i = 0; i < columns; i += kLanes) stream(to + i, load<Floats>(sum + i));
      } else {
        for (int64_t i = 0; i < columns; ++i) store_float<type>(args.out, out + begin + i, sum[i]);
      }
    };
    if (count == kColumns) add_levels(kColumns);
    else add_levels(count);
  }
}

// What is streamed goes column by column: a table of some thousand rows is then read from a cache near the core.
template <FloatType type, bool streams>
TM_HOST_DEVICE void embed_positions(const EmbedCodesArgs& args, int64_t begin, int64_t end) {
  const int64_t columns = streams ? kColumns : args.width;
  for (int64_t left = 0; left < args.width; left += columns) {
    for (int64_t position = begin; position < end; ++position) {
      const int32_t* ids = args.ids + position * args.levels;
      const int32_t* next = position + 1 < end ? ids + args.levels : ids;
      embed_columns<type, streams>(args, ids, next, position * args.width, left, left + columns);
    }
  }
  if constexpr (streams) end_streams();
}

TM_HOST_DEVICE int64_t find_foreign_id(const EmbedCodesArgs& args, int64_t begin, int64_t end) {
  for (int64_t i = begin * args.levels; i < end * args.levels; ++i) {
    if (args.ids[i] < 0 || args.ids[i] >= args.table_rows) return failure(i / args.levels, Reason::id_out_of_range);
  }
  return kNoFailure;
}

inline int64_t embed_codes(const EmbedCodesArgs& args, int64_t begin, int64_t end) {
  const int64_t failed = find_foreign_id(args, begin, end);
  if (failed != kNoFailure) return failed;
  switch (args.type) {
    case FloatType::bfloat16:
      embed_positions<FloatType::bfloat16, false>(args, begin, end);
      break;
    case FloatType::float16:
      embed_positions<FloatType::float16, false>(args, begin, end);
      break;
    default:
      if (kCanStream && args.positions * args.width * 4 >= kStreamedBytes && args.width % kColumns == 0 &&
          reinterpret_cast<uintptr_t>(args.out) % sizeof(Floats) == 0) {
        embed_positions<FloatType::float32, kCanStream>(args, begin, end);
      } else {
        embed_positions<FloatType::float32, false>(args, begin, end);
      }
  }
  return kNoFailure;
}

template <FloatType type>
TM_HOST_DEVICE void sum_gradients(const EmbedCodesBackwardArgs& args, int64_t begin, int64_t end) {
  Buffer<float> sum(args.width);
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t i = 0; i < args.width; ++i) sum[i] = 0.0f;
    const int64_t last = row == kPad ? args.starts[row] : args.starts[row + 1];
    for (int64_t entry = args.starts[row]; entry < last; ++entry) {
      const int64_t at = args.entries[entry] / args.levels * args.width;
      const int64_t ahead = entry + 2 < args.starts[args.table_rows] ? entry + 2 : entry;
      prefetch<type>(args.grad, args.entries[ahead] / args.levels * args.width, args.width);
      float* to = sum.data;
#pragma GCC ivdep
      for (int64_t i = 0; i < args.width; ++i) to[i] += load_float<type>(args.grad, at + i);
    }
    for (int64_t i = 0; i < args.width; ++i) store_float<type>(args.out, row * args.width + i, sum[i]);
  }
}

inline void embed_codes_backward(const EmbedCodesBackwardArgs& args, int64_t begin, int64_t end) {
  switch (args.type) {
    case FloatType::bfloat16:
      return sum_gradients<FloatType::bfloat16>(args, begin, end);
    case FloatType::float16:
      return sum_gradients<FloatType::float16>(args, begin, end);
    default:
      return sum_gradients<FloatType::float32>(args, begin, end);
  }
}

}  // namespace tokenmask::TM_ISA
