// sample_codes: a team a row. The row is read once, and z is kept in shared memory for what follows, of long rows in that
// of several blocks. Rows that are too long for these are read twice: then a byte of each code is kept, by which filters
// look again at few of them.
#include "clusters.cuh"
#include "pieces.cuh"
#include "rows.cuh"
#include "select.cuh"
#include "tokenmask/sample_codes.h"
#include "vectors.cuh"
#include "weigh.cuh"

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
    inverse = scaled == 1.0f ? 1.0f : divide(1.0f, scaled);
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
  int head;       // how much of that comes before whole vectors
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
    return weigh(heat.temperature == 1.0f ? below(i) : heat.quotient(below(i))).weight;
  }
  __device__ bool has_marks() const { return !cached && marks.bins; }
  __device__ int mark(int64_t i) const { return marks.of_codes[i]; }
  __device__ int32_t key(int64_t i) const { return order_key(z(i)); }
};

// The largest z, or NaN if there is one, of the codes that this thread reads from global memory, once; they are kept.
template <FloatType type, bool cached, int kSize, bool kSpread>
__device__ float read_row(const Team<kSize, kSpread>& team, const Places& places, Row<type, cached>& row) {
  constexpr int kPer = kFloatsOfVector<type>;
  constexpr int64_t kBytes = 16 / kPer;
  const SampleCodesArgs& args = row.args;
  const int size = int(places.end - places.begin);
  const int64_t begin = (row.row * args.size + places.begin) * kBytes;
  const auto* logits = static_cast<const unsigned char*>(args.logits) + begin;
  const auto* uncond = args.uncond ? static_cast<const unsigned char*>(args.uncond) + begin : logits;
  row.head = int(head_of(logits, kBytes));
  if (args.uncond && row.head != head_of(uncond, kBytes)) row.head = size;
  if constexpr (cached) {
    // What fills whole vectors weighs nothing.
    const int shift = shift_of(row.head), behind = shift_of(shift + size);
    if (team.thread < shift) row.kept[team.thread] = -kInfinity;
    row.kept += shift;
    if (team.thread < behind) row.kept[size + team.thread] = -kInfinity;
  }
  float most = -kInfinity;
  const auto see = [&](int i, const float (&z)[kPer]) {
#pragma unroll
    for (int e = 0; e < kPer; ++e) most = larger_or_nan(most, z[e]);
    if constexpr (cached) {
#pragma unroll
      for (int e = 0; e < kPer; e += 4) store_floats(row.kept + i + e, z[e], z[e + 1], z[e + 2], z[e + 3]);
    }
  };
  const auto single = [&](int i) {
    const float z = row.computed_z(places.begin + i);
    most = larger_or_nan(most, z);
    if constexpr (cached) row.kept[i] = z;
  };
  const auto load = [&](int i) { return load_vector(logits, i * kBytes); };
  if (args.uncond || args.allowed) {
    struct Both {
      uint4 cond, uncond;
    };
    const auto load_both = [&](int i) {
      const uint4 cond = load(i);
      return Both{cond, args.uncond ? load_vector(uncond, i * kBytes) : cond};
    };
    const auto guide = [&](int i, const Both& both) {
      float z[kPer];
#pragma unroll
      for (int e = 0; e < kPer; ++e) {
        z[e] =
            row.guide(places.begin + i + e, float_of<type, false>(both.cond, e), float_of<type, false>(both.uncond, e));
      }
      see(i, z);
    };
    walk_vectors<kPer, kSize>(team.thread, size, row.head, load_both, guide, single);
  } else {
    const auto widen = [&](int i, const uint4& vector) {
      float z[kPer];
#pragma unroll
      for (int e = 0; e < kPer; ++e) z[e] = float_of<type, false>(vector, e);
      see(i, z);
    };
    walk_vectors<kPer, kSize>(team.thread, size, row.head, load, widen, single);
  }
  return most;
}

// The first of the largest codes of a row, and the largest key of the others. A thread whose own are not the largest knows
// of them what it takes; one whose are looks at them again.
struct Top {
  int first;
  int32_t second;
};

template <FloatType type, bool cached, int kSize, bool kSpread>
__device__ Top top_of(const Team<kSize, kSpread>& team, const Places& places, const Row<type, cached>& row, int32_t own,
                      int32_t largest) {
  int first = INT32_MAX;
  int32_t second = own;
  if (own == largest) {
    second = INT32_MIN;
    const auto look = [&](int i) {
      const int32_t key = row.key(places.begin + i);
      if (key == largest && first == INT32_MAX) first = int(places.begin) + i;
      else second = key > second ? key : second;
    };
    const auto look_at_vector = [&](int i, int) {
      for (int e = 0; e < kFloatsOfVector<type>; ++e) look(i + e);
    };
    walk_vectors<kFloatsOfVector<type>, kSize>(
        team.thread, int(places.end - places.begin), row.head, [](int) { return 0; }, look_at_vector, look);
  }
  const int found = team.least(first);
  return {found, team.most(first == found ? second : own)};
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

// Sums the weights of all codes into pieces, and their surprises over those of this thread.
template <bool heated, FloatType type, bool cached, int kSize, bool kSpread>
__device__ Mass weigh_row(const Team<kSize, kSpread>& team, const Places& places, const Pieces& pieces,
                          const Row<type, cached>& row, long long& surprises) {
  const auto below = [&](float z) {
    const float x = add(z, -row.largest);
    return heated ? row.heat.quotient(x) : x;
  };
  if constexpr (cached) {
    return sum_into_bins(team, pieces, [&](int piece) {
      long long own = 0;
      for (uint32_t at = pieces.begin(piece) + 4 * team.lane(); at < pieces.end(piece); at += 128) {
        const uint4 vector = load_vector(row.kept - pieces.shift, int64_t{at} * 4);
        Weighed each[4];
#pragma unroll
        for (int e = 0; e < 4; ++e) each[e] = weigh(below(float_of<FloatType::float32>(vector, e)));
        own += uint32_t(each[0].weight) + uint32_t(each[1].weight);
        own += uint32_t(each[2].weight) + uint32_t(each[3].weight);
        surprises += uint32_t(each[0].surprise) + uint32_t(each[1].surprise);
        surprises += uint32_t(each[2].surprise) + uint32_t(each[3].surprise);
      }
      return own;
    });
  } else {
    if (row.has_marks()) {
      for (int mark = team.thread; mark < kBins; mark += kSize) {
        row.marks.bins->set(mark, 0);
        row.marks.bins->counts[mark] = 0;
      }
    }
    return sum_pieces(team, places, pieces, [&](int64_t i) {
      const float x = below(row.z(i));
      const Weighed code = weigh(x);
      surprises += uint32_t(code.surprise);
      if (row.has_marks()) {
        const int mark = Marks::mark_of(x);
        row.marks.of_codes[i] = uint8_t(mark);
        row.marks.bins->add(mark, unsigned(code.weight));
        atomicAdd(&row.marks.bins->counts[mark], 1u);
      }
      return code.weight;
    });
  }
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
__device__ Kept filter(const Team<kSize, kSpread>& team, const Places& places, const Pieces& pieces,
                       const Row<type, cached>& row, int64_t mass) {
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
      mass = row.has_marks() ? cut_marks(team, places, row, top_k) : sum_pieces(team, places, pieces, mass_at).all;
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
  const int32_t own = order_key(read_row(team, places, row)), high = team.most(own);
  const int32_t infinite = order_key(kInfinity), minus_infinite = order_key(-kInfinity);
  const float requested = args.temperatures ? args.temperatures[index] : args.temperature;
  if (high > infinite) return failure(index, Reason::not_a_number);
  if (high == infinite) return failure(index, Reason::plus_infinity);
  if (high == minus_infinite) return failure(index, Reason::nothing_allowed);
  if (!is_temperature(requested)) return failure(index, Reason::bad_temperature);
  row.heat = Heat(requested == 0.0f ? 1.0f : requested);
  row.largest = order_value(high);
  const Top top = top_of(team, places, row, own, high);

  const Pieces pieces(places, cached ? shift_of(row.head) : 0);
  long long surprises = 0;
  const Mass mass = row.heat.temperature == 1.0f ? weigh_row<false>(team, places, pieces, row, surprises)
                                                 : weigh_row<true>(team, places, pieces, row, surprises);
  surprises = team.sum(surprises);

  int64_t code = top.first;
  if (requested > 0.0f) {
    const Kept kept = filter(team, places, pieces, row, mass.all);
    const bool all = kept.is_all() && kept.least == 0;
    const auto weigh = [&](int64_t i) { return kept_weight(row, places, kept, i); };
    const Mass left = all ? mass : sum_pieces(team, places, pieces, weigh);
    const auto target = [&] { return draw_below(args, index, left.all) - left.before; };
    code = find_code(team, places, pieces, target, weigh);
  }
  if (team.thread == 0 && places.begin <= code && code < places.end) {
    const double log_mass = log(double(mass.all) / kFullWeight);
    const int32_t second = weight(divide(add(order_value(top.second), -row.largest), row.heat.temperature));
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
  Row<type, cached> row = {args, index, static_cast<float*>(kept), places.begin, 0, marks, guidance, 0.0f, Heat(1.0f)};
  const int64_t failed = sample_row(team, places, row);
  if (failed != kNoFailure && team.thread == 0 && team.rank() == 0) {
    report(late, failed);
    args.codes[index] = -1;
    args.logprob[index] = args.entropy[index] = args.margin[index] = not_a_number();
  }
  team.sync();  // before the next row is kept
}

template <FloatType type, int kSize, bool cached>
__global__ void __launch_bounds__(kThreadsOfTeams<kSize>, kSize == 256 ? 2 : 1)
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
