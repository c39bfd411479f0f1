// sample_codes: a team a row. The row is read once, and z is kept in shared memory for what follows, of long rows in that
// of several blocks. Rows that are too long for these are read twice: then a byte of each code is kept, by which filters
// look again at few of them.
#include "clusters.cuh"
#include "rows.cuh"
#include "select.cuh"
#include "tokenmask/sample_codes.h"
#include "vectors.cuh"

namespace tokenmask {

namespace {

constexpr int kThreadsOfLongest = 512;  // of the team of a row that nothing keeps

// Of a row that is not kept: how far each code lies below the largest, in eighths of a nat, and how many codes and how much
// mass lie there.
struct Marks {
  static constexpr int kFar = kBins - 1;  // and farther
  TeamMemory<kThreadsOfLongest>* bins;    // or null, where there is no room for marks
  uint8_t* of_codes;                      // [size]

  __device__ static int mark_of(float x) {
    const float far = x * -8.0f;
    return far < float(kFar) ? int(far) : kFar;
  }
};

// The temperature of a row, by which many floats of 0 and less are divided. What they become is the rounded quotient but
// where weights, surprises and marks do not tell: next to 0, where products lose bits, and NaN in place of -infinity.
// Source: Markstein, Computation of elementary functions on the IBM RISC System/6000, 1990, theorem of the quotient.
struct Heat {
  float temperature;
  float scale;  // to temperatures whose inverse is no subnormal
  float scaled, inverse;

  __device__ explicit Heat(float given) : temperature(given) {
    scale = given < 0x1p-60f ? 0x1p64f : given > 0x1p60f ? 0x1p-64f : 1.0f;
    scaled = multiply(given, scale);
    inverse = divide(1.0f, scaled);
  }

  __device__ float quotient(float below) const {
    const float over = multiply(below, scale);
    const float near = multiply(over, inverse);
    const float nearer = __fmaf_rn(__fmaf_rn(-near, scaled, over), inverse, near);
    return __fmaf_rn(__fmaf_rn(-nearer, scaled, over), inverse, nearer);
  }
};

template <FloatType type, bool cached>
struct Row {
  const SampleCodesArgs& args;
  int64_t row;
  float* kept;    // [end - begin], if cached
  int64_t begin;  // of what the own block has
  Marks marks;
  float guidance, largest;
  Heat heat;

  __device__ bool is_allowed(int64_t i) const {
    return !args.allowed || is_set(args.allowed, row * args.allowed_stride + i);
  }

  __device__ float guide(int64_t i, float cond, float uncond) const {
    if (!is_allowed(i)) return -kInfinity;
    return args.uncond ? guided(cond, uncond, guidance) : cond;
  }

  __device__ float computed_z(int64_t i) const {
    const int64_t at = row * args.size + i;
    return guide(i, load_float<type>(args.logits, at), args.uncond ? load_float<type>(args.uncond, at) : 0.0f);
  }

  __device__ float z(int64_t i) const {
    if constexpr (cached) return kept[i - begin];
    return computed_z(i);
  }

  __device__ float below(int64_t i) const { return add(z(i), -largest); }
  __device__ int32_t full_weight(int64_t i) const {
    return weight(heat.temperature == 1.0f ? below(i) : heat.quotient(below(i)));
  }
  __device__ bool has_marks() const { return !cached && marks.bins; }
  __device__ int mark(int64_t i) const { return marks.of_codes[i]; }
  __device__ int32_t key(int64_t i) const { return order_key(z(i)); }
};

// Of all codes of a row, read from global memory once: the lowest key, and the place of the arg-max.
struct Extremes {
  int32_t low;
  int64_t first;
};

template <FloatType type, bool cached, int kSize, bool kSpread>
__device__ Extremes read_row(const Team<kSize, kSpread>& team, const Places& places, const Row<type, cached>& row) {
  constexpr int kPer = kFloatsOfVector<type>;
  constexpr int64_t kBytes = 16 / kPer;
  const SampleCodesArgs& args = row.args;
  const int64_t begin = (row.row * args.size + places.begin) * kBytes;
  const auto* logits = static_cast<const unsigned char*>(args.logits) + begin;
  const auto* uncond = args.uncond ? static_cast<const unsigned char*>(args.uncond) + begin : logits;
  const int64_t head = head_of(logits, kBytes);
  int32_t low = INT32_MAX, high = INT32_MIN;
  int64_t at = 0;
  const auto see = [&](int64_t i, float z) {
    if constexpr (cached) row.kept[i] = z;
    const int32_t key = order_key(z);
    low = key < low ? key : low;
    at = key > high ? places.begin + i : at;
    high = key > high ? key : high;
  };
  struct Both {
    uint4 cond, uncond;
  };
  const auto single = [&](int64_t i) { see(i, row.computed_z(places.begin + i)); };
  if (args.uncond || args.allowed) {
    walk_vectors<kPer>(
        team.thread, kSize, places.end - places.begin, head == head_of(uncond, kBytes) ? head : args.size,
        [&](int64_t i) {
          const uint4 cond = load_vector(logits, i * kBytes);
          return Both{cond, args.uncond ? load_vector(uncond, i * kBytes) : cond};
        },
        [&](int64_t i, const Both& both) {
#pragma unroll
          for (int e = 0; e < kPer; ++e) {
            see(i + e, row.guide(places.begin + i + e, float_of<type, false>(both.cond, e),
                                 float_of<type, false>(both.uncond, e)));
          }
        },
        single);
  } else {
    walk_vectors<kPer>(
        team.thread, kSize, places.end - places.begin, head, [&](int64_t i) { return load_vector(logits, i * kBytes); },
        [&](int64_t i, const uint4& vector) {
          int32_t keys[kPer], most = INT32_MIN;
#pragma unroll
          for (int e = 0; e < kPer; ++e) {
            const float z = float_of<type, false>(vector, e);
            if constexpr (cached) row.kept[i + e] = z;
            keys[e] = order_key(z);
            low = keys[e] < low ? keys[e] : low;
            most = keys[e] > most ? keys[e] : most;
          }
          if (most <= high) return;  // of most vectors
          high = most;
#pragma unroll
          for (int e = kPer - 1; e >= 0; --e) at = keys[e] == most ? places.begin + i + e : at;
        },
        single);
  }
  low = team.least(low);
  return {low, team.most(static_cast<long long>(places(high, at)))};
}

// What the filters keep: marks up to `mark`, of codes with that mark places from `from` on, weights from `least` on, which
// have marks up to `farthest`.
struct Kept {
  int64_t from;
  int32_t least;
  int mark, farthest;

  // What is from the first place on in one mark may still lack those behind it.
  __device__ bool is_all() const { return from == kEverything && mark == Marks::kFar; }
};

template <FloatType type, bool cached>
__device__ int32_t kept_weight(const Row<type, cached>& row, const Places& places, const Kept& kept, int64_t i) {
  // A byte tells of most codes that they are not kept.
  if (row.has_marks() && (row.mark(i) > kept.mark || row.mark(i) > kept.farthest)) return 0;
  if (kept.from != kEverything && places(row.key(i), i) < kept.from) return 0;  // before anything is weighed
  const int32_t w = row.full_weight(i);
  return w >= kept.least ? w : 0;
}

// What a block has of a row in at most kBins pieces, each of which a warp sums, and walks if the code that is drawn is in
// it.
struct Pieces {
  uint32_t length;
  int count;

  __device__ explicit Pieces(const Places& places) {
    const auto size = uint32_t(places.end - places.begin);
    const uint32_t each = (size + kBins - 1) / kBins;
    length = each > 256 ? (each + 31) / 32 * 32 : 256;
    count = int((size + length - 1) / length);
  }
};

// Of a row, and of the blocks before the own.
struct Mass {
  int64_t all, before;
};

// Sums `weigh(i)` piece by piece into the bins of the team, and over the row.
template <int kSize, bool kSpread, typename Weigh>
__device__ Mass sum_pieces(const Team<kSize, kSpread>& team, const Places& places, Weigh weigh) {
  const Pieces pieces(places);
  const auto size = uint32_t(places.end - places.begin);
  team.meet();  // the bins may still be read
  for (int bin = pieces.count + team.thread; bin < kBins; bin += kSize) team.memory.set(bin, 0);
  int64_t mass = 0;
  for (int piece = team.warp(); piece < pieces.count; piece += kSize / 32) {
    const uint32_t begin = piece * pieces.length, end = begin + pieces.length < size ? begin + pieces.length : size;
    long long own = 0;
    for (uint32_t i = begin + team.lane(); i < end; i += 32) own += uint32_t(weigh(places.begin + i));
    for (int step = 16; step > 0; step /= 2) own += __shfl_xor_sync(0xffffffffu, own, step);
    if (team.lane() == 0) {
      team.memory.set(piece, own);
      mass += own;
    }
  }
  Mass found;
  found.all = team.sum(mass, found.before);
  return found;
}

constexpr int64_t kNotHere = -1;

// The first code in index order whose cumulative weight is above `target`, from the sums of the pieces; in the block that
// has it, and kNotHere in the others.
template <int kSize, bool kSpread, typename Weigh>
__device__ int64_t find_code(const Team<kSize, kSpread>& team, const Places& places, int64_t target, Weigh weigh) {
  const Pieces pieces(places);
  int64_t before;
  const auto mass_of = [&](int bin) { return team.memory.sum(bin); };
  if constexpr (kSpread) {
    if (team.thread == 0) team.memory.found = kNotHere, team.memory.before = 0;
  }
  const int piece = team.find_bin(target + 1, false, mass_of, before);
  team.sync();  // before `found` is written again
  if (piece == kNotHere) return kNotHere;
  for (int64_t begin = places.begin + piece * pieces.length; team.warp() == 0; begin += 32) {
    const int64_t i = begin + team.lane();
    long long upto = i < places.end ? weigh(i) : 0;
    for (int step = 1; step < 32; step *= 2) {
      const long long lower = __shfl_up_sync(0xffffffffu, upto, step);
      if (team.lane() >= step) upto += lower;
    }
    const unsigned beyond = __ballot_sync(0xffffffffu, before + upto > target);
    before += __shfl_sync(0xffffffffu, upto, 31);
    if (!beyond) continue;
    if (team.lane() == 0) team.memory.found = begin + __ffs(int(beyond)) - 1;
    break;
  }
  team.sync();
  return team.memory.found;
}

// Takes from the marks what top-k does not keep, and returns the mass that is left.
template <FloatType type, bool cached, int kSize, bool kSpread>
__device__ int64_t cut_marks(const Team<kSize, kSpread>& team, const Places& places, const Row<type, cached>& row,
                             const Kept& top_k) {
  long long at_last = 0;
  for (int64_t i = places.begin + team.thread; i < places.end; i += kSize) {
    if (row.mark(i) == top_k.mark) at_last += kept_weight(row, places, top_k, i);
  }
  at_last = team.sum(at_last);
  for (int mark = team.thread; mark < kBins; mark += kSize) {
    if (mark >= top_k.mark) row.marks.bins->set(mark, mark == top_k.mark ? at_last : 0);
  }
  long long mass = 0;
  for (int mark = team.thread; mark < kBins; mark += kSize) mass += row.marks.bins->sum(mark);
  return team.sum(mass);
}

// Top-k, then top-p, then min-p.
template <FloatType type, bool cached, int kSize, bool kSpread>
__device__ Kept filter(const Team<kSize, kSpread>& team, const Places& places, const Row<type, cached>& row,
                       int64_t mass) {
  const SampleCodesArgs& args = row.args;
  Kept kept = {kEverything, 0, Marks::kFar, Marks::kFar};
  const auto key_at = [&](int64_t i) { return row.key(i); };
  // The place that a shortest prefix ends at; its mark first, where there are marks, by what lies at each.
  const auto end_of = [&]<typename By>(By, int64_t needed, auto at_mark, auto mass_at) {
    int mark = Marks::kFar;
    if (row.has_marks()) {
      int64_t before;
      mark = team.find_bin(needed, false, at_mark, before);
      needed -= before;
    }
    const auto takes = [&](int64_t i) { return !row.has_marks() || row.mark(i) == mark; };
    return Kept{select_from<By>(team, places, needed, key_at, mass_at, takes), 0, mark, Marks::kFar};
  };
  if (args.top_k > 0 && args.top_k < args.size) {
    const auto count_at = [&](int mark) { return int64_t{row.marks.bins->counts[mark]}; };
    kept = end_of(ByCount(), args.top_k, count_at, [](int64_t) { return 1; });
  }
  if (args.top_p < 1.0) {
    const Kept top_k = kept;
    const auto mass_at = [&](int64_t i) { return int64_t{kept_weight(row, places, top_k, i)}; };
    if (!kept.is_all())
      mass = row.has_marks() ? cut_marks(team, places, row, top_k) : sum_pieces(team, places, mass_at).all;
    const auto mass_of = [&](int mark) { return row.marks.bins->sum(mark); };
    const Kept top_p = end_of(ByMass(), share_of(args.top_p, mass), mass_of, mass_at);
    if (top_p.mark < top_k.mark || top_p.from > top_k.from) kept = top_p;
  }
  if (args.min_p > 0.0) {
    kept.least = int32_t(share_of(args.min_p, kFullWeight));
    // An eighth more than it takes, for what logarithm and weights are rounded by.
    const float far = -8.0f * logf(float(args.min_p)) + 1.0f;
    kept.farthest = far < float(Marks::kFar) ? int(far) : Marks::kFar;
  }
  return kept;
}

template <FloatType type, bool cached, int kSize, bool kSpread>
__device__ int64_t sample_row(const Team<kSize, kSpread>& team, const Places& places, Row<type, cached>& row) {
  const SampleCodesArgs& args = row.args;
  const int64_t index = row.row;
  if (args.size == 0) return failure(index, Reason::nothing_allowed);
  const Extremes extremes = read_row(team, places, row);
  const int32_t low = extremes.low, high = places.key(extremes.first);
  const int32_t infinite = order_key(kInfinity), minus_infinite = order_key(-kInfinity);
  const float requested = args.temperatures ? args.temperatures[index] : args.temperature;
  if (high > infinite || low < minus_infinite) return failure(index, Reason::not_a_number);
  if (high == infinite) return failure(index, Reason::plus_infinity);
  if (high == minus_infinite) return failure(index, Reason::nothing_allowed);
  if (!is_temperature(requested)) return failure(index, Reason::bad_temperature);
  row.heat = Heat(requested == 0.0f ? 1.0f : requested);
  row.largest = order_value(high);

  if (row.has_marks()) {
    for (int mark = team.thread; mark < kBins; mark += kSize) {
      row.marks.bins->set(mark, 0);
      row.marks.bins->counts[mark] = 0;
    }
  }
  int32_t first = 0, second = 0;  // weights of the own codes
  long long surprises = 0;
  const auto weigh_all = [&](int64_t i, float x) {
    const int32_t w = weight(x);
    const int32_t lower = w < first ? w : first;
    second = lower > second ? lower : second;
    first = w > first ? w : first;
    surprises += uint32_t(surprise(x > kSmallestExponent ? x : kSmallestExponent, w));
    if (row.has_marks()) {
      const int mark = Marks::mark_of(x);
      row.marks.of_codes[i] = uint8_t(mark);
      row.marks.bins->add(mark, unsigned(w));
      atomicAdd(&row.marks.bins->counts[mark], 1u);
    }
    return w;
  };
  const auto weigh_plain = [&](int64_t i) { return weigh_all(i, row.below(i)); };
  const auto weigh_heated = [&](int64_t i) { return weigh_all(i, row.heat.quotient(row.below(i))); };
  const Mass mass =
      row.heat.temperature == 1.0f ? sum_pieces(team, places, weigh_plain) : sum_pieces(team, places, weigh_heated);
  const int num_full = int(team.sum((first >= kFullWeight) + (second >= kFullWeight)));
  second = num_full > 1 ? kFullWeight : team.most(first >= kFullWeight ? second : first);
  surprises = team.sum(surprises);

  int64_t code = places.index(extremes.first);
  if (requested > 0.0f) {
    const Kept kept = filter(team, places, row, mass.all);
    const bool all = kept.is_all() && kept.least == 0;
    const auto weigh = [&](int64_t i) { return kept_weight(row, places, kept, i); };
    const Mass left = all ? mass : sum_pieces(team, places, weigh);
    code = find_code(team, places, draw_below(args, index, left.all) - left.before, weigh);
  }
  if (team.thread == 0 && places.begin <= code && code < places.end) {
    const double log_mass = log(double(mass.all) / kFullWeight);
    args.codes[index] = int32_t(code);
    args.logprob[index] = float(divide(row.below(code), row.heat.temperature) - log_mass);
    args.entropy[index] = entropy_of(log_mass, surprises, mass.all);
    args.margin[index] = float((kFullWeight - second) / double(mass.all));
  }
  return kNoFailure;
}

template <FloatType type, bool cached, int kSize, bool kSpread>
__device__ void sample(const Team<kSize, kSpread>& team, const Places& places, const SampleCodesArgs& args,
                       int64_t index, void* kept, const Marks& marks, const LateFailure& late) {
  const float guidance = args.guidances ? args.guidances[index] : args.guidance;
  Row<type, cached> row = {args, index, static_cast<float*>(kept), places.begin, marks, guidance, 0.0f, Heat(1.0f)};
  const int64_t failed = sample_row(team, places, row);
  if (failed != kNoFailure && team.thread == 0 && team.rank() == 0) {
    report(late, failed);
    args.codes[index] = -1;
    args.logprob[index] = args.entropy[index] = args.margin[index] = not_a_number();
  }
  team.sync();  // before the next row is kept
}

template <FloatType type, int kSize, bool cached>
__global__ void __launch_bounds__(kThreadsOfTeams<kSize>)
    sample_kernel(SampleCodesArgs args, bool has_room, LateFailure late) {
  extern __shared__ uint4 shared[];
  const Seat<kSize> seat = {shared, args.size};
  const Team<kSize> team = seat.team();
  Marks marks = {};
  if (!cached && has_room) {
    marks.bins = reinterpret_cast<TeamMemory<kThreadsOfLongest>*>(seat.kept());
    marks.of_codes = reinterpret_cast<uint8_t*>(marks.bins + 1);
  }
  for (int64_t index = seat.first_row(); index < args.rows; index += seat.row_stride()) {
    sample<type, cached>(team, Places(args.size), args, index, seat.kept(), marks, late);
  }
}

template <FloatType type>
__global__ void __launch_bounds__(kThreadsOfSpread) sample_spread_kernel(SampleCodesArgs args, LateFailure late) {
  extern __shared__ uint4 shared[];
  const SpreadSeat seat = {shared, args.size};
  const SpreadTeam team = seat.team();
  const Places places(args.size, seat.begin(), seat.end());
  for (int64_t index = seat.first_row(); index < args.rows; index += seat.row_stride()) {
    sample<type, true>(team, places, args, index, seat.kept(), Marks{}, late);
  }
  team.meet();  // others may still read what this block has
}

template <FloatType type>
void launch(const SampleCodesArgs& args, const LateFailure& late, cudaStream_t stream) {
  if (launch_spread(sample_spread_kernel<type>, args.rows, args.size, stream, args, late)) return;
  with_team(args.size, [&]<int kSize, bool cached>() {
    const auto kernel = sample_kernel<type, kSize, cached>;
    RowLaunch of = launch_of<kSize, cached>(kernel, args.rows, args.size);
    const int64_t most = most_shared(), with_marks = of.shared + sizeof(TeamMemory<kThreadsOfLongest>) + args.size;
    const bool has_room = !cached && with_marks <= most;
    if (has_room) {
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(most));
      of.shared = with_marks;
    }
    kernel<<<of.grid, of.threads, of.shared, stream>>>(args, has_room, late);
  });
}

}  // namespace

void sample_codes_cuda(const SampleCodesArgs& args, const LateFailure& late, void* stream) {
  if (args.rows == 0) return;
  const auto queue = static_cast<cudaStream_t>(stream);
  if (args.type == FloatType::float32) launch<FloatType::float32>(args, late, queue);
  if (args.type == FloatType::bfloat16) launch<FloatType::bfloat16>(args, late, queue);
  if (args.type == FloatType::float16) launch<FloatType::float16>(args, late, queue);
}

}  // namespace tokenmask
