#ifdef TOKENMASK_WITH_CUDA
#include "late_failure.h"

#include <cuda_runtime_api.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>

#include "checks.h"
#include "tokenmask/quantize_residual.h"

namespace tokenmask {

namespace {

struct Named {
  const char *op, *input;
};
constexpr Named kNames[] = {
    {"mask_tokens", "scores of maskable slots"},
    {"embed_codes", "ids"},
    {"embed_codes", "ids"},
    {"quantize_residual", "x"},
    {"rotate_and_store", ""},
    {"attend_cached", ""},
    {"sample_codes", "allowed logits"},
    {"choose", "scores of open slots"},
    {"commit", "confidence of open slots"},
};
constexpr int kOps = int(Op::commit) + 1;
static_assert(sizeof(kNames) / sizeof(*kNames) == kOps, "an op without a name");

// Of one stream. It lives as long as the process: a kernel, or a graph that holds it, may run when a program ends.
using Words = int64_t[2 * kOps];
std::mutex mutex;
std::map<std::pair<int, void*>, Words*> all_words;

// A stream may be capturing a graph when it is first seen, and memory may then only be asked for in the relaxed mode.
Words* allocate() {
  void* memory = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  const cudaError_t error = cudaHostAlloc(&memory, sizeof(Words), cudaHostAllocPortable | cudaHostAllocMapped);
  cudaThreadExchangeStreamCaptureMode(&mode);
  TORCH_CHECK(error == cudaSuccess, "tokenmask: memory that the GPU and the host share is needed for errors, got ",
              cudaGetErrorString(error), "; free memory of the host or lift its limit on locked memory");
  auto* words = static_cast<Words*>(memory);
  for (int op = 0; op < kOps; ++op) (*words)[2 * op] = kNoFailure;
  return words;
}

// The first failure of a stream; the others, which likely follow from it, are dropped.
void raise_and_clear(Words& of_stream, const char* of_which) {
  volatile int64_t* words = of_stream;
  for (int op = 0; op < kOps; ++op) {
    int64_t failed = words[2 * op];
    if (failed == kNoFailure) continue;
    const int64_t number = words[2 * op + 1];
    for (int other = op; other < kOps; ++other) words[2 * other] = kNoFailure;
    if (op == int(Op::quantize_residual) && failed >= kAfterCodebooks) failed -= kAfterCodebooks;
    raise_failure(failed, kNames[op].op, kNames[op].input, of_which, number);
  }
}

Words& words_of_current_stream() {
  const auto stream = c10::cuda::getCurrentCUDAStream();
  Words*& words = all_words[{int(stream.device_index()), stream.stream()}];
  if (!words) words = allocate();
  return *words;
}

}  // namespace

LateFailure before_launch(Op op) {
  const std::lock_guard<std::mutex> lock(mutex);
  for (auto& [stream, words] : all_words) raise_and_clear(*words, " of an earlier call");
  return {words_of_current_stream() + 2 * int(op)};
}

void after_launch(Op op) {
  C10_CUDA_KERNEL_LAUNCH_CHECK();
  const char* when = std::getenv("TOKENMASK_CHECK");
  if (!when || std::string_view(when) != "now") return;
  c10::cuda::getCurrentCUDAStream().synchronize();
  const std::lock_guard<std::mutex> lock(mutex);
  raise_and_clear(words_of_current_stream(), "");
}

void check_failures() {
  const std::lock_guard<std::mutex> lock(mutex);
  std::set<int> devices;
  for (const auto& [stream, words] : all_words) devices.insert(stream.first);
  for (const int device : devices) {
    const c10::cuda::CUDAGuard guard(at::Device(at::kCUDA, c10::DeviceIndex(device)));
    const cudaError_t error = cudaDeviceSynchronize();
    TORCH_CHECK(error == cudaSuccess, "tokenmask: waiting for device ", device, " ended with ",
                cudaGetErrorString(error), "; look for the first error of the program");
  }
  for (auto& [stream, words] : all_words) raise_and_clear(*words, " of an earlier call");
}

}  // namespace tokenmask
#endif
