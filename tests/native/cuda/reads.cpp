// How often the kernels read and write each element of what they cannot do without, by racecheck.cpp's count of bytes
// of global memory. A budget here is a test of a kernel's design that needs no GPU.
#include <cstdio>
#include <functional>
#include <random>
#include <string>
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
  std::printf("| %-52s | %6.1f | %6.1f | %7.1f | %6.0f | %6.0f | %8.0f |\n", what, reads, budget,
              double(c.written_bytes) / least, double(c.barriers) / double(c.blocks), double(c.cluster_barriers),
              double(c.collectives) / double(c.blocks));
}

// sample_codes in every mode, on a row of `size` logits: each is read once where z fits shared memory.
void sample_budgets(FloatType type, int64_t size, bool is_guided, double budget, const char* where = "") {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  const int64_t bytes = type == FloatType::float32 ? 4 : 2;
  // As torch allocates: at a multiple of 16 bytes.
  std::vector<uint4> logits(size * bytes / 16 + 1), uncond(size * bytes / 16 + 1);
  for (int64_t i = 0; i < size; ++i) {
    for (auto* values : {&logits, &uncond}) {
      const float value = 3 * normal(generator);
      if (type == FloatType::float32) store_float<FloatType::float32>(values->data(), i, value);
      else store_float<FloatType::bfloat16>(values->data(), i, value);
    }
  }
  int64_t counter = 7;
  int32_t code;
  float statistics[3];
  SampleCodesArgs args = {};
  args.logits = logits.data();
  args.uncond = is_guided ? uncond.data() : nullptr;
  args.type = type;
  args.counters = &counter;
  args.codes = &code;
  args.logprob = statistics;
  args.entropy = statistics + 1;
  args.margin = statistics + 2;
  args.rows = 1;
  args.size = size;
  args.guidance = 2.0f;
  struct Mode {
    const char* name;
    float temperature;
    int64_t top_k;
    double top_p, min_p;
  };
  for (const Mode& mode :
       {Mode{"plain", 1.0f, 0, 1.0, 0.0}, Mode{"heated", 0.7f, 0, 1.0, 0.0}, Mode{"min-p 0.1", 1.0f, 0, 1.0, 0.1},
        Mode{"top-k 50", 1.0f, 50, 1.0, 0.0}, Mode{"top-p 0.9", 1.0f, 0, 0.9, 0.0},
        Mode{"top-k 50, top-p 0.9", 1.0f, 50, 0.9, 0.0}, Mode{"arg-max", 0.0f, 0, 1.0, 0.0}}) {
    args.temperature = mode.temperature;
    args.top_k = mode.top_k;
    args.top_p = mode.top_p;
    args.min_p = mode.min_p;
    const std::string what = std::string("sample_codes, ") + (bytes == 4 ? "float32 " : "bfloat16 ") +
                             std::to_string(size) + where + (is_guided ? " guided, " : ", ") + mode.name;
    report(what.c_str(), budget, double(bytes * size * (1 + is_guided)),
           [&] { kCudaKernels.sample_codes(args, 0, 1); });
    const int32_t found = code;
    cpu_kernels().sample_codes(args, 0, 1);
    if (found != code) std::printf("%s: code %d, on the CPU %d\n", what.c_str(), found, code);
    within = within && found == code;
  }
}

}  // namespace

int main() {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal;
  const int64_t rows = 1, size = 8192;
  std::vector<float> logits(rows * size);
  std::vector<int64_t> count(rows, size / 4), samples(rows);
  std::vector<int32_t> ids(rows * size), out(rows * size), mask_ids(size);
  std::vector<char> is_open(rows * size, 1), chosen(rows * size);
  for (float& x : logits) x = 3 * normal(generator);
  std::printf(
      "| bytes over the least; a block's barriers, those of its cluster, and warp collectives | read | budget | "
      "written | barriers | clusters' | collectives |\n|---|---|---|---|---|---|---|\n");
  emulated::device.processors = 1;  // so that rows are spread only where they must be
  sample_budgets(FloatType::float32, 1000, false, 1.1);
  sample_budgets(FloatType::float32, 8192, false, 1.1);
  sample_budgets(FloatType::bfloat16, 8192, true, 1.1);
  sample_budgets(FloatType::bfloat16, 50000, false, 1.1);
  emulated::device.processors = 4;  // the least that have a cluster of four
  sample_budgets(FloatType::bfloat16, 126464, false, 1.1);
  emulated::device = {};
  sample_budgets(FloatType::float32, 65536, true, 1.1);
  // Where there are no clusters, a block reads such a row twice, and then few of its codes.
  emulated::device.has_clusters = false;
  sample_budgets(FloatType::bfloat16, 126464, false, 2.2, " alone");
  emulated::device = {};
  auto* open = reinterpret_cast<bool*>(is_open.data());
  const ChooseArgs choice = {logits.data(), open, count.data(), reinterpret_cast<bool*>(chosen.data()), rows, size};
  report("choose, a quarter of 8192 (score and flag)", 1.1, 5.0 * rows * size,
         [&] { kCudaKernels.choose(choice, 0, rows); });
  const CommitArgs commit = {ids.data(), ids.data(), choice, out.data()};
  report("commit, a quarter of 8192 (two ids, score, flag)", 1.1, 13.0 * rows * size,
         [&] { kCudaKernels.commit(commit, 0, rows); });
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
  // Flags are counted first, for the length of the lists; a quarter of the slots read the id of their mask.
  report("mask_tokens, a quarter of 8192 (id, flag twice)", 1.3, 6.0 * rows * size,
         [&] { kCudaKernels.mask_tokens(mask, 0, rows); });
  const int64_t positions = 64, levels = 4, width = 256, table_rows = 64;
  std::vector<int32_t> words(positions * levels);
  for (auto& id : words) id = 1 + int32_t(generator() % (table_rows - 1));
  std::vector<float> table(table_rows * width), vectors(positions * width);
  EmbedCodesArgs embed = {words.data(), table.data(), vectors.data(), FloatType::float32,
                          positions,    levels,       table_rows,     width};
  report("embed_codes, 64 x 4 x 256 (rows named, ids)", 1.05, 4.0 * positions * levels * (width + 1),
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
  report("attend_cached, float32, 8 queries, 256 slots (K, V)", 9, 8.0 * heads * total * head,
         [&] { kCudaKernels.attend_cached(attend, 0, heads); });
  // In half precision a block reads keys and values once for all of its queries.
  attend.type = CacheType::bfloat16;
  std::vector<uint4> half(heads * total * head / 8);
  attend.keys = attend.values = half.data();
  report("attend_cached, bfloat16, 8 queries, 256 slots (K, V)", 1.1, 4.0 * heads * total * head,
         [&] { kCudaKernels.attend_cached(attend, 0, heads); });
  // Each component is read once, and by each head its weights and turns; slots and splits by every lane.
  std::vector<uint4> vectors3(queries * 3 * heads * head / 8), scales(head / 8);
  std::vector<float> turns(queries * head);
  std::vector<int64_t> places(queries);
  for (int64_t m = 0; m < queries; ++m) places[m] = m;
  RotateAndStoreArgs store = {};
  store.type = CacheType::bfloat16;
  store.qkv = vectors3.data();
  store.query_weight = store.key_weight = scales.data();
  store.cos = store.sin = store.query_cos = store.query_sin = turns.data();
  store.row_splits = splits.data();
  store.slots = places.data();
  store.keys = keys.data();
  store.values = values.data();
  store.query = query.data();
  store.count = queries;
  store.rows = 1;
  store.heads = heads;
  store.size = head;
  store.total = total;
  report("rotate_and_store, bfloat16, 8 x 2 x 64 (q, k, v, turns)", 1.25, queries * heads * head * (3 + 2 + 8) * 2.0,
         [&] { kCudaKernels.rotate_and_store(store, 0, heads); });
  const int64_t coded = 64, books = 2, of_book = 128, wide = 32;
  std::vector<float> x(coded * wide), book(books * of_book * wide), packed(books * of_book * wide),
      biases(books * of_book), sum(coded * wide);
  std::vector<int32_t> nearest(coded * books);
  for (float& value : x) value = normal(generator);
  for (float& value : book) value = normal(generator);
  QuantizeResidualArgs quantize = {x.data(), book.data(), packed.data(), biases.data(), nearest.data(), sum.data(),
                                   coded,    wide,        books,         of_book,       false};
  kCudaKernels.quantize_pack(quantize, 0, books * of_book / kCudaKernels.quantize_panel());
  report("quantize_residual, 64 x 32, 2 x 128 (codebooks)", 7, 4.0 * books * of_book * wide,
         [&] { kCudaKernels.quantize_residual(quantize, 0, coded); });
  // A block of 32 rows reads the parts of all codes, which are split once; rows are read at each level.
  std::vector<uint4> parts(books * of_book * padded_width(wide) / 4);
  quantize.parts = reinterpret_cast<uint16_t*>(parts.data());
  report("the same on tensor cores", 6.5, 4.0 * books * of_book * wide,
         [&] { kCudaKernels.quantize_residual(quantize, 0, coded); });
  if (!within) std::printf("a kernel reads more than its budget allows\n");
  return within ? 0 : 1;
}
