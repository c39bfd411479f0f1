// The draws of a step, row by row of the logits. A slot is not revealed once as many of its row as are revealed rank above
// all that it can reach: its code is at most as probable as the largest weight over the mass so far. Its logits are then
// left where that shows. What is bad in them is found in pass 1, which reads them all.
#pragma once

#include "sample_codes.h"
#include "tokenmask/reveal.h"

namespace tokenmask::TM_ISA {

// The `most` highest of the numbers that were added: a heap with the least of them on top.
struct Highest {
  Buffer<float> heap;
  int64_t size = 0, most = 0;

  TM_HOST_DEVICE explicit Highest(int64_t room) : heap(room + 1) {}

  TM_HOST_DEVICE void begin(int64_t wanted, int64_t room) {
    size = 0;
    most = wanted < 0 ? 0 : (wanted < room ? wanted : room);
  }

  // What another number must reach to be among them.
  TM_HOST_DEVICE float least() const { return most == 0 ? kInfinity : (size < most ? -kInfinity : heap.data[0]); }

  TM_HOST_DEVICE void add(float value) {
    float* at = heap.data;
    if (size < most) {
      int64_t i = size++;
      for (; i > 0 && at[(i - 1) / 2] > value; i = (i - 1) / 2) at[i] = at[(i - 1) / 2];
      at[i] = value;
    } else if (most > 0 && value > at[0]) {
      int64_t i = 0;
      for (int64_t child = 1; child < size; child = 2 * i + 1) {
        if (child + 1 < size && at[child + 1] < at[child]) ++child;
        if (at[child] >= value) break;
        at[i] = at[child];
        i = child;
      }
      at[i] = value;
    }
  }
};

// A mass above which no code reaches `least`, with a margin for what is rounded on the way.
TM_HOST_DEVICE int64_t most_mass(float least, float noise) {
  if (least == -kInfinity) return INT64_MAX;
  if (least == kInfinity) return noise < kInfinity ? 0 : INT64_MAX;
  const double room = double(noise) - double(least),
               margin = 1e-5 * (1.0 + __builtin_fabs(double(noise)) + __builtin_fabs(double(least)));
  if (!(room + margin < 16.0)) return INT64_MAX;  // NaN too
  return room + margin < 0.0 ? 0 : int64_t(kFullWeight * ::exp(room + margin));
}

template <FloatType type, bool statistics>
TM_HOST_DEVICE int64_t reveal_rows(const RevealArgs& args, int64_t begin, int64_t end) {
  constexpr bool plain = type == FloatType::float32;
  SampleCodesArgs one = args.draws;
  RowScratch scratch(one.size, !plain);
  Highest highest(args.length);
  const bool bounded = args.ranks && args.by == Statistic::logprob;
  const int64_t bytes = one.size * (plain ? 4 : 2);
  int64_t counter, row = -1, most = INT64_MAX;
  float entropy = 0.0f, margin = 0.0f, known = 0.0f;
  one.counters = &counter, one.seeds = nullptr, one.entropy = &entropy, one.margin = &margin;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t slot = args.slots[i];
    const float noise = args.noise ? args.noise[i] : 0.0f;
    const bool begins = row != slot / args.length;
    if (begins) {
      row = slot / args.length;
      highest.begin(args.count[row], args.length);
      one.seed = uint64_t(args.seeds[row]);
    }
    if (args.chosen) {
      most = args.chosen[slot] ? INT64_MAX : 0;
    } else if (bounded) {
      const float least = highest.least();
      if (begins || args.noise || least != known) most = most_mass(least, noise);
      known = least;
    }
    counter = int64_t(uint64_t(args.counters[slot]) + uint64_t(args.later));
    one.logits = static_cast<const char*>(args.draws.logits) + i * bytes;
    one.codes = args.draws.codes + i, one.logprob = args.draws.logprob + i;
    const int64_t failed = sample_row<type, plain, statistics>(one, 0, scratch, most);
    if (failed != kNoFailure) return failure(i, Reason(failed % kReasons));
    const bool left = *one.codes == kNoCode;
    if (left) *one.logprob = 0.0f;
    if (!args.ranks) continue;
    float rank = args.by == Statistic::logprob ? *one.logprob : (args.by == Statistic::entropy ? -entropy : margin);
    if (args.noise) rank = add(rank, noise);
    args.ranks[i] = left ? -kInfinity : rank;
    if (bounded && !left) highest.add(rank);
  }
  return kNoFailure;
}

template <FloatType type>
TM_HOST_DEVICE int64_t reveal_as(const RevealArgs& args, int64_t begin, int64_t end) {
  // The bound of top-k goes by the two largest of each lane, which are made with the statistics.
  const bool top_k = args.draws.top_k > 0 && args.draws.top_k < args.draws.size;
  const bool statistics = top_k || (args.ranks && args.by != Statistic::logprob);
  return statistics ? reveal_rows<type, true>(args, begin, end) : reveal_rows<type, false>(args, begin, end);
}

inline int64_t reveal(const RevealArgs& args, int64_t begin, int64_t end) {
  switch (args.draws.type) {
    case FloatType::bfloat16:
      return reveal_as<FloatType::bfloat16>(args, begin, end);
    case FloatType::float16:
      return reveal_as<FloatType::float16>(args, begin, end);
    default:
      return reveal_as<FloatType::float32>(args, begin, end);
  }
}

}  // namespace tokenmask::TM_ISA
