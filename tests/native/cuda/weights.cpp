// Every float from 0 down to where weights end, or each of `step` of them: weigh.cuh says what weight.h says.
//     weights [step]
#include <cstdio>
#include <cstdlib>

// clang-format off: what follows needs the words of CUDA
#include "cuda_runtime.h"
// clang-format on
#include "cuda/weigh.cuh"

using namespace tokenmask;

int main(int count, char** words) {
  const uint32_t step = count > 1 ? uint32_t(strtoul(words[1], nullptr, 0)) : 1, last = bits_as<uint32_t>(32.0f);
  uint64_t tried = 0;
  for (uint32_t bits = 0; bits <= last; bits += step, ++tried) {
    const float x = bits_as<float>(bits | 0x80000000u);
    const int32_t w = weight(x), s = surprise(x > kSmallestExponent ? x : kSmallestExponent, w);
    const Weighed found = weigh(x);
    if (found.weight == w && found.surprise == s) continue;
    std::printf("weigh(%a) differs: %d and %d, expected %d and %d\n", x, found.weight, found.surprise, w, s);
    return 1;
  }
  const Weighed none = weigh(-kInfinity);
  if (none.weight || none.surprise) return std::printf("weigh(-inf) differs: %d, expected 0\n", none.weight), 1;
  std::printf("%llu floats agree\n", static_cast<unsigned long long>(tried));
  return 0;
}
