// Draws and arrays that the native tests share: one generator a program, so that a run repeats.

#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>

inline std::mt19937_64 generator(1);

inline int64_t below(int64_t size) { return int64_t(generator() % uint64_t(size)); }
inline float normal() { return std::normal_distribution<float>()(generator); }

// An array of its exact size on the heap, so that a sanitizer sees every step beyond it. std::vector<bool> has no
// bytes.
template <typename T>
struct Array {
  std::unique_ptr<T[]> data;
  int64_t size;
  int64_t shift;  // elements before it, so that it begins at no special address
  explicit Array(int64_t n, int64_t shift = 0) : data(new T[n + shift]()), size(n), shift(shift) {}
  T& operator[](int64_t i) { return get()[i]; }
  T* get() const { return data.get() + shift; }
  bool operator==(const Array& other) const {
    return size == other.size && std::equal(get(), get() + size, other.get());
  }
};
