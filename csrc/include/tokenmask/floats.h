// Float types of inputs and how they become float32 and back, the same bits on every backend.
#pragma once

#include "tokenmask/macros.h"

namespace tokenmask {

enum class FloatType { float32, bfloat16, float16 };

TM_HOST_DEVICE float widen_bfloat16(uint16_t bits) { return bits_as<float>(uint32_t{bits} << 16); }

TM_HOST_DEVICE float widen_float16(uint16_t bits) {
  const uint32_t magnitude = bits & 0x7fffu;
  // The exponent is rebiased by an exact product, which also makes subnormal halves right; infinity and NaN stay.
  const float finite = multiply(bits_as<float>(magnitude << 13), 0x1p112f);
  const uint32_t wide = magnitude >= 0x7c00u ? (magnitude << 13) | 0x7f800000u : bits_as<uint32_t>(finite);
  return bits_as<float>(wide | (uint32_t(bits & 0x8000u) << 16));
}

// To the nearest, ties to even, as torch rounds.
TM_HOST_DEVICE uint16_t narrow_bfloat16(float value) {
  const uint32_t bits = bits_as<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return uint16_t((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fc0u : rounded);
}

TM_HOST_DEVICE uint16_t narrow_float16(float value) {
  const uint32_t bits = bits_as<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // A float just above 0.5 has the step of a subnormal half, so that the sum rounds it.
  const uint32_t subnormal = bits_as<uint32_t>(add(bits_as<float>(magnitude), 0.5f)) - 0x3f000000u;
  uint32_t narrow = magnitude < 0x38800000u ? subnormal : normal;
  narrow = magnitude >= 0x477ff000u ? 0x7c00u : narrow;
  narrow = magnitude > 0x7f800000u ? 0x7e00u : narrow;
  return uint16_t(narrow | ((bits >> 16) & 0x8000u));
}

template <FloatType type>
TM_HOST_DEVICE float load_float(const void* values, int64_t i) {
  if constexpr (type == FloatType::bfloat16) return widen_bfloat16(static_cast<const uint16_t*>(values)[i]);
  if constexpr (type == FloatType::float16) return widen_float16(static_cast<const uint16_t*>(values)[i]);
  if constexpr (type == FloatType::float32) return static_cast<const float*>(values)[i];
}

template <FloatType type>
TM_HOST_DEVICE void store_float(void* values, int64_t i, float value) {
  if constexpr (type == FloatType::bfloat16) static_cast<uint16_t*>(values)[i] = narrow_bfloat16(value);
  if constexpr (type == FloatType::float16) static_cast<uint16_t*>(values)[i] = narrow_float16(value);
  if constexpr (type == FloatType::float32) static_cast<float*>(values)[i] = value;
}

}  // namespace tokenmask
