// Random cases, odd numbers and failures among them: the CUDA kernels against the widest CPU kernels of this processor.
//     fuzz [seed] [rounds] [most codes of a row]
#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "../drawn.h"
#include "cpu/dispatch.h"
#include "cuda_bf16.h"
#include "cuda_fp16.h"
#include "tokenmask/weight.h"
#ifdef EMULATED
#include "emulated.h"
#endif

namespace tokenmask {
extern const CpuKernels kCudaKernels;
}

using namespace tokenmask;

namespace {

int64_t most_codes = 600;
constexpr int64_t kMostOfWarp = 1024, kMostOfBlock = 16384;  // as rows.cuh has them

bool chance(int64_t one_in) { return below(one_in) == 0; }

void require(bool holds, const char* what, int64_t got = 0, int64_t expected = 0) {
  if (holds) return;
  std::printf("%s differs: %lld, expected %lld\n", what, static_cast<long long>(got), static_cast<long long>(expected));
  std::exit(1);
}

// Flags as a view of other memory as bool may hold them: any byte but 0 is set.
void put_flag(Array<bool>& flags, int64_t i, bool set) {
  const auto byte = uint8_t(set ? (chance(8) ? 1 + below(255) : 1) : 0);
  memcpy(flags.get() + i, &byte, 1);
}

float score(int64_t kind) {
  static const float odd[] = {0.0f, -0.0f, 1.0f, -1.5f, 3e38f, -3e38f, 1e-42f, INFINITY, -INFINITY, NAN, -NAN};
  if (kind == 0 && chance(40)) return odd[below(11)];
  const float value = normal();
  return kind == 1                ? std::round(value)
         : kind == 2              ? 0.5f
         : kind == 3 && chance(2) ? -INFINITY
         : kind == 6              ? std::round(value * 8) / 8
         : kind == 8              ? -1.8e38f * (1 + std::fabs(value) / 3)
                                  : value * (kind == 4   ? 20.0f
                                             : kind == 7 ? 0.1f
                                                         : 1.0f);
}

int64_t size_up_to(int64_t most) {
  static const int64_t odd[] = {0, 1, 2, 31, 32, 33, 255, 256, 257, 511, 512, 513};
  return chance(3) ? std::min(odd[below(12)], most) : below(most + 1);
}

// Of a row that a team works on: by its length a warp, a block, a larger block, or one that keeps nothing.
int64_t length_of_row() {
  static const int64_t kinds[] = {kMostOfWarp, kMostOfBlock, 1 << 16};
  if (!chance(most_codes < 600 ? 4 : 8)) return size_up_to(most_codes);
  if (most_codes < 600 || !chance(4)) return kMostOfWarp - 1 + below(3) + (chance(2) ? 0 : below(1000));
  return kinds[1 + below(2)] - 2 + below(5);
}

#ifdef EMULATED
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
#endif

// Elements by which an array is moved from the address that memory begins at.
int64_t shift() { return chance(4) ? below(8) : 0; }

// What both sets leave where a row failed does not matter, but the failure must be the same.
void choices() {
  const int64_t length = length_of_row(), batch = length > kMostOfWarp ? below(3) : below(7);
  const int64_t all = batch * length;
  Array<float> scores(all, shift());
  Array<bool> is_open(all, shift()), chosen(all, shift()), expected(all);
  Array<int32_t> ids(all, shift()), proposed(all, shift()), out(all, shift()), wanted(all);
  Array<int64_t> count(batch), samples(batch), offsets(batch + 1);
  const int64_t kind = below(6), density = 1 + below(4);
  for (int64_t i = 0; i < batch * length; ++i) {
    scores[i] = score(kind);
    put_flag(is_open, i, below(5) < density);
    ids[i] = int32_t(generator());
    proposed[i] = int32_t(generator());
  }
  for (int64_t row = 0; row < batch; ++row) {
    count[row] = chance(5) ? (chance(2) ? INT64_MAX : INT64_MIN) : below(length + 3) - 1;
    samples[row] = int64_t(generator());
  }
  ChooseArgs args = {scores.get(), is_open.get(), count.get(), chosen.get(), batch, length};
  const int64_t failed = kCudaKernels.choose(args, 0, batch);
  args.chosen = expected.get();
  const int64_t known = cpu_kernels().choose(args, 0, batch);
  require(failed == known, "the failure of choose", failed, known);
  if (failed == kNoFailure) require(chosen == expected, "choose");
  CommitArgs commit = {ids.get(), proposed.get(), args, wanted.get()};
  require(cpu_kernels().commit(commit, 0, batch) == known, "the failure of commit");
  commit.out = out.get();
  commit.choice.chosen = chosen.get();
  require(kCudaKernels.commit(commit, 0, batch) == known, "the failure of commit");
  if (known == kNoFailure) require(out == wanted && chosen == expected, "commit");

  Array<int32_t> mask_ids(length), low(length), high(length);
  for (int64_t i = 0; i < length; ++i) {
    mask_ids[i] = int32_t(generator());
    low[i] = int32_t(below(100)) - 50;
    high[i] = low[i] + (chance(400) ? 0 : 1 + int32_t(below(1 << 20)));
  }
  MaskTokensArgs mask = {};
  mask.ids = ids.get();
  mask.maskable = is_open.get();
  mask.count = count.get();
  mask.mask_ids = mask_ids.get();
  mask.scores = chance(2) ? scores.get() : nullptr;
  mask.random_low = low.get();
  mask.random_high = high.get();
  mask.sample_ids = samples.get();
  mask.offsets = offsets.get();
  mask.batch = batch;
  mask.length = length;
  mask.seed = generator();
  mask.mask_below = chance(3) ? uint64_t{1} << 32 : below(1ll << 32);
  mask.random_below = chance(3) ? uint64_t{1} << 32 : below(1ll << 32);
  for (int64_t row = 0; row < batch; ++row) offsets[row + 1] = offsets[row] + mask_tokens_count(mask, row);
  Array<int64_t> slots(offsets[batch]), wanted_slots(offsets[batch]);
  Array<int32_t> targets(offsets[batch]), wanted_targets(offsets[batch]);
  mask.corrupted = out.get();
  mask.slots = slots.get();
  mask.targets = targets.get();
  const int64_t stopped = kCudaKernels.mask_tokens(mask, 0, batch);
  mask.corrupted = wanted.get();
  mask.slots = wanted_slots.get();
  mask.targets = wanted_targets.get();
  const int64_t known_stop = cpu_kernels().mask_tokens(mask, 0, batch);
  // Which of two reasons comes first is not promised.
  require((stopped == kNoFailure) == (known_stop == kNoFailure), "the failure of mask_tokens", stopped, known_stop);
  if (stopped == kNoFailure)
    require(out == wanted && slots == wanted_slots && targets == wanted_targets, "mask_tokens");
}

template <FloatType type>
void samples(int64_t size, bool is_unkept = false) {
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

void numbers() {
  const int64_t size = size_up_to(2000);
  Array<int64_t> counters(size), seeds(size);
  Array<float> out(size), wanted(size);
  for (int64_t i = 0; i < size; ++i) {
    counters[i] = int64_t(generator());
    seeds[i] = int64_t(generator());
  }
  UniformArgs args = {counters.get(),    chance(2) ? seeds.get() : nullptr, out.get(), size, generator(),
                      uint32_t(below(9))};
  kCudaKernels.uniform(args, 0, size);
  args.out = wanted.get();
  cpu_kernels().uniform(args, 0, size);
  require(out == wanted, "uniform");
}

template <FloatType type>
void embeddings() {
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

// In float32 both sets agree to rounding; in half precision the CPU's float32 result, rounded, is the measure.
template <typename T>
void caches(CacheType type, float tolerance) {
  static const int64_t of_tiles[] = {32, 64, 128};  // for which half precision has kernels of its own
  // A row so long that a block passes over all of the slots that it looks at first.
  const bool late = chance(3);
  const int64_t looked_at = 256;
  const int64_t rows = 1 + below(3), heads = 1 + below(3),
                size = late        ? 2 * (1 + below(8))
                       : chance(2) ? of_tiles[below(3)]
                                   : 2 * (1 + below(chance(8) ? 300 : 40)),
                tiles = late ? looked_at / kTile + 1 + below(20) : below(chance(3) ? 40 : 5),
                most = late        ? 5
                       : chance(4) ? 100
                                   : 20;
  const int64_t total = tiles * kTile, units = rows * heads;
  Array<int64_t> splits(rows + 1), lengths(rows);
  std::vector<int64_t> drawn;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<int64_t> order(total);
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), generator);
    const int64_t count = below(std::min<int64_t>(total, most) + 1);
    drawn.insert(drawn.end(), order.begin(), order.begin() + count);
    splits[row + 1] = splits[row] + count;
    lengths[row] = late ? total - below(kTile) : below(total + 1);
  }
  const int64_t count = splits[rows];
  Array<int64_t> slots(count);
  std::copy(drawn.begin(), drawn.end(), slots.get());
  Array<float> cos(count * size), sin(count * size);
  Array<bool> allowed(count * total);
  for (auto* each : {&cos, &sin}) {
    for (int64_t i = 0; i < each->size; ++i) (*each)[i] = normal();
  }
  const int64_t from = late ? looked_at + below(total - looked_at) : 0;
  for (int64_t i = 0; i < allowed.size; ++i) put_flag(allowed, i, i % total >= from && chance(2));
  const int64_t sizes[] = {
      count * 3 * heads * size, size, size, units * total * size, units * total * size, count * heads * size,
      count * heads * size};
  std::vector<Array<T>> own;
  std::vector<Array<float>> wide;
  for (int64_t n : sizes) {
    own.emplace_back(n);
    wide.emplace_back(n);
    for (int64_t i = 0; i < n; ++i) wide.back()[i] = float(own.back()[i] = T(normal()));
  }
  const bool attend_everything = !late && chance(2);
  if (chance(2)) {  // in a query, a key or, where no query may pass over it, a value
    const int64_t in = chance(2) ? 0 : attend_everything ? 4 : 3;
    if (own[in].size) {
      int64_t at = below(own[in].size);
      // qkv is [count, 3, heads, size]: a value there becomes one that queries may pass over.
      if (in == 0 && !attend_everything && at / (heads * size) % 3 == 2) at -= heads * size;
      wide[in][at] = float(own[in][at] = T(chance(2) ? NAN : INFINITY));
    }
  }
  if (late && chance(2)) {  // NaN is all that is seen of the slots that are looked at first
    const int64_t seen = below(looked_at);
    for (int64_t m = 0; m < count; ++m) put_flag(allowed, m * total + seen, true);
    const int64_t at = (below(units) * total + seen / kTile * kTile) * size + seen % kTile;
    wide[3][at] = float(own[3][at] = T(NAN));
  }
  RotateAndStoreArgs store = {};
  store.cos = store.query_cos = cos.get();
  store.sin = store.query_sin = sin.get();
  store.row_splits = splits.get();
  store.slots = slots.get();
  store.count = count;
  store.rows = rows;
  store.heads = heads;
  store.size = size;
  store.total = total;
  store.eps = 1e-6f;
  AttendCachedArgs attend = {};
  attend.row_splits = splits.get();
  attend.lengths = lengths.get();
  attend.allowed = attend_everything ? nullptr : allowed.get();
  attend.count = count;
  attend.rows = rows;
  attend.heads = heads;
  attend.size = size;
  attend.total = total;
  const auto run = [&](auto& arrays, const CpuKernels& kernels, CacheType of) {
    store.type = attend.type = of;
    store.qkv = arrays[0].get();
    store.query_weight = arrays[1].get();
    store.key_weight = arrays[2].get();
    store.keys = arrays[3].get();
    store.values = arrays[4].get();
    store.query = arrays[5].get();
    kernels.rotate_and_store(store, 0, units);
    attend.query = arrays[5].get();
    attend.keys = arrays[3].get();
    attend.values = arrays[4].get();
    attend.out = arrays[6].get();
    kernels.attend_cached(attend, 0, units);
  };
  run(own, kCudaKernels, type);
  if (rows > 1) {  // the first row alone, in a launch of another shape: the same bits
    Array<T> alone(splits[1] * heads * size);
    attend.out = alone.get();
    attend.rows = 1;
    attend.count = splits[1];
    kCudaKernels.attend_cached(attend, 0, heads);
    attend.rows = rows;
    attend.count = count;
    require(memcmp(alone.get(), own[6].get(), alone.size * sizeof(T)) == 0, "attend_cached of a row alone");
  }
  run(wide, cpu_kernels(), CacheType::float32);
  for (int array : {3, 4, 5, 6}) {
    for (int64_t i = 0; i < own[array].size; ++i) {
      const float found = float(own[array][i]), known = wide[array][i];
      if (std::isnan(found) || std::isnan(known) || std::isinf(known)) {
        require(std::isnan(found) == std::isnan(known) && std::isinf(found) == std::isinf(known),
                array == 6 ? "NaN of attend_cached" : "NaN of rotate_and_store");
        continue;
      }
      const float difference = std::fabs(found - known);
      // Scores of long half-precision heads carry the rounding of queries and keys.
      require(difference <= tolerance * (array == 6 ? 2 * std::sqrt(float(size)) : 1) * (1 + std::fabs(wide[array][i])),
              array == 6 ? "attend_cached" : "rotate_and_store");
    }
  }
}

#ifdef EMULATED
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

}  // namespace

int main(int count, char** words) {
  const uint64_t seed = count > 1 ? strtoull(words[1], nullptr, 0) : 1;
  const int rounds = count > 2 ? atoi(words[2]) : 200;
  if (count > 3) most_codes = atoll(words[3]);
  for (int round = 0; round < rounds; ++round) {
    generator.seed(seed * 1000003 + round);
#ifdef EMULATED
    emulated::thread_order = round % 3 == 2 ? generator() : round % 3;
    // Devices with clusters, with many processors or one, with room for long rows or for few codes, and one without.
    const bool has_clusters = !chance(3);
    const int64_t room = !has_clusters ? 8500 : chance(2) ? int64_t(emulated::kMostShared) : 8000 + below(4000);
    emulated::device = {chance(2) ? 132 : 1, int(room), has_clusters};
#endif
    choices();
    samples<FloatType::float32>(length_of_row());
    samples<FloatType::bfloat16>(length_of_row());
    samples<FloatType::float16>(length_of_row());
    embeddings<FloatType::float32>();
    embeddings<FloatType::bfloat16>();
    embeddings<FloatType::float16>();
    for (int again = most_codes < 600 ? 2 : 0; again < 3; ++again) quantizers();  // of many kinds
    numbers();
    caches<float>(CacheType::float32, 1e-5f);
    caches<__nv_bfloat16>(CacheType::bfloat16, 0.01f);
    caches<__half>(CacheType::float16, 0.002f);
#ifdef EMULATED
    for (int again = 0; again < 2; ++again) {
      samples<FloatType::float32>(length_of_unkept(), true);
      samples<FloatType::bfloat16>(length_of_unkept(), true);
      samples<FloatType::float16>(length_of_unkept(), true);
    }
#endif
  }
#ifdef EMULATED
  emulated::device = {};
  if (most_codes >= 600) huge();
  std::printf("%llu launches, %llu blocks, %llu barriers; ", static_cast<unsigned long long>(emulated::counts.launches),
              static_cast<unsigned long long>(emulated::counts.blocks),
              static_cast<unsigned long long>(emulated::counts.barriers));
#endif
  std::printf("%d rounds agree\n", rounds);
  return 0;
}
