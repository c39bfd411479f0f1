// Sums of what a row's codes weigh, piece by piece, and the code that a draw falls on: first its piece, then its place.
#pragma once

#include "select.cuh"

namespace tokenmask {

// What a block has of a row in at most kBins pieces, each of which a warp sums. If the row is kept, pieces begin where
// vectors do: `shift` places before the row are in the first.
struct Pieces {
  uint32_t size, shift;
  int bits;  // of a place in its piece, at least nine
  int count;

  __device__ explicit Pieces(const Places& places, int shifted) {
    size = uint32_t(places.end - places.begin);
    shift = uint32_t(shifted);
    const uint32_t all = size + shift;
    bits = all > 512 * kBins ? 32 - __clz(int((all - 1) / kBins)) : 9;
    count = int((all + (1u << bits) - 1) >> bits);
  }
  // Of places from the first vector on: codes are `shift` before.
  __device__ uint32_t begin(int piece) const { return uint32_t(piece) << bits; }
  __device__ uint32_t end(int piece) const {
    const uint32_t next = begin(piece + 1);
    return next < size + shift ? next : size + shift;
  }
};

// Of a row, and of the blocks before the own.
struct Mass {
  int64_t all, before;
};

// Sums the pieces into the bins of the team, and over the row; `sum_of(piece)` is what a lane finds in a piece.
template <int kSize, bool kSpread, typename SumOf>
__device__ Mass sum_into_bins(const Team<kSize, kSpread>& team, const Pieces& pieces, SumOf sum_of) {
  team.meet();  // the bins may still be read
  int64_t mass = 0;
  for (int piece = team.warp(); piece < pieces.count; piece += kSize / 32) {
    const long long sum = sum_of_warp(sum_of(piece));
    if (team.lane() == 0) {
      team.memory.set(piece, sum);
      mass += sum;
    }
  }
  Mass found;
  found.all = team.sum(mass, found.before);
  return found;
}

// The same of `weigh(i)`.
template <int kSize, bool kSpread, typename Weigh>
__device__ Mass sum_pieces(const Team<kSize, kSpread>& team, const Places& places, const Pieces& pieces, Weigh weigh) {
  return sum_into_bins(team, pieces, [&](int piece) {
    long long own = 0;
    const uint32_t end = pieces.end(piece);
    uint32_t at = pieces.begin(piece) + team.lane();
    if (at < pieces.shift) at += 32;
    for (; at < end; at += 32) own += uint32_t(weigh(places.begin + (at - pieces.shift)));
    return own;
  });
}

constexpr int64_t kNotHere = -1;

// The first of [begin, end) at which the sum of `before` and of what stands up to it is above `target`, found by a warp;
// `before` becomes the sum up to it.
template <typename ValueOf>
__device__ int64_t first_above(int lane, int64_t begin, int64_t end, int64_t target, int64_t& before,
                               ValueOf value_of) {
  for (; begin < end; begin += 32) {
    const long long own = begin + lane < end ? value_of(begin + lane) : 0;
    long long upto = own;
    for (int step = 1; step < 32; step *= 2) {
      const long long lower = __shfl_up_sync(0xffffffffu, upto, step);
      if (lane >= step) upto += lower;
    }
    const unsigned beyond = __ballot_sync(0xffffffffu, before + upto > target);
    if (beyond) {
      const int found = __ffs(int(beyond)) - 1;
      before += __shfl_sync(0xffffffffu, upto - own, found);
      return begin + found;
    }
    before += __shfl_sync(0xffffffffu, upto, 31);
  }
  return kNotHere;
}

// The first code in index order whose cumulative weight is above `target()`, from the sums of the pieces; in the block that
// has it, and kNotHere in the others.
template <int kSize, bool kSpread, typename Target, typename Weigh>
__device__ int64_t find_code(const Team<kSize, kSpread>& team, const Places& places, const Pieces& pieces,
                             Target target, Weigh weigh) {
  if (team.warp() == 0) {
    const int64_t wanted = target();
    int64_t before = 0, code = kNotHere;
    if (wanted >= 0) {
      const auto sum_of = [&](int64_t piece) { return team.memory.sum(int(piece)); };
      code = first_above(team.lane(), 0, pieces.count, wanted, before, sum_of);
    }
    if (code != kNotHere) {
      const int64_t begin = int64_t{pieces.begin(int(code))} - pieces.shift;
      code = first_above(team.lane(), places.begin + (begin > 0 ? begin : 0), places.end, wanted, before, weigh);
    }
    if (team.lane() == 0) team.memory.found = code;
  }
  team.sync();
  return team.memory.found;
}

}  // namespace tokenmask
