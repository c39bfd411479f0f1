#pragma once

#include "simd.h"
#include "tokenmask/embed_codes.h"

namespace tokenmask::TM_ISA {

// Levels are added left to right in float32; four vectors stay in registers while the levels pass. The rows of the next
// position, `next`, are asked for meanwhile.
template <FloatType type>
TM_HOST_DEVICE void embed_position(const EmbedCodesArgs& args, const int32_t* ids, const int32_t* next, int64_t out) {
  constexpr int kColumns = 4 * kLanes;
  const auto add_columns = [&](int64_t begin, int64_t count) __attribute__((always_inline)) {
    float sum[kColumns] = {};
    for (int64_t level = 0; level < args.levels; ++level) {
      prefetch<type>(args.table, next[level] * args.width + begin, count);
      if (ids[level] == kPad) continue;
      const int64_t row = ids[level] * args.width + begin;
      for (int64_t i = 0; i < count; ++i) sum[i] += load_float<type>(args.table, row + i);
    }
    for (int64_t i = 0; i < count; ++i) store_float<type>(args.out, out + begin + i, sum[i]);
  };
  int64_t begin = 0;
  for (; begin + kColumns <= args.width; begin += kColumns) add_columns(begin, kColumns);
  if (begin < args.width) add_columns(begin, args.width - begin);
}

template <FloatType type>
TM_HOST_DEVICE int64_t embed_positions(const EmbedCodesArgs& args, int64_t begin, int64_t end) {
  for (int64_t position = begin; position < end; ++position) {
    const int32_t* ids = args.ids + position * args.levels;
    for (int64_t level = 0; level < args.levels; ++level) {
      if (ids[level] < 0 || ids[level] >= args.table_rows) return failure(position, Reason::id_out_of_range);
    }
    embed_position<type>(args, ids, position + 1 < end ? ids + args.levels : ids, position * args.width);
  }
  return kNoFailure;
}

inline int64_t embed_codes(const EmbedCodesArgs& args, int64_t begin, int64_t end) {
  switch (args.type) {
    case FloatType::bfloat16:
      return embed_positions<FloatType::bfloat16>(args, begin, end);
    case FloatType::float16:
      return embed_positions<FloatType::float16>(args, begin, end);
    default:
      return embed_positions<FloatType::float32>(args, begin, end);
  }
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
