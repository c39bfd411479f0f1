// How often the kernels read and write each element of what they cannot do without, by racecheck.cpp's count of bytes
// of global memory. A budget here is a test of a kernel's design that needs no GPU.
#include <cstdio>
#include <functional>
#include <random>
#include <vector>

#include "cpu/dispatch.h"
#include "emulated.h"

namespace tokenmask {
extern const CpuKernels kCudaKernels;
}

using namespace tokenmask;

namespace {

bool within = true;

// `least`: bytes that must be read; `budget`: how many times as many may be.
void report(const char* what, double budget, double least, const std::function<void()>& run) {
  emulated::counts = {};
  run();
  const auto& c = emulated::counts;
  const double reads = double(c.read_bytes) / least;
  within = within && reads <= budget;
  std::printf("| %-44s | %6.1f | %6.1f | %7.1f | %6.0f | %8.0f |\n", what, reads, budget,
              double(c.written_bytes) / least, double(c.barriers) / double(c.blocks),
              double(c.collectives) / double(c.blocks));
}

}  // namespace

int main() {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  const int64_t rows = 1, size = 8192;
  std::vector<float> logits(rows * size), statistics(3 * rows);
  std::vector<int64_t> counters(rows), count(rows, size / 4), samples(rows);
  std::vector<int32_t> codes(rows), ids(rows * size), out(rows * size), mask_ids(size);
  std::vector<char> is_open(rows * size, 1), chosen(rows * size);
  for (float& x : logits) x = 3 * normal(generator);
  std::printf(
      "| bytes over the least, barriers and warp collectives a block | read | budget | written | barriers | "
      "collectives "
      "|\n|---|---|---|---|---|---|\n");
  SampleCodesArgs args = {};
  args.logits = logits.data();
  args.counters = counters.data();
  args.codes = codes.data();
  args.logprob = statistics.data();
  args.entropy = statistics.data() + rows;
  args.margin = statistics.data() + 2 * rows;
  args.rows = rows;
  args.size = size;
  args.temperature = 1.0f;
  args.top_p = 1.0;
  const auto sample = [&] { kCudaKernels.sample_codes(args, 0, rows); };
  const double logits_bytes = 4.0 * rows * size;
  report("sample_codes, plain", 4, logits_bytes, sample);
  args.min_p = 0.1;
  report("sample_codes, min-p 0.1", 6, logits_bytes, sample);
  args.min_p = 0.0;
  args.top_k = 50;
  report("sample_codes, top-k 50", 9, logits_bytes, sample);
  args.top_k = 0;
  args.top_p = 0.9;
  report("sample_codes, top-p 0.9", 11, logits_bytes, sample);
  args.top_k = 50;
  report("sample_codes, top-k 50, top-p 0.9", 16, logits_bytes, sample);
  args.top_k = 0;
  args.top_p = 1.0;
  args.temperature = 0.0f;
  report("sample_codes, arg-max", 3, logits_bytes, sample);
  auto* open = reinterpret_cast<bool*>(is_open.data());
  const ChooseArgs choice = {logits.data(), open, count.data(), reinterpret_cast<bool*>(chosen.data()), rows, size};
  report("choose, a quarter of 8192 (score and flag)", 5, 5.0 * rows * size,
         [&] { kCudaKernels.choose(choice, 0, rows); });
  MaskTokensArgs mask = {};
  std::vector<int64_t> offsets = {0, size / 4}, slots(rows * size);
  mask.ids = ids.data();
  mask.maskable = open;
  mask.count = count.data();
  mask.mask_ids = mask_ids.data();
  mask.sample_ids = samples.data();
  mask.offsets = offsets.data();
  mask.corrupted = out.data();
  mask.slots = slots.data();
  mask.targets = ids.data();
  std::vector<int32_t> targets(rows * size);
  mask.targets = targets.data();
  mask.batch = rows;
  mask.length = size;
  mask.mask_below = uint64_t{1} << 32;
  mask.random_below = uint64_t{1} << 32;
  report("mask_tokens, a quarter of 8192 (id and flag)", 11, 5.0 * rows * size,
         [&] { kCudaKernels.mask_tokens(mask, 0, rows); });
  const int64_t positions = 64, levels = 4, width = 256, table_rows = 64;
  std::vector<int32_t> words(positions * levels);
  for (auto& id : words) id = 1 + int32_t(generator() % (table_rows - 1));
  std::vector<float> table(table_rows * width), vectors(positions * width);
  EmbedCodesArgs embed = {words.data(), table.data(), vectors.data(), FloatType::float32,
                          positions,    levels,       table_rows,     width};
  report("embed_codes, 64 x 4 x 256 (rows named)", 5, 4.0 * positions * levels * width,
         [&] { kCudaKernels.embed_codes(embed, 0, positions); });
  const int64_t heads = 2, head = 64, total = 256, queries = 8;
  std::vector<float> query(queries * heads * head), keys(heads * total * head), values(heads * total * head),
      mixed(queries * heads * head);
  std::vector<int64_t> splits = {0, queries}, lengths = {total};
  AttendCachedArgs attend = {CacheType::float32,
                             query.data(),
                             splits.data(),
                             keys.data(),
                             values.data(),
                             lengths.data(),
                             nullptr,
                             mixed.data(),
                             queries,
                             1,
                             heads,
                             head,
                             total};
  report("attend_cached, 8 queries, 256 slots (K and V)", 9, 8.0 * heads * total * head,
         [&] { kCudaKernels.attend_cached(attend, 0, heads); });
  const int64_t coded = 64, books = 2, of_book = 128, wide = 32;
  std::vector<float> x(coded * wide), book(books * of_book * wide), packed(books * of_book * wide),
      biases(books * of_book), sum(coded * wide);
  std::vector<int32_t> nearest(coded * books);
  for (float& value : x) value = normal(generator);
  for (float& value : book) value = normal(generator);
  QuantizeResidualArgs quantize = {x.data(), book.data(), packed.data(), biases.data(), nearest.data(), sum.data(),
                                   coded,    wide,        books,         of_book,       false};
  kCudaKernels.quantize_pack(quantize, 0, books * of_book);
  report("quantize_residual, 64 x 32, 2 x 128 (codebooks)", 14, 4.0 * books * of_book * wide,
         [&] { kCudaKernels.quantize_residual(quantize, 0, coded); });
  if (!within) std::printf("a kernel reads more than its budget allows\n");
  return within ? 0 : 1;
}
