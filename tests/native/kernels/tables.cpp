// embed_codes, forwards and backwards, and quantize_residual.
#include <algorithm>
#include <numeric>
#include <vector>

#include "checks.h"

template <FloatType type>
void check_embed_codes(int64_t positions, int64_t levels, int64_t table_rows, int64_t width) {
  using Stored = std::conditional_t<type == FloatType::float32, float, uint16_t>;
  Array<int32_t> ids(positions * levels);
  Array<Stored> table(table_rows * width), expected(positions * width), gradient(table_rows * width);
  for (int64_t i = 0; i < positions * levels; ++i) ids[i] = int32_t(below(table_rows));
  for (int64_t i = 0; i < table_rows * width; ++i) store_float<type>(table.get(), i, normal());
  for (int64_t i = 0; i < positions * width; ++i) {
    float sum = 0.0f;
    for (int64_t k = 0; k < levels; ++k) {
      const int32_t id = ids[i / width * levels + k];
      if (id != kPad) sum += load_float<type>(table.get(), id * width + i % width);
    }
    store_float<type>(expected.get(), i, sum);
  }
  Array<int64_t> starts(table_rows + 1), entries(positions * levels);
  int64_t next = 0;
  for (int64_t id = 0; id < table_rows; ++id) {
    for (int64_t i = 0; i < positions * levels; ++i) {
      if (ids[i] == id) entries[next++] = i;
    }
    starts[id + 1] = next;
    for (int64_t d = 0; d < width; ++d) {
      float sum = 0.0f;
      for (int64_t e = starts[id]; id != kPad && e < next; ++e) {
        sum += load_float<type>(expected.get(), entries[e] / levels * width + d);
      }
      store_float<type>(gradient.get(), id * width + d, sum);
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    Array<Stored> out(positions * width), back(table_rows * width);
    const EmbedCodesArgs args = {ids.get(), table.get(), out.get(), type, positions, levels, table_rows, width};
    require(kernels->embed_codes(args, 0, positions) == kNoFailure && out == expected, "embed_codes", kernels->name);
    const EmbedCodesBackwardArgs backward = {out.get(), starts.get(), entries.get(), back.get(),
                                             type,      levels,       table_rows,    width};
    kernels->embed_codes_backward(backward, 0, table_rows);
    require(back == gradient, "embed_codes_backward", kernels->name);
  }
  if (positions * levels == 0) return;
  for (int32_t bad : {-1, int32_t(table_rows), INT32_MAX, INT32_MIN}) {
    ids[positions * levels - 1] = bad;
    Array<Stored> out(positions * width);
    const EmbedCodesArgs args = {ids.get(), table.get(), out.get(), type, positions, levels, table_rows, width};
    for (const CpuKernels* kernels : kernel_sets()) {
      require(kernels->embed_codes(args, 0, positions) == failure(positions - 1, Reason::id_out_of_range),
              "embed_codes with a foreign id", kernels->name);
    }
  }
}

void check_quantize_residual(int64_t rows, int64_t levels, int64_t codes, int64_t width, bool unit_norm) {
  Array<float> x(rows * width), books(levels * codes * width), expected_sum(rows * width);
  Array<int32_t> expected(rows * levels);
  for (int64_t i = 0; i < rows * width; ++i) x[i] = normal();
  for (int64_t i = 0; i < levels * codes * width; ++i) books[i] = below(9) ? normal() : 1.0f;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<float> left(x.get() + row * width, x.get() + (row + 1) * width);
    for (int64_t level = 0; level < levels; ++level) {
      float least = std::numeric_limits<float>::infinity();
      int64_t nearest = 0;
      for (int64_t code = 0; code < codes; ++code) {
        const float* c = &books[(level * codes + code) * width];
        float square = 0.0f;
        for (int64_t d = 0; d < width; ++d) square = std::fmaf(c[d], c[d], square);
        float value = unit_norm ? 0.0f : 0.5f * square;
        for (int64_t d = 0; d < width; ++d) value = std::fmaf(-left[d], c[d], value);
        if (value < least) {
          least = value;
          nearest = code;
        }
      }
      expected[row * levels + level] = int32_t(nearest);
      for (int64_t d = 0; d < width; ++d) {
        left[d] -= books[(level * codes + nearest) * width + d];
        expected_sum[row * width + d] += books[(level * codes + nearest) * width + d];
      }
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    const int64_t panel = kernels->quantize_panel(), panels = (codes + panel - 1) / panel;
    Array<float> packed(levels * panels * width * panel), biases(levels * panels * panel), sum(rows * width);
    Array<int32_t> out(rows * levels);
    const QuantizeResidualArgs args = {x.get(), books.get(), packed.get(), biases.get(), out.get(), sum.get(),
                                       rows,    width,       levels,       codes,        unit_norm};
    require(kernels->quantize_pack(args, 0, levels * panels) == kNoFailure, "quantize_pack", kernels->name);
    require(kernels->quantize_residual(args, 0, rows) == kNoFailure, "quantize_residual", kernels->name);
    require(out == expected && sum == expected_sum, "quantize_residual", kernels->name);
  }
}

template void check_embed_codes<FloatType::float32>(int64_t, int64_t, int64_t, int64_t);
template void check_embed_codes<FloatType::bfloat16>(int64_t, int64_t, int64_t, int64_t);
template void check_embed_codes<FloatType::float16>(int64_t, int64_t, int64_t, int64_t);
