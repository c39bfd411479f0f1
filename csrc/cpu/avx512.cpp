// The kernels on AVX-512 (F, BW, DQ, VL).
#if defined(__x86_64__)
// GCC 12 warns of the undefined values inside its own intrinsics.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#ifdef __clang__
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi,bmi2,lzcnt,popcnt,prefer-vector-width=512")
#endif

#define TM_ISA avx512
#define TM_LANES 16
#include "kernels/all.h"

#ifdef __clang__
#pragma clang attribute pop
#endif

namespace tokenmask {
const CpuKernels kAvx512Kernels = avx512::kernels("avx512");
}
#endif
