// choose, commit and mask_tokens.
#include <algorithm>
#include <vector>

#include "checks.h"

static std::vector<int64_t> ranked(const float* scores, const bool* is_open, int64_t length) {
  std::vector<int64_t> order;
  for (int64_t i = 0; i < length; ++i) {
    if (is_open[i]) order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  return order;
}

void check_choose_and_commit(int64_t batch, int64_t length) {
  Array<float> scores(batch * length);
  Array<bool> is_open(batch * length), expected(batch * length);
  Array<int32_t> ids(batch * length), proposed(batch * length);
  Array<int64_t> count(batch);
  for (int64_t row = 0; row < batch; ++row) {
    for (int64_t i = row * length; i < (row + 1) * length; ++i) {
      scores[i] = score(row);
      is_open[i] = below(4) != 0;
      ids[i] = int32_t(i);
      proposed[i] = int32_t(-1 - i);
    }
    count[row] = below(length + 3) - 1;
    const auto order = ranked(&scores[row * length], &is_open[row * length], length);
    for (int64_t n = 0; n < std::min<int64_t>(count[row], int64_t(order.size())); ++n) {
      expected[row * length + order[n]] = true;
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    Array<bool> chosen(batch * length), open_after(batch * length);
    Array<int32_t> out(batch * length);
    const ChooseArgs args = {scores.get(), is_open.get(), count.get(), chosen.get(), batch, length};
    require(kernels->choose(args, 0, batch) == kNoFailure && chosen == expected, "choose", kernels->name);
    ChooseArgs choice = args;
    choice.chosen = open_after.get();
    const CommitArgs commit = {ids.get(), proposed.get(), choice, out.get()};
    require(kernels->commit(commit, 0, batch) == kNoFailure, "commit", kernels->name);
    for (int64_t i = 0; i < batch * length; ++i) {
      require(out[i] == (expected[i] ? proposed[i] : ids[i]), "commit", kernels->name);
      require(open_after[i] == (is_open[i] && !expected[i]), "commit", kernels->name);
    }
  }
}

void check_mask_tokens(int64_t batch, int64_t length) {
  Array<int32_t> ids(batch * length), mask_ids(length), low(length), high(length);
  Array<bool> maskable(batch * length);
  Array<int64_t> count(batch), samples(batch), offsets(batch + 1);
  for (int64_t i = 0; i < batch * length; ++i) {
    ids[i] = int32_t(below(1000));
    maskable[i] = below(5) != 0;
  }
  for (int64_t i = 0; i < length; ++i) {
    mask_ids[i] = -1;
    high[i] = 1 + int32_t(below(99));
  }
  MaskTokensArgs args = {};
  args.ids = ids.get();
  args.maskable = maskable.get();
  args.count = count.get();
  args.mask_ids = mask_ids.get();
  args.random_low = low.get();
  args.random_high = high.get();
  args.sample_ids = samples.get();
  args.offsets = offsets.get();
  args.batch = batch;
  args.length = length;
  args.seed = generator();
  args.mask_below = uint64_t{1} << 31;
  args.random_below = uint64_t{3} << 30;
  for (int64_t row = 0; row < batch; ++row) {
    count[row] = below(length + 3) - 1;
    samples[row] = int64_t(generator()) << 20;
    offsets[row + 1] = offsets[row] + mask_tokens_count(args, row);
  }
  Array<int32_t> expected(batch * length), expected_targets(offsets[batch]);
  Array<int64_t> expected_slots(offsets[batch]);
  for (int64_t row = 0; row < batch; ++row) {
    std::vector<float> words(length);
    for (int64_t i = 0; i < length; ++i) words[i] = uniform24(slot_word(args.seed, i, uint64_t(samples[row])));
    auto order = ranked(words.data(), &maskable[row * length], length);
    order.resize(offsets[row + 1] - offsets[row]);
    std::sort(order.begin(), order.end());
    for (int64_t i = row * length; i < (row + 1) * length; ++i) expected[i] = ids[i];
    for (size_t n = 0; n < order.size(); ++n) {
      const Random4 drawn = draw(args.seed, uint32_t(order[n]), Purpose::corruption, uint64_t(samples[row]));
      expected[row * length + order[n]] = corrupt(args, row, order[n], drawn.word[0], drawn.word[1]);
      expected_slots[offsets[row] + int64_t(n)] = row * length + order[n];
      expected_targets[offsets[row] + int64_t(n)] = ids[row * length + order[n]];
    }
  }
  for (const CpuKernels* kernels : kernel_sets()) {
    Array<int32_t> corrupted(batch * length), targets(offsets[batch]);
    Array<int64_t> slots(offsets[batch]);
    args.corrupted = corrupted.get();
    args.slots = slots.get();
    args.targets = targets.get();
    require(kernels->mask_tokens(args, 0, batch) == kNoFailure, "mask_tokens", kernels->name);
    require(corrupted == expected && slots == expected_slots && targets == expected_targets, "mask_tokens",
            kernels->name);
  }
}
