// sample_codes.
#include <sys/mman.h>

#include "fuzz.h"
#include "tokenmask/weight.h"

namespace {

template <FloatType type>
void samples_of(int64_t size, bool is_unkept = false) {
  using Stored = std::conditional_t<type == FloatType::float32, float, uint16_t>;
  const int64_t rows = is_unkept ? 1 + below(3) : size > kMostOfWarp ? below(3) : below(7);
  Array<Stored> logits(rows * size, shift()), uncond(rows * size, shift());
  Array<bool> allowed(rows * size + 1);
  Array<int64_t> counters(rows), seeds(rows);
  Array<float> temperatures(rows), guidances(rows);
  const int64_t kind = is_unkept && chance(2) ? 6 + 2 * below(2) : below(9);
  for (int64_t i = 0; i < rows * size; ++i) {
    store_float<type>(logits.get(), i, score(kind));
    store_float<type>(uncond.get(), i, score(kind == 0 ? 5 : kind));
    put_flag(allowed, i, chance(3));
  }
  for (int64_t row = 0; row < rows; ++row) {
    counters[row] = int64_t(generator());
    seeds[row] = int64_t(generator());
    temperatures[row] = chance(30) ? NAN : chance(4) ? 0.0f : std::fabs(normal());
    guidances[row] = normal();
    if (size && kind != 0 && kind != 8) store_float<type>(logits.get(), row * size + below(size), 1.0f);
  }
  SampleCodesArgs args = {};
  args.logits = logits.get();
  args.uncond = chance(2) ? uncond.get() : nullptr;
  args.type = type;
  args.allowed = chance(3) ? allowed.get() : nullptr;
  args.allowed_stride = chance(2) ? size : 0;
  args.counters = counters.get();
  args.seeds = chance(2) ? seeds.get() : nullptr;
  args.temperatures = chance(3) ? temperatures.get() : nullptr;
  args.guidances = chance(3) ? guidances.get() : nullptr;
  args.rows = rows;
  args.size = size;
  args.seed = generator();
  args.temperature = chance(5) ? 0.0f : chance(3) ? 1.0f : 0.1f + std::fabs(normal());
  args.guidance = normal();
  args.top_k = chance(2) ? 0 : chance(4) ? int64_t{1} << 62 : 1 + below(size + 2);
  args.top_p = chance(2) ? 1.0 : chance(4) ? 1e-9 : std::uniform_real_distribution<double>(0.01, 1.0)(generator);
  args.min_p = chance(2) ? 0.0 : chance(4) ? 1.0 : std::uniform_real_distribution<double>(0.0, 1.0)(generator);
  if (is_unkept && chance(2)) {  // filters that cut where codes have mass
    args.temperatures = nullptr;
    args.temperature = chance(3) ? 0.2f + std::fabs(normal()) : 1.0f;
    args.top_k = chance(3) ? 0 : 2 + below(chance(2) ? 100 : size);
    args.top_p = chance(3) ? 1.0 : std::uniform_real_distribution<double>(0.3, 1.0)(generator);
    args.min_p = 0.0;
    if (kind == 6 && chance(2)) {  // just at a code, since these are eighths
      args.uncond = nullptr;
      args.temperature = 1.0f;
      args.top_k = 0;
      args.top_p = 1.0;
      const float edge =
          -float(chance(2) ? 1 + below(8) : 3 + 2 * below(2)) / 8;  // of 3 and 5 the logarithm is rounded up
      args.min_p = double(weight(edge)) / kFullWeight;
      if (chance(2)) {  // where a third of all codes lie
        for (int64_t i = 0; i < rows * size; ++i) store_float<type>(logits.get(), i, chance(3) ? 1 + edge : -2.0f);
        for (int64_t row = 0; row < rows; ++row) store_float<type>(logits.get(), row * size + below(size), 1.0f);
      }
    }
  }
  if (kind == 8) {  // logits at the end of all floats, which have mass all the same
    args.temperatures = nullptr;
    args.temperature = 1e35f * float(1 + below(chance(2) ? 30 : 300));
  }
  Array<int32_t> codes(rows), wanted(rows);
  Array<float> found[] = {Array<float>(rows), Array<float>(rows), Array<float>(rows)};
  Array<float> known[] = {Array<float>(rows), Array<float>(rows), Array<float>(rows)};
  args.codes = codes.get();
  args.logprob = found[0].get();
  args.entropy = found[1].get();
  args.margin = found[2].get();
  const int64_t failed = kCudaKernels.sample_codes(args, 0, rows);
  args.codes = wanted.get();
  args.logprob = known[0].get();
  args.entropy = known[1].get();
  args.margin = known[2].get();
  const int64_t expected = cpu_kernels().sample_codes(args, 0, rows);
  require(failed == expected, "the failure of sample_codes", failed, expected);
  if (failed != kNoFailure) return;
  for (int64_t row = 0; row < rows; ++row) {
    require(codes[row] == wanted[row], "sample_codes", codes[row], wanted[row]);
  }
  require(found[0] == known[0], "log-probability");
  require(found[1] == known[1], "entropy");
  require(found[2] == known[2], "margin");
}

}  // namespace

void samples() {
  samples_of<FloatType::float32>(length_of_row());
  samples_of<FloatType::bfloat16>(length_of_row());
  samples_of<FloatType::float16>(length_of_row());
}

#ifdef EMULATED
namespace {

// Makes the device one, and returns the length of a row, so that no block or cluster keeps it, or one just does: a byte of
// each code is kept where there is room for that, at the limits of which many lengths are.
int64_t length_of_unkept() {
  constexpr int64_t kOwn = 3232;  // bytes that a block needs besides, and again for marks
  if (chance(6)) {                // clusters that keep 1024 or 1536 codes
    const int64_t parts = 2 + below(2);
    emulated::device = {chance(2) ? 132 : 8, int(kOwn + parts * 256 + 16), true};
    return parts * 512 + (chance(2) ? 1 : 1 + below(600));
  }
  const int64_t room = 7400 + below(chance(8) ? 7000 : 1700), kept = (room - kOwn) / 16 * 4 - 3,
                marked = room - 2 * kOwn;
  emulated::device = {chance(2) ? 132 : 1, int(room), false};
  const int64_t length = chance(3) ? kept - 1 + below(3) : chance(2) ? marked - 1 + below(3) : kept + below(700);
  return std::max(length, kMostOfWarp + 1);  // a warp keeps its rows anywhere
}

}  // namespace

void unkept_samples() {
  samples_of<FloatType::float32>(length_of_unkept(), true);
  samples_of<FloatType::bfloat16>(length_of_unkept(), true);
  samples_of<FloatType::float16>(length_of_unkept(), true);
}

// Rows of [65536, 131072] logits, 34 GB of which only what is touched takes memory: the last row and the first, whose
// number in 32 bits would be the same.
void huge() {
  const int64_t rows = 65536, size = 131072;
  void* memory =
      mmap(nullptr, rows * size * 4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return void(std::printf("no address space for a huge case\n"));
  float* logits = static_cast<float*>(memory);
  for (int64_t i = 0; i < size; ++i) logits[(rows - 1) * size + i] = normal();
  Array<int64_t> counters(rows);
  Array<int32_t> codes(rows);
  Array<float> statistics(rows);
  SampleCodesArgs args = {};
  args.logits = logits;
  args.counters = counters.get();
  args.codes = codes.get();
  args.logprob = args.entropy = args.margin = statistics.get();
  args.rows = rows;
  args.size = size;
  args.temperature = 0.8f;
  args.top_p = 1.0;
  // Clusters walk rows with the stride of the grid: row 65535 is the second of the first one.
  for (const bool has_clusters : {true, false}) {  // without them nothing keeps such a row
    emulated::device.has_clusters = has_clusters;
    emulated::only_blocks = {0, 1};
    require(kCudaKernels.sample_codes(args, 0, rows) == kNoFailure, "a huge case fails");
    emulated::only_blocks = {0, UINT64_MAX};
    const int32_t found = codes[rows - 1];
    require(cpu_kernels().sample_codes(args, rows - 1, rows) == kNoFailure && codes[rows - 1] == found, "a huge case",
            found, codes[rows - 1]);
  }
  munmap(memory, rows * size * 4);
}
#endif
