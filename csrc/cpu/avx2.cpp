// The kernels on AVX2 and FMA.
#if defined(__x86_64__)
#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx2,fma,bmi,bmi2,lzcnt,popcnt")
#endif

#define TM_ISA avx2
#define TM_LANES 8
#include "kernels/all.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

namespace tokenmask {
const CpuKernels kAvx2Kernels = avx2::kernels("avx2");
}
#endif
