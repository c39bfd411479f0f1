// Products of tiles, as bad as a GPU's may be. Compiled without -fsanitize=thread.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>

#include "emulated.h"

namespace emulated {

namespace {

double normal_or_zero(double value) { return std::fabs(value) < 0x1p-126 ? 0 : value; }

template <typename T>
double number_of(uint32_t pair, unsigned which) {
  const auto bits = uint16_t(pair >> (16 * which));
  T value;
  memcpy(&value, &bits, sizeof bits);
  return normal_or_zero(float(value));
}

template <typename T>
void multiply_as(float (&c)[4], const uint32_t (&a)[32][4], const unsigned char* b, unsigned lane) {
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned row = lane / 4, column = 2 * (lane % 4) + i % 2;
    double sum = normal_or_zero(c[i]), size = std::fabs(sum);
    for (unsigned k = 0; k < 16; ++k) {
      uint32_t right;
      memcpy(&right, b + 16 * (column * 4 + k % 8 / 2) + 4 * (k / 8), sizeof right);
      const double product =
          normal_or_zero(number_of<T>(a[row * 4 + k % 8 / 2][i / 2 + 2 * (k / 8)], k % 2) * number_of<T>(right, k % 2));
      sum += product;
      size += std::fabs(product);
    }
    // Rounding to a float comes to at most the half that is missing here of 20.
    if (std::isfinite(size)) sum += (i % 2 ? -1 : 1) * 19.5 * 0x1p-23 * size;
    c[i] = float(normal_or_zero(sum));
  }
}

}  // namespace

void multiply(float (&c)[4], const uint32_t (&a)[32][4], const unsigned char* b, unsigned lane, bool are_halves) {
  are_halves ? multiply_as<__half>(c, a, b, lane) : multiply_as<__nv_bfloat16>(c, a, b, lane);
}

}  // namespace emulated
