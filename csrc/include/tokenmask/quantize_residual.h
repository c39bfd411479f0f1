// quantize_residual: the nearest code of every level, each on what the levels before left over. Torch-free.
#pragma once

#include "tokenmask/failure.h"
#include "tokenmask/macros.h"

namespace tokenmask {

struct QuantizeResidualArgs {
  const float* x;          // [rows, width]
  const float* codebooks;  // [levels, codes, width]
  float* packed;           // CPU: scratch, [levels, panels, width, panel]; CUDA: [levels, width, padded_codes]
  float* biases;           // CPU: scratch, [levels, panels, panel]; CUDA: [levels, codes]
  int32_t* out_codes;      // [rows, levels] out
  float* quantized;        // [rows, width] out
  int64_t rows, width, levels, codes;
  bool unit_norm;
  float* rest = nullptr;  // CUDA: scratch, [rows up to a multiple of kMostRowsOfTile, width], at a multiple of 16 bytes
  // CUDA, for tensor cores: scratch, bfloat16 [levels, codes, padded_width / 8, high and low part, 8]; without it all is
  // computed in float32.
  uint16_t* parts = nullptr;
  float* largest = nullptr;  // the same: scratch, [levels], the largest |c|^2
  int64_t* counted =
      nullptr;  // the same, for tests: [2], to which rows of a level are added of which several codes, or all,
                // were scored again
};

constexpr int kMostRowsOfTile = 128;  // that a CUDA block takes through all levels

// Codes of a transposed codebook on CUDA: each of its rows begins at a multiple of 16 bytes.
TM_HOST_DEVICE int64_t padded_codes(int64_t codes) { return (codes + 3) / 4 * 4; }

// Numbers of a vector for tensor cores on CUDA, the last of them zeros.
TM_HOST_DEVICE int64_t padded_width(int64_t width) { return (width + 31) / 32 * 32; }

constexpr int64_t kWidestOfTiles = 4096;  // for which the bound of their errors was derived

// Whether tensor cores pay: of fewer numbers or codes most would be padding.
inline bool pays_on_tensor_cores(int64_t width, int64_t codes) {
  return width >= 24 && width <= kWidestOfTiles && codes >= 64;
}

// On CUDA both failures go to one word; of x they come after all of the codebooks.
constexpr int64_t kAfterCodebooks = int64_t{1} << 62;

// How many codes stand side by side in a packed panel, for the instruction set that runs.
int64_t quantize_panel();

// Packs panels [begin, end) of all levels' panels; padding codes are never the nearest. A codebook with NaN or infinity
// is a failure of its level.
int64_t quantize_pack_cpu(const QuantizeResidualArgs& args, int64_t begin, int64_t end);

// Rows [begin, end), from packed codebooks.
int64_t quantize_residual_cpu(const QuantizeResidualArgs& args, int64_t begin, int64_t end);

// `packed` holds the transposed codebooks, with zeros behind the last code; the biases are filled first.
void quantize_residual_cuda(const QuantizeResidualArgs& args, const LateFailure& late, void* stream);

}  // namespace tokenmask
