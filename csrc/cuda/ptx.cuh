// Instructions that C++ has no words for, each in a small function; tests/native/cuda has their twins.
#pragma once

#ifdef EMULATED
#include "emulated_ptx.h"
#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <type_traits>

namespace tokenmask {

__device__ inline uint32_t shared_address(const void* at) { return uint32_t(__cvta_generic_to_shared(at)); }

// Begins to copy 16 bytes to shared memory, or zeros if there are none to copy; both ends lie at multiples of 16 bytes.
__device__ inline void copy_async(void* to_shared, const void* from_global, bool has) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to_shared)), "l"(from_global),
               "r"(has ? 16 : 0)
               : "memory");
}
// What was begun since the last call becomes a group.
__device__ inline void end_group() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits for this thread's copies but those of the last `left` groups.
template <int left>
__device__ void wait_for_groups() {
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}

// A half as a float; of a NaN some NaN.
__device__ inline float widen_half(uint16_t bits) {
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(bits));
  return wide;
}

// The larger of two numbers; NaN, with its sign bit clear, if either is.
__device__ inline float larger_or_nan(float a, float b) {
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
}

// Blocks of a cluster, which run at once and read each other's shared memory: which one this is, and of how many; a
// barrier of all their threads, behind which each sees what the others wrote; what stands at the same place of another
// block's. Before sm_90 there are none, and nobody calls these.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
#define TM_CLUSTERS(...) __VA_ARGS__
#else
#define TM_CLUSTERS(...) __trap()
#endif
__device__ inline int cluster_rank() {
  unsigned rank = 0;
  TM_CLUSTERS(asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank)));
  return int(rank);
}
__device__ inline int cluster_size() {
  unsigned size = 1;
  TM_CLUSTERS(asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size)));
  return int(size);
}
__device__ inline void sync_cluster() {
  TM_CLUSTERS(
      asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" :: : "memory"));
}
template <typename T>
__device__ const T* of_block(const T* shared, int rank) {
  uint64_t at = 0;
  TM_CLUSTERS(asm volatile("mapa.u64 %0, %1, %2;" : "=l"(at) : "l"(shared), "r"(rank)));
  return reinterpret_cast<const T*>(at);
}
#undef TM_CLUSTERS

// Four 8 x 8 matrices of 16-bit numbers, transposed: lane i gives the address of row i % 8 of matrix i / 8, and receives
// of each matrix column i / 4 of rows 2 (i % 4) and the next.
__device__ inline void load_transposed(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}

// The same as they lie: of each matrix row i / 4, columns 2 (i % 4) and the next.
__device__ inline void load_matrices(uint32_t (&out)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(out[0]), "=r"(out[1]), "=r"(out[2]), "=r"(out[3])
               : "r"(shared_address(row))
               : "memory");
}

// c += a b by a warp, 16 x 16 times 16 x 8, products of T summed in float32. Lane i has of a rows i / 4 and 8 more, columns
// 2 (i % 4), the next, and 8 more: {row, row + 8} x {columns, columns + 8} in the order row, row + 8, row, row + 8; of b
// column i / 4; of c rows as of a, columns 2 (i % 4) and the next.
template <typename T>
__device__ void multiply_tiles(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, __half>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, "
        "%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, "
        "%2, "
        "%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

}  // namespace tokenmask
#endif
