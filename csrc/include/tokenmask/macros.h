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

// Whether a flag is set. A byte other than 0 and 1, which a view of other memory as bool may hold, counts as set, as it
// does for the CPU's vectors; as a C++ bool it would be undefined.
TM_HOST_DEVICE bool is_set(const bool* flags, int64_t i) { return reinterpret_cast<const uint8_t*>(flags)[i] != 0; }

template <typename To, typename From>
TM_HOST_DEVICE To bits_as(From value) {
  static_assert(sizeof(To) == sizeof(From), "bits_as keeps the size");
  To result;
  memcpy(&result, &value, sizeof(To));
  return result;
}

}  // namespace tokenmask
