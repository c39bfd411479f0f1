// How long rows are given to clusters: each block keeps a part of a row in its shared memory, and integers are summed over
// all of them. Rows that are too long for one block are so read once, and few rows have more of the processors.
#pragma once

#include "rows.cuh"

#ifndef TM_LEAST_OF_SPREAD  // a test makes it small, so that short rows are spread
#define TM_LEAST_OF_SPREAD 8192
#endif

namespace tokenmask {

constexpr int kThreadsOfSpread = 512;
constexpr int kMostBlocksOfRow = 8;  // clusters of more do not run on every device
using SpreadTeam = Team<kThreadsOfSpread, true>;
using SpreadMemory = TeamMemory<kThreadsOfSpread>;

// How many elements of a row each of some blocks has: parts begin where a row does in its vectors.
TM_HOST_DEVICE int64_t part_of(int64_t length, int64_t blocks) {
  return ((length + blocks - 1) / blocks + 63) / 64 * 64;
}

// Which rows a cluster takes, and what the block has of them: in shared memory first the team's own, then 4 bytes an
// element.
struct SpreadSeat {
  uint4* shared;
  int64_t length;

  __device__ SpreadTeam team() const { return {*reinterpret_cast<SpreadMemory*>(shared), int(threadIdx.x)}; }
  __device__ int32_t* kept() const { return reinterpret_cast<int32_t*>(reinterpret_cast<SpreadMemory*>(shared) + 1); }
  __device__ int64_t begin() const { return inside(cluster_rank() * part_of(length, cluster_size())); }
  __device__ int64_t end() const { return inside((cluster_rank() + 1) * part_of(length, cluster_size())); }
  __device__ int64_t first_row() const { return blockIdx.x / unsigned(cluster_size()); }
  __device__ static int64_t row_stride() { return gridDim.x / unsigned(cluster_size()); }

 private:
  __device__ int64_t inside(int64_t at) const { return at < length ? at : length; }
};

// How many blocks share a row: as many as it takes to keep it, and more while processors would be left over. 1 where it
// fits a block; more than kMostBlocksOfRow where nothing keeps it.
inline int64_t blocks_of_row(int64_t rows, int64_t length, int64_t room, int64_t processors) {
  int64_t blocks = 1;
  const auto is_kept = [&] { return room_of(part_of(length, blocks)) * 4 <= room; };
  const auto has_more = [&] {
    return 2 * rows * blocks <= processors && length >= 2 * blocks * TM_LEAST_OF_SPREAD && blocks < kMostBlocksOfRow;
  };
  while (blocks <= kMostBlocksOfRow && (!is_kept() || has_more())) blocks *= 2;
  return blocks;
}

inline int attribute_of_device(cudaDeviceAttr attribute) {
  int device = 0, value = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&value, attribute, device);
  return value;
}

// Launches with a cluster a row where that pays and this device and this build can; false where nothing was launched.
template <typename... P, typename... Given>
bool launch_spread(void (*kernel)(P...), int64_t rows, int64_t length, cudaStream_t stream, const Given&... given) {
  if (length < 2 * TM_LEAST_OF_SPREAD || !attribute_of_device(cudaDevAttrClusterLaunch)) return false;
  const int64_t shared = most_shared(), room = shared - int64_t(sizeof(SpreadMemory));
  const int64_t blocks = blocks_of_row(rows, length, room, attribute_of_device(cudaDevAttrMultiProcessorCount));
  if (blocks == 1 || blocks > kMostBlocksOfRow) return false;
  cudaFuncAttributes built = {};
  if (cudaFuncGetAttributes(&built, kernel) != cudaSuccess || built.ptxVersion < 90) return false;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared));
  cudaLaunchAttribute of_cluster = {};
  of_cluster.id = cudaLaunchAttributeClusterDimension;
  of_cluster.val.clusterDim = {unsigned(blocks), 1, 1};
  cudaLaunchConfig_t as = {};
  as.gridDim = dim3(grid_of(rows) * unsigned(blocks));
  as.blockDim = dim3(kThreadsOfSpread);
  as.dynamicSmemBytes = sizeof(SpreadMemory) + room_of(part_of(length, blocks)) * 4;
  as.stream = stream;
  as.attrs = &of_cluster;
  as.numAttrs = 1;
  int at_once = 0;  // none where a device was parted into pieces that are too small
  if (cudaOccupancyMaxActiveClusters(&at_once, kernel, &as) != cudaSuccess) cudaGetLastError();
  if (at_once == 0) return false;
  cudaLaunchKernelEx(&as, kernel, given...);
  return true;
}

}  // namespace tokenmask
