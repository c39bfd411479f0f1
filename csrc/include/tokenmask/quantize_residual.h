// quantize_residual: the nearest code of every level, each on what the levels before left over. Torch-free.
#pragma once

#include "tokenmask/failure.h"

namespace tokenmask {

struct QuantizeResidualArgs {
  const float* x;          // [rows, width]
  const float* codebooks;  // [levels, codes, width]
  float* packed;           // CPU: scratch, [levels, panels, width, panel]; CUDA: [levels, width, codes]
  float* biases;           // CPU: scratch, [levels, panels, panel]; CUDA: [levels, codes]
  int32_t* out_codes;      // [rows, levels] out
  float* quantized;        // [rows, width] out
  int64_t rows, width, levels, codes;
  bool unit_norm;
  float* rest = nullptr;  // CUDA, above kSharedWidth: scratch, [rows up to a multiple of kRowsOfBlock, width]
};

constexpr int64_t kRowsOfBlock = 8;     // that a CUDA block takes through all levels
constexpr int64_t kSharedWidth = 1536;  // what is left of as many rows fits the shared memory that any launch may have

// On CUDA both failures go to one word; of x they come after all of the codebooks.
constexpr int64_t kAfterCodebooks = int64_t{1} << 62;

// How many codes stand side by side in a packed panel, for the instruction set that runs.
int64_t quantize_panel();

// Packs panels [begin, end) of all levels' panels; padding codes are never the nearest. A codebook with NaN or infinity
// is a failure of its level.
int64_t quantize_pack_cpu(const QuantizeResidualArgs& args, int64_t begin, int64_t end);

// Rows [begin, end), from packed codebooks.
int64_t quantize_residual_cpu(const QuantizeResidualArgs& args, int64_t begin, int64_t end);

// `packed` holds the transposed codebooks; the biases are filled first.
void quantize_residual_cuda(const QuantizeResidualArgs& args, const LateFailure& late, void* stream);

}  // namespace tokenmask
