#pragma once
#include <c10/util/Exception.h>

#include "cuda_runtime_api.h"

#define C10_CUDA_KERNEL_LAUNCH_CHECK()                                            \
  do {                                                                            \
    const cudaError_t error = cudaGetLastError();                                 \
    TORCH_CHECK(error == cudaSuccess, "CUDA error: ", cudaGetErrorString(error)); \
  } while (false)
