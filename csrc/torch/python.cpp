// The module tokenmask._C: build facts, and Philox for the tests. Loading it registers the ops.
#include <ATen/Parallel.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "../cpu/dispatch.h"
#include "late_failure.h"
#include "tokenmask/philox.h"

namespace py = pybind11;

namespace {

void use_cpu_capability(const std::string& name) {
  const tokenmask::CpuKernels* kernels = tokenmask::find_cpu_kernels(name.c_str());
  if (!kernels) throw py::value_error("this processor does not run kernels called " + name);
  tokenmask::use_cpu_kernels(*kernels);
}

std::vector<std::string> cpu_capabilities() {
  std::vector<std::string> names;
  for (const char* name : {"portable", "avx2", "avx512"}) {
    if (tokenmask::find_cpu_kernels(name)) names.push_back(name);
  }
  return names;
}

int64_t cpu_threads() {
  std::atomic<int64_t> parts{0};
  at::parallel_for(0, at::get_num_threads(), 1, [&](int64_t, int64_t) { ++parts; });
  return parts;
}

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  const tokenmask::Random4 out =
      tokenmask::philox4x32({{counter[0], counter[1], counter[2], counter[3]}}, key[0], key[1]);
  return {out.word[0], out.word[1], out.word[2], out.word[3]};
}

py::dict purposes() {
  using tokenmask::Purpose;
  py::dict names;
  names["mask"] = int(Purpose::mask);
  names["code"] = int(Purpose::code);
  names["order"] = int(Purpose::order);
  names["corruption"] = int(Purpose::corruption);
  names["resample"] = int(Purpose::resample);
  names["latent"] = int(Purpose::latent);
  names["dropout"] = int(Purpose::dropout);
  names["rate"] = int(Purpose::rate);
  names["crop"] = int(Purpose::crop);
  return names;
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.attr("version") = TOKENMASK_VERSION;
  m.attr("torch_version") = TOKENMASK_TORCH_VERSION;
#ifdef TOKENMASK_WITH_CUDA
  m.attr("has_cuda") = true;
  m.def("check_failures", &tokenmask::check_failures, "Waits for the devices that ops ran on; raises what they left.");
#else
  m.attr("has_cuda") = false;
#endif
  m.attr("cuda_note") = TOKENMASK_CUDA_NOTE;
  m.def(
      "cpu_capability", [] { return tokenmask::cpu_kernels().name; },
      "Whose CPU kernels run: portable, avx2 or avx512.");
  m.def("cpu_capabilities", &cpu_capabilities, "Those that this processor can run, the widest last.");
  m.def("use_cpu_capability", &use_cpu_capability, "For tests: run the kernels of this name from now on.");
  m.def("cpu_threads", &cpu_threads, "How many of torch's threads share the work of a kernel.");
  m.def("purposes", &purposes, "Names and numbers of the Philox purposes.");
  m.def("philox4x32", &philox, "Ten rounds of Philox4x32 on four counter words with two key words.");
}
