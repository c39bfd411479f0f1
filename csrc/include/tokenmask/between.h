// What stands between the matrix products of a block while it learns, and its gradient: the norm, the turned heads and
// the gate. float32 only, on the CPU only: results are promised to rounding alone, so that a GPU need not give the same, and
// torch.compile makes these kernels there, in every type. Torch-free.
#pragma once

#include <cstdint>

namespace tokenmask {

constexpr int64_t kSumRows = 64;  // whose gradients of weights are summed first, so that sums do not depend on threads

// out = x * scale * weight with scale = 1 / sqrt(mean(x^2) + eps) of each row.
struct RmsNormArgs {
  const float* x;       // [rows, width]
  const float* weight;  // [width]
  float* out;           // [rows, width] out
  float* scale;         // [rows] out
  int64_t rows, width;
  float eps;
};

// Rows [begin, end).
void rms_norm_cpu(const RmsNormArgs& args, int64_t begin, int64_t end);

struct RmsNormBackwardArgs {
  const float* grad;    // [rows, width]
  const float* x;       // [rows, width]
  const float* scale;   // [rows]
  const float* weight;  // [width]
  float* for_x;         // [rows, width] out
  float* for_weight;    // [rows / kSumRows rounded up, width] out: sums of so many rows each
  int64_t rows, width;
};

// Blocks [begin, end) of kSumRows rows.
void rms_norm_backward_cpu(const RmsNormBackwardArgs& args, int64_t begin, int64_t end);

// Queries and keys of packed rows, each head normalised as above and then turned: n * cos + swap(n) * sin, where swap
// exchanges the halves of a head.
struct TurnHeadsArgs {
  const float* qkv;                                // [rows, 3, heads, size], size even
  const float *query_weight, *key_weight;          // [size]
  const float *cos, *sin, *query_cos, *query_sin;  // [rows, size]
  float *query, *key;                              // [rows, heads, size] out
  int64_t rows, heads, size;
  float eps;
};

// Rows [begin, end).
void turn_heads_cpu(const TurnHeadsArgs& args, int64_t begin, int64_t end);

struct TurnHeadsBackwardArgs {
  TurnHeadsArgs forward;             // without outputs
  const float *query, *key, *value;  // [rows, heads, size] gradients
  float* for_qkv;                    // [rows, 3, heads, size] out
  float* for_weights;                // [rows / kSumRows rounded up, 2, size] out: of queries and of keys
};

// Blocks [begin, end) of kSumRows rows.
void turn_heads_backward_cpu(const TurnHeadsBackwardArgs& args, int64_t begin, int64_t end);

// out = silu(first half of a row) * second half.
struct GateArgs {
  const float* x;     // [rows, 2 * width]
  const float* grad;  // [rows, width], or null in the forward pass
  float* out;         // [rows, width], or in the backward pass [rows, 2 * width] out
  int64_t rows, width;
};

// Rows [begin, end).
void gate_cpu(const GateArgs& args, int64_t begin, int64_t end);
void gate_backward_cpu(const GateArgs& args, int64_t begin, int64_t end);

}  // namespace tokenmask
