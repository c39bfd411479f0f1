// mask_tokens: first the number of slots that each row gives to the lists, then, when the caller has made room for them,
// everything else in one launch: a team a row, which draws or reads the slots' keys once.
#include "rows.cuh"
#include "select.cuh"
#include "tokenmask/mask_tokens.h"
#include "vectors.cuh"

namespace tokenmask {

namespace {

constexpr int kPer = 4;  // neighbouring slots share a block of Philox, and are one vector

__global__ void __launch_bounds__(256) count_kernel(MaskTokensArgs args, int64_t* row_counts) {
  if (blockIdx.x == 0 && threadIdx.x == 0) row_counts[0] = 0;
  const int64_t warps = int64_t{gridDim.x} * (blockDim.x / 32);
  for (int64_t row = (int64_t{blockIdx.x} * blockDim.x + threadIdx.x) / 32; row < args.batch; row += warps) {
    const bool* maskable = args.maskable + row * args.length;
    int32_t open = 0;
    walk_vectors<16, 32>(
        int(threadIdx.x) % 32, args.length, head_of(maskable, 1), [&](int64_t i) { return load_vector(maskable, i); },
        [&](int64_t, const uint4& flags) {
          open += __popc(set_flags(flags.x)) + __popc(set_flags(flags.y)) + __popc(set_flags(flags.z)) +
                  __popc(set_flags(flags.w));
        },
        [&](int64_t i) { open += is_set(maskable, i); });
    for (int step = 16; step > 0; step /= 2) open += __shfl_xor_sync(0xffffffffu, open, step);
    const int64_t count = args.count[row] < 0 ? 0 : args.count[row];
    if (threadIdx.x % 32 == 0) row_counts[row + 1] = count < open ? count : open;
  }
}

// A thread keeps the keys of the same slots that it writes later.
template <bool cached>
struct Row {
  const MaskTokensArgs& args;
  int64_t row;
  uint64_t sample;  // what the row's draws are keyed by
  int32_t* kept;    // [length], if cached
  bool lies_whole;  // four slots of each input can be read at once

  // Of up to four slots from `i` on, a multiple of 4.
  __device__ void keys(int64_t i, int count, int32_t (&keys)[kPer], bool& has_nan) const {
    const int64_t at = row * args.length + i;
    Random4 words = {};
    uint4 scores = {};
    if (!args.scores) words = draw(args.seed, uint32_t(i / kPer), Purpose::mask, sample);
    const bool whole = lies_whole && count == kPer;
    if (args.scores && whole) scores = load_vector(args.scores, 4 * at);
    const uint32_t flags = whole ? load_flags(args.maskable, at) : 0;
#pragma unroll
    for (int e = 0; e < kPer; ++e) {
      if (e >= count) break;
      const bool open = whole ? flag_of(flags, e) : is_set(args.maskable, at + e);
      if (args.scores) {
        const float score = whole ? float_of<FloatType::float32>(scores, e) : args.scores[at + e];
        has_nan |= open && score != score;
        keys[e] = slot_key(score, open);
      } else {
        keys[e] = open ? int32_t(words.word[e] >> 8) << 7 : kClosedKey;  // 24 bits, the upper ones of a key above 0
      }
    }
  }

  __device__ int32_t key(int64_t i) const {
    if constexpr (cached) return kept[i];
    const int64_t at = row * args.length + i;
    if (!is_set(args.maskable, at)) return kClosedKey;
    if (args.scores) return slot_key(args.scores[at], true);
    return int32_t(slot_word(args.seed, i, sample) >> 8) << 7;
  }
};

// How many slots of the row are open; the keys are kept, if there is room. A NaN at an open slot is reported; its row is
// masked all the same, so that the lists hold what their lengths say.
template <bool cached, int kSize>
__device__ int64_t read_row(const Team<kSize>& team, const Row<cached>& row, const LateFailure& late) {
  int64_t num_open = 0;
  bool has_nan = false;
  for (int64_t i = int64_t{team.thread} * kPer; i < row.args.length; i += kSize * kPer) {
    const int count = int(row.args.length - i < kPer ? row.args.length - i : kPer);
    int32_t keys[kPer];
    row.keys(i, count, keys, has_nan);
#pragma unroll
    for (int e = 0; e < kPer; ++e) {
      if (e >= count) break;
      if constexpr (cached) row.kept[i + e] = keys[e];
      num_open += keys[e] != kClosedKey;
    }
  }
  if (has_nan) report(late, failure(row.row, Reason::not_a_number));
  return team.sum(num_open);
}

__device__ int32_t corrupt_slot(const MaskTokensArgs& args, int64_t row, uint64_t sample, int64_t slot) {
  if (args.mask_below >> 32) return args.mask_ids[row * args.mask_ids_stride + slot];
  const Random4 words = draw(args.seed, uint32_t(slot), Purpose::corruption, sample);
  return corrupt(args, row, slot, words.word[0], words.word[1]);
}

// Writes the row, and its part of the lists in the order of slots.
template <bool cached, int kSize>
__device__ void write_row(const Team<kSize>& team, const Places& places, const Row<cached>& row, int64_t from,
                          const LateFailure& late) {
  const MaskTokensArgs& args = row.args;
  int64_t next = args.offsets[row.row];
  for (int64_t begin = 0; begin < args.length; begin += kSize * kPer) {
    const int64_t first = begin + int64_t{team.thread} * kPer, at = row.row * args.length + first;
    const int count = int(args.length - first < kPer ? args.length - first : kPer);  // may be below 0
    const bool whole = row.lies_whole && count == kPer;
    uint4 vector = {};
    if (whole) vector = load_vector(args.ids, 4 * at);
    const uint32_t words[] = {vector.x, vector.y, vector.z, vector.w};
    int32_t ids[kPer];
    uint32_t chosen = 0;
#pragma unroll
    for (int e = 0; e < kPer; ++e) {
      if (e >= count) break;
      ids[e] = whole ? int32_t(words[e]) : args.ids[at + e];
      const int32_t key = row.key(first + e);
      if (key != kClosedKey && from != kNothing && places(key, first + e) >= from) chosen |= 1u << e;
    }
    int64_t total;
    int64_t entry = next + team.scan(__popc(chosen), total);
    next += total;
#pragma unroll
    for (int e = 0; e < kPer; ++e) {
      if (!(chosen >> e & 1)) continue;
      if (has_empty_range(args, row.row, first + e)) report(late, failure(row.row, Reason::empty_range));
      args.slots[entry] = at + e;
      args.targets[entry++] = ids[e];
      ids[e] = corrupt_slot(args, row.row, row.sample, first + e);
    }
    if (whole) {
      *reinterpret_cast<int4*>(args.corrupted + at) = {ids[0], ids[1], ids[2], ids[3]};
    } else {
#pragma unroll
      for (int e = 0; e < kPer; ++e) {
        if (e < count) args.corrupted[at + e] = ids[e];
      }
    }
  }
}

template <int kSize, bool cached>
__global__ void __launch_bounds__(kThreadsOfTeams<kSize>) write_kernel(MaskTokensArgs args, LateFailure late) {
  extern __shared__ uint4 shared[];
  const Seat<kSize> seat = {shared, args.length};
  const Team<kSize> team = seat.team();
  const Places places(args.length);
  const auto is_whole = [&](const void* values) { return reinterpret_cast<uintptr_t>(values) % 16 == 0; };
  const bool lies_whole = args.length % kPer == 0 && is_whole(args.ids) && is_whole(args.corrupted) &&
                          is_whole(args.scores) && is_whole(args.maskable);
  for (int64_t number = seat.first_row(); number < args.batch; number += seat.row_stride()) {
    const Row<cached> row = {args, number, uint64_t(args.sample_ids[number]), seat.kept(), lies_whole};
    const int64_t num_open = read_row(team, row, late);
    const int64_t from = choose_from(team, places, args.count[number], num_open, [&](int64_t i) { return row.key(i); });
    write_row(team, places, row, from, late);
  }
}

}  // namespace

void mask_tokens_count_cuda(const MaskTokensArgs& args, int64_t* row_counts, void* stream) {
  count_kernel<<<grid_of(args.batch / 8 + 1), 256, 0, static_cast<cudaStream_t>(stream)>>>(args, row_counts);
}

void mask_tokens_write_cuda(const MaskTokensArgs& args, const LateFailure& late, void* stream) {
  if (args.batch == 0) return;
  with_team(args.length, [&]<int kSize, bool cached>() {
    const auto kernel = write_kernel<kSize, cached>;
    const RowLaunch of = launch_of<kSize, cached>(kernel, args.batch, args.length);
    kernel<<<of.grid, of.threads, of.shared, static_cast<cudaStream_t>(stream)>>>(args, late);
  });
}

}  // namespace tokenmask
