// Guards and helpers of the registrations. The Python faces word the errors that users meet; these keep direct calls of
// torch.ops.tokenmask.* inside their memory.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>

#ifdef TOKENMASK_WITH_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

#include "raise.h"
#include "tokenmask/floats.h"

namespace tokenmask {

// A contiguous tensor of the given type and shape on the device of `like`.
inline at::Tensor checked(const at::Tensor& tensor, const char* name, at::ScalarType type, at::IntArrayRef shape,
                          const at::Tensor& like) {
  TORCH_CHECK_TYPE(tensor.scalar_type() == type, name, " must be ", type, ", got ", tensor.scalar_type());
  TORCH_CHECK_VALUE(tensor.sizes() == shape, name, " must have the shape ", shape, ", got ", tensor.sizes());
  TORCH_CHECK_VALUE(tensor.device() == like.device(), name, " must be on ", like.device(), ", got ", tensor.device());
  return tensor.contiguous();
}

// The same for a tensor that may be shared by all rows; `row_stride` becomes 0 if it is.
inline at::Tensor checked_rows(const at::Tensor& tensor, const char* name, at::ScalarType type, const at::Tensor& like,
                               int64_t& row_stride) {
  const bool shared = tensor.dim() == 1;
  row_stride = shared ? 0 : like.size(1);
  return checked(tensor, name, type, shared ? like.sizes().slice(1) : like.sizes(), like);
}

inline FloatType float_type(const at::Tensor& tensor, const char* name) {
  const at::ScalarType type = tensor.scalar_type();
  TORCH_CHECK_TYPE(type == at::kFloat || type == at::kBFloat16 || type == at::kHalf, name,
                   " must be float32, bfloat16 or float16, got ", type);
  if (type == at::kFloat) return FloatType::float32;
  return type == at::kHalf ? FloatType::float16 : FloatType::bfloat16;
}

template <typename T>
const T* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

// Splits the rows over torch's threads and returns the first failure. Small work stays on one thread.
template <typename Rows>
int64_t run_rows(int64_t rows, int64_t row_size, const Rows& run) {
  std::atomic<int64_t> first{kNoFailure};
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, row_size));
  at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
    const int64_t failed = run(begin, end);
    int64_t known = first.load();
    while (failed < known && !first.compare_exchange_weak(known, failed)) {
    }
  });
  return first.load();
}

#ifdef TOKENMASK_WITH_CUDA
inline void* current_stream() { return c10::cuda::getCurrentCUDAStream().stream(); }
#endif

}  // namespace tokenmask
