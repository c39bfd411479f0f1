// embed_codes, forwards and backwards, and quantize_residual.
#include <numeric>

#include "fuzz.h"

namespace {

template <FloatType type>
void embeddings_of() {
  using Stored = std::conditional_t<type == FloatType::float32, float, uint16_t>;
  const int64_t positions = below(40), levels = below(5), table_rows = 1 + below(30), width = size_up_to(530);
  Array<int32_t> ids(positions * levels);
  Array<Stored> table(table_rows * width, shift()), out(positions * width, shift()), wanted(positions * width);
  const bool foreign = chance(4);
  for (int64_t i = 0; i < ids.size; ++i)
    ids[i] = foreign && chance(30) ? int32_t(generator()) : int32_t(below(table_rows));
  for (int64_t i = 0; i < table.size; ++i) store_float<type>(table.get(), i, normal());
  EmbedCodesArgs args = {ids.get(), table.get(), out.get(), type, positions, levels, table_rows, width};
  const int64_t failed = kCudaKernels.embed_codes(args, 0, positions);
  args.out = wanted.get();
  const int64_t expected = cpu_kernels().embed_codes(args, 0, positions);
  require(failed == expected, "the failure of embed_codes", failed, expected);
  if (failed != kNoFailure) return;
  require(out == wanted, "embed_codes");
  std::vector<int64_t> order(ids.size);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return ids[a] < ids[b]; });
  Array<int64_t> starts(table_rows + 1), entries(ids.size);
  std::copy(order.begin(), order.end(), entries.get());
  for (int64_t row = 0; row <= table_rows; ++row) {
    starts[row] = std::count_if(order.begin(), order.end(), [&](int64_t i) { return ids[i] < row; });
  }
  Array<Stored> gradient(table_rows * width), known(table_rows * width);
  EmbedCodesBackwardArgs back = {out.get(), starts.get(), entries.get(), gradient.get(),
                                 type,      levels,       table_rows,    width};
  kCudaKernels.embed_codes_backward(back, 0, table_rows);
  back.out = known.get();
  cpu_kernels().embed_codes_backward(back, 0, table_rows);
  require(gradient == known, "embed_codes_backward");
}

// Rows and codes of one large number each, just beside the middle of two that bfloat16 has, where high and low parts change:
// what the sums of tensor cores may be off by is there nearly what its bound says. A few codes are as near as a rounding,
// many of them in tiles of which a warp has the same part, and the others far. Of some levels all codes are so small that
// the next level has the rows as they were, and a bound by its own codes.
void make_spiked(Array<float>& x, Array<float>& books, int64_t rows, int64_t levels, int64_t codes, int64_t width) {
  const auto spike = [] { return bits_as<float>(uint32_t(0x3f808000 + below(17) - 8)); };
  for (int64_t i = 0; i < x.size; ++i) x[i] = i % width == 0 ? spike() : normal() * 1e-3f;
  for (int64_t i = 0; i < books.size; ++i) books[i] = i % width == 0 ? -spike() : normal() * 1e-3f;
  for (int64_t level = 0; level < levels; ++level) {
    float* book = books.get() + level * codes * width;
    const int64_t model = below(codes);
    for (int64_t near = 1 + below(6); near >= 0; --near) {
      const int64_t same_part = (model / 16 * 16 + 128 * below(5) + below(16)) % codes;
      float* code = book + (near == 0 ? model : chance(2) ? same_part : below(codes)) * width;
      std::copy(book + model * width, book + (model + 1) * width, code);
      code[0] = spike();
    }
    if (level + 1 == levels || chance(2)) continue;
    for (int64_t i = 0; i < codes * width; ++i) book[i] *= 0x1p-30f;
  }
}

}  // namespace

void embeddings() {
  embeddings_of<FloatType::float32>();
  embeddings_of<FloatType::bfloat16>();
  embeddings_of<FloatType::float16>();
}

void quantizers() {
  const bool is_spiked = chance(4);
  const int64_t rows = below(chance(4) && !is_spiked ? 300 : 30), levels = below(4);
  // Some codes are missing to whole tiles, so few that a list would keep them.
  const int64_t codes = chance(4) ? 128 * (1 + below(4)) - below(5) : 1 + size_up_to(520);
  const int64_t width = is_spiked ? 1 + below(chance(2) ? 32 : 300) : below(codes < 40 && chance(8) ? 2000 : 40);
  Array<float> x(rows * width), books(levels * codes * width), sum(rows * width), wanted_sum(rows * width);
  Array<int32_t> out(rows * levels), wanted(rows * levels);
  const int64_t kind = chance(4) ? 0 : 1 + below(5);
  const float scale = chance(3) ? (chance(2) ? 1e18f : 1e19f) : chance(3) ? 1e-20f : 1.0f;
  for (int64_t i = 0; i < x.size; ++i) x[i] = (chance(20) ? score(kind) : normal()) * scale;
  for (int64_t i = 0; i < books.size; ++i) books[i] = (chance(2) ? std::round(normal()) : normal()) * scale;
  if (chance(2)) {  // codes so close that the rounding of each step decides
    for (int64_t i = width; i < books.size; ++i)
      books[i] = chance(3) ? std::nextafter(books[i - width], chance(2) ? 9.0f : -9.0f) : books[i - width];
  }
  for (int64_t row = 0; row < rows; ++row) {  // of short rows each score is above zero
    const float shrunk = chance(8) ? (chance(2) ? 0.0f : 0.01f) : 1.0f;
    for (int64_t i = row * width; i < (row + 1) * width; ++i) x[i] *= shrunk;
  }
  if (is_spiked) make_spiked(x, books, rows, levels, codes, width);
  if (chance(8)) {  // what is left overflows, and scores are infinite and NaN
    const auto huge = [] { return chance(2) ? 3e38f : -3e38f; };
    std::generate(x.get(), x.get() + x.size, huge);
    std::generate(books.get(), books.get() + books.size, huge);
  }
  QuantizeResidualArgs args = {x.get(), books.get(), nullptr, nullptr, out.get(), sum.get(),
                               rows,    width,       levels,  codes,   chance(3)};
  // For tensor cores, of few numbers and codes too, for which the op does not use them.
  const bool on_tensor_cores = width > 0 && !chance(3);
  Array<uint16_t> parts(on_tensor_cores ? levels * codes * padded_width(width) * 2 : 0);
  if (on_tensor_cores) args.parts = parts.get();
#ifdef EMULATED
  const emulated::Device device = emulated::device;
  if (on_tensor_cores && !chance(8)) emulated::device.shared = int(emulated::kMostShared);
#endif
  for (const CpuKernels* kernels : {&kCudaKernels, &cpu_kernels()}) {
    const int64_t panel = kernels->quantize_panel(), panels = (codes + panel - 1) / panel;
    Array<float> packed(levels * panels * width * panel), biases(levels * panels * panel);
    args.packed = packed.get();
    args.biases = biases.get();
    static int64_t failed;
    int64_t here = kernels->quantize_pack(args, 0, levels * panels);
    if (here == kNoFailure) here = kernels->quantize_residual(args, 0, rows);
    if (kernels == &kCudaKernels) {
      failed = here;
      args.out_codes = wanted.get();
      args.quantized = wanted_sum.get();
    } else {
      require(failed == here, "the failure of quantize_residual", failed, here);
      if (failed == kNoFailure) require(out == wanted && sum == wanted_sum, "quantize_residual");
    }
  }
#ifdef EMULATED
  emulated::device = device;
#endif
}
