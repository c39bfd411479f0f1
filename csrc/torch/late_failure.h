// Failures of CUDA ops that do not wait for their kernels. Each op has two words of memory on the host that kernels of
// any device can write; its next call reads them and raises. With TOKENMASK_CHECK=now each call waits for its own
// failure.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <string_view>

#include "checks.h"

namespace tokenmask {

class LateFailures {
 public:
  explicit LateFailures(const char* op) : op_(op) {
    void* words = nullptr;
    const cudaError_t error = cudaHostAlloc(&words, 2 * sizeof(int64_t), cudaHostAllocPortable | cudaHostAllocMapped);
    TORCH_CHECK(error == cudaSuccess, op, ": memory that the GPU and the host share is needed for errors, got ",
                cudaGetErrorString(error), "; free memory of the host or lift its limit on locked memory");
    words_ = static_cast<int64_t*>(words);
    words_[0] = kNoFailure;
    const char* when = std::getenv("TOKENMASK_CHECK");
    waits_ = when && std::string_view(when) == "now";
  }

  // Before a launch: raises what an earlier call left.
  LateFailure before() const {
    raise(" of an earlier call");
    return {words_};
  }

  // After it.
  void after() const {
    if (!waits_) return;
    c10::cuda::getCurrentCUDAStream().synchronize();
    raise("");
  }

 private:
  void raise(const char* of_which) const {
    volatile int64_t* words = words_;
    const int64_t failed = words[0], number = words[1];
    if (failed == kNoFailure) return;
    words[0] = kNoFailure;
    const int64_t at = failed / kReasons;
    switch (static_cast<Reason>(failed % kReasons)) {
      case Reason::slot_out_of_range:
        TORCH_CHECK_VALUE(false, op_, ": slots must lie in 0..", number, ", got another at position ", at, of_which,
                          "; make the cache larger");
      case Reason::length_out_of_range:
        TORCH_CHECK_VALUE(false, op_, ": lengths must lie in 0..", number, ", got another in row ", at, of_which,
                          "; count the slots in use");
      case Reason::id_out_of_range:
        TORCH_CHECK_VALUE(false, op_, ": ids must be rows of the table, got another id at position ", at,
                          " of the flattened batch", of_which, "; check the layout that made the ids");
      default:
        TORCH_CHECK_VALUE(false, op_, ": row_splits must rise from 0 to M = ", number, ", got others at row ", at,
                          of_which, "; make them with cumsum");
    }
  }

  const char* op_;
  int64_t* words_;  // as long as the process lives: a kernel may still be running when it ends
  bool waits_;
};

}  // namespace tokenmask
