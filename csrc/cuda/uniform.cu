#include "tokenmask/uniform.h"

namespace tokenmask {

namespace {

__global__ void uniform_kernel(UniformArgs args) {
  const int64_t step = int64_t{blockDim.x} * gridDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < args.size; i += step) {
    args.out[i] = uniform_at(args, i);
  }
}

}  // namespace

void uniform_cuda(const UniformArgs& args, void* stream) {
  if (args.size == 0) return;
  const int64_t blocks = (args.size + 255) / 256;
  uniform_kernel<<<unsigned(blocks < 65535 ? blocks : 65535), 256, 0, static_cast<cudaStream_t>(stream)>>>(args);
}

}  // namespace tokenmask
