// Of the emulated runtime, what csrc/torch needs; its own header is for kernels. What would wait for a GPU is counted.
#pragma once

#include <cstdlib>

enum cudaError_t : unsigned;
cudaError_t cudaGetLastError();
const char* cudaGetErrorString(cudaError_t error);
constexpr cudaError_t cudaSuccess = cudaError_t(0);

extern "C" {
inline long emulated_waits = 0;  // a test reads it by this name
}

constexpr unsigned cudaHostAllocPortable = 1, cudaHostAllocMapped = 2;
inline cudaError_t cudaHostAlloc(void** memory, size_t size, unsigned) {
  *memory = std::malloc(size);
  return *memory ? cudaSuccess : cudaError_t(2);
}

inline cudaError_t cudaDeviceSynchronize() {
  ++emulated_waits;
  return cudaSuccess;
}

enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal,
  cudaStreamCaptureModeThreadLocal,
  cudaStreamCaptureModeRelaxed
};
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) { return cudaSuccess; }
