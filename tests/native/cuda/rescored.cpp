// How seldom tensor cores leave it to float32 which code is nearest: of random vectors, and of those of a file that speech.py
// wrote. A budget, as those of reads.cpp are.
//     rescored FILE
#include <cstdio>
#include <cstdlib>

#include "../drawn.h"
#include "cpu/dispatch.h"
#include "emulated.h"

namespace tokenmask {
extern const CpuKernels kCudaKernels;
}

using namespace tokenmask;

namespace {

bool within = true;

// Budgets are shares of all rows of all levels: of those of which a few codes were scored again, and of which all were.
void report(const char* what, int64_t rows, int64_t width, int64_t levels, int64_t codes, Array<float>& x,
            Array<float>& books, double few, double all) {
  Array<float> sum(rows * width), packed(levels * width * padded_codes(codes)), biases(levels * codes);
  Array<int32_t> found(rows * levels);
  Array<uint16_t> parts(2 * levels * codes * padded_width(width));
  int64_t counted[2] = {};
  QuantizeResidualArgs args = {x.get(), books.get(), packed.get(), biases.get(), found.get(), sum.get(),
                               rows,    width,       levels,       codes,        false};
  args.parts = parts.get();
  args.counted = counted;
  const int64_t panels = levels * padded_codes(codes) / kCudaKernels.quantize_panel();
  if (kCudaKernels.quantize_pack(args, 0, panels) != kNoFailure ||
      kCudaKernels.quantize_residual(args, 0, rows) != kNoFailure) {
    std::printf("%s: quantize_residual fails\n", what);
    std::exit(1);
  }
  const double shares[] = {double(counted[0]) / double(rows * levels), double(counted[1]) / double(rows * levels)};
  within = within && shares[0] <= few && shares[1] <= all;
  std::printf("| %-46s | %7.3f %% | %7.3f %% | %7.3f %% | %7.3f %% |\n", what, 100 * shares[0], 100 * few,
              100 * shares[1], 100 * all);
}

}  // namespace

int main(int count, char** words) {
  std::printf(
      "| rows of a level of which | several codes are scored again | budget | all codes | budget |\n"
      "|---|---|---|---|---|\n");
  FILE* file = count > 1 ? std::fopen(words[1], "rb") : nullptr;
  int64_t sizes[4];  // rows, width, levels, codes
  if (!file || std::fread(sizes, sizeof sizes, 1, file) != 1) {
    std::printf("rescored needs the file that speech.py writes\n");
    return 1;
  }
  Array<float> latents(sizes[0] * sizes[1]), codebooks(sizes[2] * sizes[3] * sizes[1]);
  if (std::fread(latents.get(), 4, latents.size, file) != size_t(latents.size) ||
      std::fread(codebooks.get(), 4, codebooks.size, file) != size_t(codebooks.size)) {
    std::printf("%s ends too early\n", words[1]);
    return 1;
  }
  std::fclose(file);
  report("speech, by the tokenizer that ships", sizes[0], sizes[1], sizes[2], sizes[3], latents, codebooks, 0.002, 0);
  const int64_t rows = 128, width = 128, codes = 1024;
  Array<float> x(rows * width), book(codes * width);
  for (int64_t i = 0; i < x.size; ++i) x[i] = normal();
  for (int64_t i = 0; i < book.size; ++i) book[i] = normal();
  report("128 random vectors of 128 numbers, 1024 codes", rows, width, 1, codes, x, book, 0.03, 0);
  if (!within) std::printf("more is scored again than the budget allows\n");
  return within ? 0 : 1;
}
