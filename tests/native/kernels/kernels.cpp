// The CPU kernels without torch, for sanitizers: `make sanitize`. Every instruction set that the processor has
// must give the results of a plain reading of the headers, on buffers that end exactly where the kernels may.
#include <cstdio>
#include <cstdlib>

#include "checks.h"

// With an argument N every Nth setting of sample_codes is checked: emulated kernels are slow.
int main(int count, char** words) {
  const int every = count > 1 ? std::atoi(words[1]) : 1;
  int settings = 0;
  for (int64_t length : {0, 1, 3, 4, 15, 16, 17, 63, 64, 100, 513, 1000, 2049}) {
    for (int repeat = 0; repeat < 4; ++repeat) {
      check_choose_and_commit(10, length);
      check_mask_tokens(5, length);
    }
  }
  for (int64_t size : {0, 1, 3, 16, 31, 64, 65, 255, 256, 257, 700, 1025}) {
    for (float temperature : {1.0f, 0.7f, 0.0f}) {
      for (int64_t top_k : {0, 1, 20, 150}) {
        for (double top_p : {1.0, 0.9, 0.999, 1e-6}) {
          for (double min_p : {0.0, 0.05, 1.0}) {
            if (settings++ % every) continue;
            check_sample_codes<FloatType::float32>(5, size, top_k, top_p, min_p, temperature);
          }
        }
        if (settings++ % every) continue;
        check_sample_codes<FloatType::bfloat16>(5, size, top_k, 0.9, 0.0, temperature);
        check_sample_codes<FloatType::float16>(5, size, top_k, 1.0, 0.0, temperature);
      }
    }
  }
  for (int64_t width : {0, 1, 7, 16, 63, 64, 65, 130}) {
    for (int64_t levels : {0, 1, 3}) {
      check_embed_codes<FloatType::float32>(13, levels, 6, width);
      check_embed_codes<FloatType::bfloat16>(13, levels, 6, width);
      check_embed_codes<FloatType::float16>(13, levels, 6, width);
      for (int64_t rows : {0, 1, 3, 50}) {
        check_quantize_residual(rows, levels, 37, width, levels == 3);
        check_quantize_residual(rows, levels, 1, width, false);
      }
    }
  }
  for (int64_t rows : {1, 2, 5}) {
    for (int64_t heads : {1, 3}) {
      for (int64_t size : {2, 6, 16, 34, 64}) {
        for (int64_t tiles : {1, 2, 5}) check_cache(rows, heads, size, tiles);
      }
    }
  }
  for (int64_t rows : {0, 1, 65, 130}) {
    for (int64_t width : {1, 7, 16, 47, 64, 130}) {
      check_norm_and_gate(rows, width);
      check_turn_heads(rows, 3, 2 * width);
    }
  }
  for (int64_t size : {1, 3, 15, 16, 17, 63, 64, 65, 257, 1000, 1025, 65536}) {
    for (int repeat = 0; repeat < 8; ++repeat) check_bound_best(1 + below(5), size);
  }
  std::printf("the kernels of ");
  for (const CpuKernels* kernels : kernel_sets()) std::printf("%s ", kernels->name);
  std::printf("agree with a plain reading of their definitions\n");
  return 0;
}
