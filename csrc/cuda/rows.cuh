// How rows are given to teams: a warp, a block of 256 or of 512 threads a row, by its length, which keep what they
// computed of the row in shared memory; rows that do not fit are computed again from global memory where they are needed.
#pragma once

#include "grid.cuh"
#include "team.cuh"
#include "tokenmask/macros.h"

namespace tokenmask {

constexpr int64_t kMostOfWarp = 1024;    // elements of a row that one warp takes
constexpr int64_t kMostOfBlock = 16384;  // that 256 threads take: several blocks then share a multiprocessor
constexpr int kRowsOfWarps = 4;          // rows that a block of warps takes

template <int kSize>
constexpr int kRowsOfTeams = kSize == 32 ? kRowsOfWarps : 1;

template <int kSize>
constexpr int kThreadsOfTeams = kSize * kRowsOfTeams<kSize>;

// What is kept of a row begins where whole vectors of it lie at multiples of 16 bytes, as they do in global memory, so up to
// three numbers before it and behind it are room. `head` elements come before the first whole vector.
TM_HOST_DEVICE int64_t room_of(int64_t length) { return (length + 6) / 4 * 4; }
__device__ inline int shift_of(int head) { return int(-head & 3); }

// Which rows a team takes, and its part of the block's shared memory: first the teams' own, then 4 bytes an element.
template <int kSize>
struct Seat {
  uint4* shared;
  int64_t length;

  __device__ int number() const { return int(threadIdx.x) / kSize; }
  __device__ Team<kSize> team() const {
    return {reinterpret_cast<TeamMemory<kSize>*>(shared)[number()], int(threadIdx.x) % kSize};
  }
  __device__ int32_t* kept() const {
    auto* behind = reinterpret_cast<int32_t*>(reinterpret_cast<TeamMemory<kSize>*>(shared) + kRowsOfTeams<kSize>);
    return behind + number() * room_of(length);
  }
  __device__ int64_t first_row() const { return int64_t{blockIdx.x} * kRowsOfTeams<kSize> + number(); }
  __device__ static int64_t row_stride() { return int64_t{gridDim.x} * kRowsOfTeams<kSize>; }
};

struct RowLaunch {
  unsigned grid, threads;
  size_t shared;
};

template <int kSize, bool cached, typename Kernel>
RowLaunch launch_of(Kernel* kernel, int64_t rows, int64_t length) {
  const int64_t each = kRowsOfTeams<kSize>, blocks = (rows + each - 1) / each;
  const size_t shared = each * (sizeof(TeamMemory<kSize>) + (cached ? room_of(length) * sizeof(int32_t) : 0));
  // The most that the device has, not this call's size: another thread may launch the kernel at the same time.
  if (shared > (48 << 10)) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, most_shared());
  return {grid_of(blocks), kThreadsOfTeams<kSize>, shared};
}

// Calls `launch.operator()<size of the team, cached>()` for rows of this length.
template <typename Launch>
void with_team(int64_t length, const Launch& launch) {
  if (length <= kMostOfWarp) return launch.template operator()<32, true>();
  const int64_t room = most_shared() - int64_t(sizeof(TeamMemory<512>));
  if (length <= kMostOfBlock && room_of(length) * 4 <= room) return launch.template operator()<256, true>();
  if (room_of(length) * 4 <= room) return launch.template operator()<512, true>();
  launch.template operator()<512, false>();
}

}  // namespace tokenmask
