// The threads that work on one row: a warp (short rows, several a block), a whole block, or the blocks of a cluster, each
// with a part of the row. They share memory and talk through it; nothing here depends on the order in which they run.
#pragma once

#include "ptx.cuh"
#include "report.cuh"

namespace tokenmask {

constexpr int kBins = 256;  // what a team can sum by: a digit of eight bits, or pieces of a row

template <int kSize>
struct alignas(16) TeamMemory {
  long long partial[kSize / 32];
  unsigned low[kBins], high[kBins];  // halves of sums: shared memory has no sums of 64 bits, only swaps in a loop
  unsigned counts[kBins];
  long long found, before;  // what one thread tells the others
  long long given[2];       // what a block tells the others of its cluster, by turns

  __device__ int64_t sum(int bin) const { return int64_t(uint64_t{high[bin]} << 32 | low[bin]); }
  __device__ void set(int bin, int64_t sum) {
    low[bin] = unsigned(sum);
    high[bin] = unsigned(sum >> 32);
  }
  // From any thread; the halves together are right at the next sync.
  __device__ void add(int bin, unsigned value) {
    if (atomicAdd(&low[bin], value) + value < value) atomicAdd(&high[bin], 1u);
  }
};

// The sum over a warp of values of at least 0; it is below 2^59, as 2^29 weights are.
__device__ inline long long sum_of_warp(long long value) {
  const uint32_t low = __reduce_add_sync(0xffffffffu, uint32_t(value) & 0x7ffffffu);  // 32 of 27 bits fit
  const uint32_t high = __reduce_add_sync(0xffffffffu, uint32_t(value >> 27));
  return (static_cast<long long>(high) << 27) + low;
}

// Combinations of integers that do not depend on the order, of two and over a warp.
struct Sum {
  __device__ long long operator()(long long a, long long b) const { return a + b; }
  __device__ long long of_warp(long long value) const { return sum_of_warp(value); }
};
struct Most {
  __device__ int operator()(int a, int b) const { return a > b ? a : b; }
  __device__ int of_warp(int value) const { return __reduce_max_sync(0xffffffffu, value); }
};
struct Least {
  __device__ int operator()(int a, int b) const { return a < b ? a : b; }
  __device__ int of_warp(int value) const { return __reduce_min_sync(0xffffffffu, value); }
};

// A team of `kSize` threads, or with `kSpread` of as many in each block of a cluster.
template <int kSize, bool kSpread = false>
struct Team {
  static constexpr int kTeamWarps = kSize / 32;
  TeamMemory<kSize>& memory;  // of the own block
  int thread;                 // of the team, in the own block
  mutable int turn = 0;       // of what is given

  __device__ int rank() const {
    if constexpr (kSpread) return cluster_rank();
    return 0;
  }
  __device__ int blocks() const {
    if constexpr (kSpread) return cluster_size();
    return 1;
  }

  __device__ int lane() const { return thread % 32; }
  __device__ int warp() const { return thread / 32; }

  __device__ void sync() const {
    if constexpr (kSize == 32) {
      __syncwarp();
    } else {
      __syncthreads();
    }
  }

  // The same for the blocks of a spread team too.
  __device__ void meet() const {
    if constexpr (kSpread) {
      sync_cluster();
    } else {
      sync();
    }
  }

  // Sums of all blocks in a bin; what each wrote there was written before they met.
  __device__ int64_t sum_of(int bin) const {
    int64_t sum = memory.sum(bin);
    for (int other = 1; other < blocks(); ++other) {
      const int rank_of_other = (rank() + other) % blocks();
      sum += int64_t(uint64_t{*of_block(&memory.high[bin], rank_of_other)} << 32 |
                     *of_block(&memory.low[bin], rank_of_other));
    }
    return sum;
  }
  __device__ int64_t count_of(int bin) const {
    int64_t count = memory.counts[bin];
    for (int other = 1; other < blocks(); ++other) {
      count += *of_block(&memory.counts[bin], (rank() + other) % blocks());
    }
    return count;
  }

  // Combines one integer a thread; every thread gets the result, and sees what the others wrote before.
  template <typename T, typename Combine>
  __device__ T reduce(T value, Combine combine) const {
    value = reduce_block(value, combine);
    if constexpr (kSpread) {
      const long long* given = give(value);
      value = T(*of_block(given, 0));
      for (int other = 1; other < blocks(); ++other) value = combine(value, T(*of_block(given, other)));
    }
    return value;
  }

  // The sum over the team, and in `before` that of the blocks before the own.
  __device__ int64_t sum(long long value, int64_t& before) const {
    int64_t all = reduce_block(value, Sum());
    before = 0;
    if constexpr (kSpread) {
      const long long* given = give(all);
      all = 0;
      for (int other = 0; other < blocks(); ++other) {
        const int64_t of_other = *of_block(given, other);
        if (other < rank()) before += of_other;
        all += of_other;
      }
    }
    return all;
  }

  // Where each block finds what the others say. Who is slow may still read what was given before, never what was given
  // before that.
  __device__ const long long* give(long long value) const {
    turn = 1 - turn;
    if (thread == 0) memory.given[turn] = value;
    meet();
    return &memory.given[turn];
  }

  // Among the threads of the own block.
  template <typename T, typename Combine>
  __device__ T reduce_block(T value, Combine combine) const {
    value = combine.of_warp(value);
    if constexpr (kSize == 32) {
      sync();
    } else {
      sync();  // an earlier call may still be reading
      if (lane() == 0) memory.partial[warp()] = value;
      sync();
      value = T(memory.partial[0]);
      for (int other = 1; other < kTeamWarps; ++other) value = combine(value, T(memory.partial[other]));
    }
    return value;
  }

  __device__ int64_t sum(long long value) const { return reduce(value, Sum()); }
  __device__ int most(int value) const { return reduce(value, Most()); }
  __device__ int least(int value) const { return reduce(value, Least()); }

  // The sum of the values of the threads before this one; `total` receives the sum of all.
  __device__ int64_t scan(long long value, int64_t& total) const {
    long long upto = value;
    for (int step = 1; step < 32; step *= 2) {
      const long long before = __shfl_up_sync(0xffffffffu, upto, step);
      if (lane() >= step) upto += before;
    }
    if constexpr (kSize == 32) {
      total = __shfl_sync(0xffffffffu, upto, 31);
      return upto - value;
    }
    sync();  // an earlier call may still be reading
    if (lane() == 31) memory.partial[warp()] = upto;
    sync();
    total = 0;
    int64_t before = upto - value;
    for (int other = 0; other < kTeamWarps; ++other) {
      if (other < warp()) before += memory.partial[other];
      total += memory.partial[other];
    }
    return before;
  }

  // The bin in which the running sum of `value_of` the bins reaches `needed`, from the first or from the last bin on, and
  // in `before` the sum up to it. What the values come from was written before a sync, and sums to `needed` or more.
  template <typename ValueOf>
  __device__ int find_bin(int64_t needed, bool from_last, ValueOf value_of, int64_t& before) const {
    constexpr int kEach = kSize < kBins ? kBins / kSize : 1;
    const auto bin = [&](int e) {
      const int at = thread * kEach + e;
      return from_last ? kBins - 1 - at : at;
    };
    const bool has_bins = thread * kEach < kBins;
    int64_t own = 0;
    for (int e = 0; e < kEach; ++e) own += has_bins ? value_of(bin(e)) : 0;
    int64_t total;
    int64_t reached = scan(own, total);
    if (has_bins && reached < needed && needed <= reached + own) {
      int e = 0;
      while (reached + value_of(bin(e)) < needed) reached += value_of(bin(e++));
      memory.found = bin(e);
      memory.before = reached;
    }
    sync();
    before = memory.before;
    return int(memory.found);
  }
};

}  // namespace tokenmask
