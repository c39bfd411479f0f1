// Force-included in csrc/torch: what is registered for CUDA runs for CPU tensors, and what is for CPU tensors is kept
// out of the way, under a device that no test uses. So every test of an op on the CPU tests its CUDA kernel and its
// glue.
#pragma once

#include <torch/library.h>

#undef TORCH_LIBRARY_IMPL
#define TORCH_LIBRARY_IMPL(space, key, m) EMULATED_IMPL_##key(space, m)
#define EMULATED_IMPL_CPU(space, m) _TORCH_LIBRARY_IMPL(space, XPU, m, C10_UID)
#define EMULATED_IMPL_CUDA(space, m) _TORCH_LIBRARY_IMPL(space, CPU, m, C10_UID)
