// choose, commit and mask_tokens; uniform.
#include "fuzz.h"

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
