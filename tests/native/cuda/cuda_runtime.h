// Runs CUDA kernels on the CPU, for tests: the blocks of a launch one after another, the threads of a block as fibers
// that stop at barriers and warp collectives. Force-included before a .cu file that rewrite.py has turned into plain
// C++.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

using cudaStream_t = struct CUstream_st*;
enum cudaError_t : unsigned {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorLaunchFailure = 719
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8 };
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
  cudaDevAttrClusterLaunch = 120
};
struct cudaFuncAttributes {
  int ptxVersion;
};
enum cudaLaunchAttributeID { cudaLaunchAttributeClusterDimension = 4 };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    dim3 clusterDim;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes;
  cudaStream_t stream;
  cudaLaunchAttribute* attrs;
  unsigned numAttrs;
};

cudaError_t cudaGetLastError();  // and forgets it
const char* cudaGetErrorString(cudaError_t error);

// Of the thread that runs; a fiber's own copy is put here when it continues.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace emulated {

constexpr size_t kMostShared = 227 * 1024;  // of a block on Hopper, after cudaFuncSetAttribute; 48 KB before

// What kernels are told of the device when they are launched, an H200; a test makes it another one.
struct Device {
  int processors = 132;
  int shared = int(kMostShared);
  bool has_clusters = true;
};
extern Device device;

// Only these blocks of a launch run, or these clusters of blocks, for tests on arrays so large that walking all of them would take too long.
struct BlockRange {
  uint64_t begin, end;
};
extern BlockRange only_blocks;

// The order in which the threads of a block run between barriers: 0 ascending, 1 descending, else shuffled by this
// seed.
extern uint64_t thread_order;

// What launches did since the caller last cleared it. Bytes are counted by racecheck.cpp only.
struct Counts {
  uint64_t launches, blocks, barriers, collectives, cluster_barriers, read_bytes, written_bytes;
};
extern Counts counts;

struct Config {
  dim3 grid, block;
  size_t shared;
  unsigned cluster = 1;  // neighbouring blocks that run at once
  Config(dim3 grid, dim3 block, size_t shared = 0, cudaStream_t = nullptr) : grid(grid), block(block), shared(shared) {}
};

void run(const Config& config, const void* kernel, const std::function<void()>& thread);
cudaError_t allow_shared(const void* kernel, int64_t bytes);

// kernel<<<grid, block, shared, stream>>>(...) becomes Launch(grid, block, shared, stream)(kernel)(...).
struct Launch : Config {
  using Config::Config;
  template <typename... P>
  auto operator()(void (*kernel)(P...)) const {
    return [config = Config(*this), kernel](std::type_identity_t<P>... args) {
      const auto thread = [&] { kernel(args...); };
      run(config, reinterpret_cast<const void*>(kernel), std::ref(thread));  // no copy, whose reads would be counted
    };
  }
};

void* dynamic_shared();  // `extern __shared__ T name[]` becomes T* name = this

// Waits for all threads of the block and counts those that hold.
int wait_for_block(const char* file, int line, int holds = 0);
// Waits for all threads of all blocks of the cluster.
void wait_for_cluster(const char* file, int line);
int cluster_rank();
int cluster_size();
void* of_block(const void* shared, int rank);  // what lies there in the shared memory of another block of the cluster

// Waits for all lanes of the mask; then each has what they gave, `size` bytes every 16.
const unsigned char* exchange(uint32_t mask, const void* value, size_t size, const char* file, int line);
[[noreturn]] void trap();

// Accesses inside are atomic ones.
struct Atomic {
  Atomic();
  ~Atomic();
};

}  // namespace emulated

template <typename Kernel>
cudaError_t cudaFuncSetAttribute(Kernel* kernel, cudaFuncAttribute, int64_t bytes) {
  return emulated::allow_shared(reinterpret_cast<const void*>(kernel), bytes);
}

inline cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  const emulated::Device& device = emulated::device;
  if (attribute == cudaDevAttrMultiProcessorCount) *value = device.processors;
  if (attribute == cudaDevAttrMaxSharedMemoryPerBlockOptin) *value = device.shared;
  if (attribute == cudaDevAttrClusterLaunch) *value = device.has_clusters;
  return cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* of, Kernel*) {
  *of = {90};
  return cudaSuccess;
}
template <typename Kernel>
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, Kernel*, const cudaLaunchConfig_t* config) {
  *clusters = emulated::device.processors / int(config->attrs->val.clusterDim.x);
  return cudaSuccess;
}
template <typename... P>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* as, void (*kernel)(P...), std::type_identity_t<P>... args) {
  emulated::Launch launch(as->gridDim, as->blockDim, as->dynamicSmemBytes, as->stream);
  if (as->numAttrs) launch.cluster = as->attrs->val.clusterDim.x;
  launch(kernel)(args...);
  return cudaSuccess;
}

// Default arguments are evaluated at the call, so these are the caller's.
#define EMULATED_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(EMULATED_SITE) { emulated::wait_for_block(file, line); }
inline void __syncwarp(uint32_t mask = 0xffffffffu, EMULATED_SITE) { emulated::exchange(mask, nullptr, 0, file, line); }
[[noreturn]] inline void __trap() { emulated::trap(); }

inline unsigned lane_of_thread() { return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32; }

template <typename T>
T from_lane(uint32_t mask, T value, unsigned lane, const char* file, int line) {
  static_assert(sizeof(T) <= 16 && std::is_trivially_copyable_v<T>);
  const unsigned char* given = emulated::exchange(mask, &value, sizeof(T), file, line);
  T result;
  memcpy(&result, given + 16 * (lane < 32 && (mask >> lane & 1) ? lane : lane_of_thread()), sizeof(T));
  return result;
}
template <typename T>
T __shfl_sync(uint32_t mask, T value, int lane, int width = 32, EMULATED_SITE) {
  return from_lane(mask, value, (lane_of_thread() & ~unsigned(width - 1)) + (unsigned(lane) & unsigned(width - 1)),
                   file, line);
}
template <typename T>
T __shfl_xor_sync(uint32_t mask, T value, int bits, int width = 32, EMULATED_SITE) {
  const unsigned self = lane_of_thread(), lane = self ^ unsigned(bits);
  return from_lane(mask, value, lane < (self & ~unsigned(width - 1)) + unsigned(width) ? lane : self, file, line);
}
template <typename T>
T __shfl_down_sync(uint32_t mask, T value, unsigned by, int width = 32, EMULATED_SITE) {
  const unsigned self = lane_of_thread();
  return from_lane(mask, value, (self & unsigned(width - 1)) + by < unsigned(width) ? self + by : self, file, line);
}
template <typename T>
T __shfl_up_sync(uint32_t mask, T value, unsigned by, int width = 32, EMULATED_SITE) {
  const unsigned self = lane_of_thread();
  return from_lane(mask, value, (self & unsigned(width - 1)) >= by ? self - by : self, file, line);
}
template <typename T, typename Combine>
T reduce_lanes(uint32_t mask, T value, T first, Combine combine, const char* file, int line) {
  const unsigned char* given = emulated::exchange(mask, &value, sizeof(T), file, line);
  for (unsigned lane = 0; lane < 32; ++lane) {
    T other;
    memcpy(&other, given + 16 * lane, sizeof(T));
    if (mask >> lane & 1) first = combine(first, other, lane);
  }
  return first;
}
inline unsigned __ballot_sync(uint32_t mask, int holds, EMULATED_SITE) {
  return reduce_lanes(
      mask, unsigned(holds != 0), 0u, [](unsigned all, unsigned one, unsigned lane) { return all | one << lane; }, file,
      line);
}
inline int __any_sync(uint32_t mask, int holds, EMULATED_SITE) { return __ballot_sync(mask, holds, file, line) != 0; }
inline int __all_sync(uint32_t mask, int holds, EMULATED_SITE) {
  return __ballot_sync(mask, holds, file, line) == mask;
}
template <typename T>
T __reduce_add_sync(uint32_t mask, T value, EMULATED_SITE) {
  return reduce_lanes(mask, value, T{}, [](T all, T one, unsigned) { return T(all + one); }, file, line);
}
template <typename T>
T __reduce_max_sync(uint32_t mask, T value, EMULATED_SITE) {
  return reduce_lanes(mask, value, value, [](T all, T one, unsigned) { return one > all ? one : all; }, file, line);
}
template <typename T>
T __reduce_min_sync(uint32_t mask, T value, EMULATED_SITE) {
  return reduce_lanes(mask, value, value, [](T all, T one, unsigned) { return one < all ? one : all; }, file, line);
}
inline int __syncthreads_count(int holds, EMULATED_SITE) { return emulated::wait_for_block(file, line, holds != 0); }
inline int __syncthreads_or(int holds, EMULATED_SITE) { return __syncthreads_count(holds, file, line) != 0; }
inline int __syncthreads_and(int holds, EMULATED_SITE) { return __syncthreads_count(holds == 0, file, line) == 0; }

// T and the value's type differ for literals; the value before is returned.
template <typename T, typename Change>
T change(T* at, Change next) {
  const emulated::Atomic atomic;
  const T before = *at;
  *at = next(before);
  return before;
}
template <typename T>
T atomicAdd(T* at, std::type_identity_t<T> by) {
  return change(at, [&](T x) { return T(x + by); });
}
template <typename T>
T atomicMin(T* at, std::type_identity_t<T> other) {
  return change(at, [&](T x) { return other < x ? other : x; });
}
template <typename T>
T atomicMax(T* at, std::type_identity_t<T> other) {
  return change(at, [&](T x) { return other > x ? other : x; });
}
template <typename T>
T atomicOr(T* at, std::type_identity_t<T> other) {
  return change(at, [&](T x) { return T(x | other); });
}
template <typename T>
T atomicExch(T* at, std::type_identity_t<T> other) {
  return change(at, [&](T) { return other; });
}
template <typename T>
T atomicCAS(T* at, std::type_identity_t<T> expected, std::type_identity_t<T> wanted) {
  return change(at, [&](T x) { return x == expected ? wanted : x; });
}
inline void __threadfence() {}
inline void __threadfence_block() {}

// Compile with -ffp-contract=off: then each is rounded on its own. rsqrtf and expf are the CPU's, exact where a GPU is
// allowed 2 ulp.
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __int_as_float(int x) { return __builtin_bit_cast(float, x); }
inline int __float_as_int(float x) { return __builtin_bit_cast(int, x); }
inline unsigned __float_as_uint(float x) { return __builtin_bit_cast(unsigned, x); }
inline unsigned __umulhi(unsigned a, unsigned b) { return unsigned(uint64_t{a} * b >> 32); }
inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return uint64_t(static_cast<unsigned __int128>(a) * b >> 64); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(unsigned(x)) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
template <typename T>
T __ldg(const T* at) {
  return *at;
}
template <typename T>
T __ldcs(const T* at) {
  return *at;
}
template <typename T>
void __stcs(T* at, std::type_identity_t<T> value) {
  *at = value;
}

// Vectors have the alignment that a GPU demands; -fsanitize=alignment sees a load that has not.
#define EMULATED_VECTORS(T, name)                                                    \
  struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                 \
  struct alignas(4 * sizeof(T) > 16 ? 16 : 4 * sizeof(T)) name##4 { T x, y, z, w; }; \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                         \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
EMULATED_VECTORS(float, float)
EMULATED_VECTORS(int, int)
EMULATED_VECTORS(unsigned, uint)
EMULATED_VECTORS(short, short)
EMULATED_VECTORS(unsigned short, ushort)
EMULATED_VECTORS(signed char, char)
EMULATED_VECTORS(unsigned char, uchar)
EMULATED_VECTORS(long long, longlong)
#undef EMULATED_VECTORS

#define __host__
#define __device__
#define __global__
#define __constant__ static
#define __shared__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define __CUDACC__ 1
#define __CUDA_ARCH__ 900
