// How many blocks a launch has, and how much shared memory they may ask for.
#pragma once

#ifndef EMULATED
#include <cuda_runtime.h>
#endif

#include <cstdint>

#ifndef TM_MOST_BLOCKS  // a test makes it small, so that blocks take several rows
#define TM_MOST_BLOCKS 65535
#endif

namespace tokenmask {

// More rows than blocks are walked with a stride of the grid, so that any number of rows fits.
inline unsigned grid_of(int64_t blocks) { return unsigned(blocks < TM_MOST_BLOCKS ? blocks : TM_MOST_BLOCKS); }

// The shared memory that a block may ask for.
inline int64_t most_shared() {
  int device = 0, bytes = 48 << 10;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return bytes;
}

}  // namespace tokenmask
