// What every header shares: the host/device qualifier and float steps that round one by one.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define TM_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define TM_HOST_DEVICE inline __attribute__((always_inline))
#endif

namespace tokenmask {

// Each step is rounded to float32 on its own, so CPU, CUDA and the Python reference agree bit for bit.
// CPU files are compiled with -ffp-contract=off; on CUDA the intrinsics are never fused.
TM_HOST_DEVICE float add(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fadd_rn(a, b);
#else
  return a + b;
#endif
}

TM_HOST_DEVICE float multiply(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

TM_HOST_DEVICE float divide(float a, float b) {
#ifdef __CUDA_ARCH__
  return __fdiv_rn(a, b);
#else
  return a / b;
#endif
}

template <typename To, typename From>
TM_HOST_DEVICE To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From), "bits_as keeps the size");
  To result;
  memcpy(&result, &value, sizeof(To));
  return result;
}

}  // namespace tokenmask
