// choose and commit: a team a row, which reads scores and flags once and keeps the slots' keys.
#include "rows.cuh"
#include "select.cuh"
#include "tokenmask/choose.h"
#include "tokenmask/commit.h"
#include "vectors.cuh"

namespace tokenmask {

namespace {

constexpr int kPer = 4;  // slots of a vector

template <bool cached>
struct Row {
  const float* scores;
  const bool* is_open;
  int32_t* kept;  // [length], if cached
  int64_t length, head;

  __device__ Row(const ChooseArgs& args, int64_t row, int32_t* kept_keys) {
    length = args.length;
    scores = args.scores + row * length;
    is_open = args.is_open + row * length;
    kept = kept_keys;
    head = head_of(scores, 4);
    // Flags, and what is written, are taken four at a time where they lie as the scores do.
    if ((reinterpret_cast<uintptr_t>(is_open) + head) % kPer != 0) head = length;
  }

  __device__ int32_t key(int64_t i) const {
    if constexpr (cached) return kept[i];
    return slot_key(scores[i], is_set(is_open, i));
  }
};

// How many slots of the row are open, or -1 if one of them has a NaN score.
template <bool cached, int kSize>
__device__ int64_t read_row(const Team<kSize>& team, const Row<cached>& row) {
  int64_t num_open = 0;
  int32_t num_nan = 0;
  const auto see = [&](int64_t i, float score, bool open) {
    if constexpr (cached) row.kept[i] = slot_key(score, open);
    num_open += open;
    num_nan += open && score != score;
  };
  struct Both {
    uint4 scores;
    uint32_t flags;
  };
  walk_vectors<kPer, kSize>(
      team.thread, row.length, row.head,
      [&](int64_t i) { return Both{load_vector(row.scores, 4 * i), load_flags(row.is_open, i)}; },
      [&](int64_t i, const Both& both) {
#pragma unroll
        for (int e = 0; e < kPer; ++e) {
          see(i + e, float_of<FloatType::float32>(both.scores, e), flag_of(both.flags, e));
        }
      },
      [&](int64_t i) { see(i, row.scores[i], is_set(row.is_open, i)); });
  // Both in one sum: at most 2^31 slots are open.
  const int64_t sum = team.sum(num_open + (int64_t{num_nan} << 32));
  return sum >> 32 ? -1 : sum;
}

// The place from which the row's slots are chosen; a row with NaN chooses nothing and is reported.
template <bool cached, int kSize>
__device__ int64_t choose_row(const Team<kSize>& team, const Places& places, const Row<cached>& row, int64_t number,
                              int64_t count, const LateFailure& late) {
  const int64_t num_open = read_row(team, row);
  if (num_open < 0 && team.thread == 0) report(late, failure(number, Reason::not_a_number));
  return choose_from(team, places, count, num_open < 0 ? 0 : num_open, [&](int64_t i) { return row.key(i); });
}

__device__ bool is_chosen(const Places& places, int64_t from, int32_t key, int64_t i) {
  return key != kClosedKey && from != kNothing && places(key, i) >= from;
}

template <int kSize, bool cached>
__global__ void __launch_bounds__(kThreadsOfTeams<kSize>, 1) choose_kernel(ChooseArgs args, LateFailure late) {
  extern __shared__ uint4 shared[];
  const Seat<kSize> seat = {shared, args.length};
  const Team<kSize> team = seat.team();
  const Places places(args.length);
  for (int64_t number = seat.first_row(); number < args.batch; number += seat.row_stride()) {
    const Row<cached> row(args, number, seat.kept());
    const int64_t from = choose_row(team, places, row, number, args.count[number], late);
    bool* chosen = args.chosen + number * args.length;
    const auto decide = [&](int64_t i) { return is_chosen(places, from, row.key(i), i); };
    const bool whole = (reinterpret_cast<uintptr_t>(chosen) + row.head) % kPer == 0;
    walk_vectors<kPer, kSize>(
        team.thread, row.length, whole ? row.head : row.length, [](int64_t) { return 0; },
        [&](int64_t i, int) {
          uint32_t flags = 0;
#pragma unroll
          for (int e = 0; e < kPer; ++e) flags |= uint32_t{decide(i + e)} << (8 * e);
          *reinterpret_cast<uint32_t*>(chosen + i) = flags;
        },
        [&](int64_t i) { chosen[i] = decide(i); });
    team.sync();  // before the next row's keys are kept
  }
}

template <int kSize, bool cached>
__global__ void __launch_bounds__(kThreadsOfTeams<kSize>, 1) commit_kernel(CommitArgs args, LateFailure late) {
  extern __shared__ uint4 shared[];
  const ChooseArgs& choice = args.choice;
  const Seat<kSize> seat = {shared, choice.length};
  const Team<kSize> team = seat.team();
  const Places places(choice.length);
  for (int64_t number = seat.first_row(); number < choice.batch; number += seat.row_stride()) {
    const Row<cached> row(choice, number, seat.kept());
    const int64_t from = choose_row(team, places, row, number, choice.count[number], late);
    const int64_t at = number * choice.length;
    const int32_t *ids = args.ids + at, *proposed = args.proposed + at;
    int32_t* out = args.out + at;
    bool* still_open = choice.chosen + at;
    const auto lies_alike = [&](const void* other, int64_t bytes) {
      return (reinterpret_cast<uintptr_t>(other) + bytes * row.head) % (kPer * bytes) == 0;
    };
    const bool whole = lies_alike(ids, 4) && lies_alike(proposed, 4) && lies_alike(out, 4) && lies_alike(still_open, 1);
    struct Both {
      uint4 ids, proposed;
    };
    walk_vectors<kPer, kSize>(
        team.thread, row.length, whole ? row.head : row.length,
        [&](int64_t i) { return Both{load_vector(ids, 4 * i), load_vector(proposed, 4 * i)}; },
        [&](int64_t i, const Both& both) {
          const uint32_t before[] = {both.ids.x, both.ids.y, both.ids.z, both.ids.w};
          const uint32_t after[] = {both.proposed.x, both.proposed.y, both.proposed.z, both.proposed.w};
          uint32_t here[kPer], flags = 0;
#pragma unroll
          for (int e = 0; e < kPer; ++e) {
            const int32_t key = row.key(i + e);
            const bool chosen = is_chosen(places, from, key, i + e);
            here[e] = chosen ? after[e] : before[e];
            flags |= uint32_t{key != kClosedKey && !chosen} << (8 * e);
          }
          *reinterpret_cast<uint4*>(out + i) = {here[0], here[1], here[2], here[3]};
          *reinterpret_cast<uint32_t*>(still_open + i) = flags;
        },
        [&](int64_t i) {
          const int32_t key = row.key(i);
          const bool chosen = is_chosen(places, from, key, i);
          out[i] = chosen ? proposed[i] : ids[i];
          still_open[i] = key != kClosedKey && !chosen;
        });
    team.sync();  // before the next row's keys are kept
  }
}

}  // namespace

void choose_cuda(const ChooseArgs& args, const LateFailure& late, void* stream) {
  if (args.batch == 0) return;
  with_team(args.length, [&]<int kSize, bool cached>() {
    const auto kernel = choose_kernel<kSize, cached>;
    const RowLaunch of = launch_of<kSize, cached>(kernel, args.batch, args.length);
    kernel<<<of.grid, of.threads, of.shared, static_cast<cudaStream_t>(stream)>>>(args, late);
  });
}

void commit_cuda(const CommitArgs& args, const LateFailure& late, void* stream) {
  if (args.choice.batch == 0) return;
  with_team(args.choice.length, [&]<int kSize, bool cached>() {
    const auto kernel = commit_kernel<kSize, cached>;
    const RowLaunch of = launch_of<kSize, cached>(kernel, args.choice.batch, args.choice.length);
    kernel<<<of.grid, of.threads, of.shared, static_cast<cudaStream_t>(stream)>>>(args, late);
  });
}

}  // namespace tokenmask
