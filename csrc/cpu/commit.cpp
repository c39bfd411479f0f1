#include "tokenmask/commit.h"

#include "choose.h"

namespace tokenmask {

TM_TARGET_CLONES
int64_t commit_cpu(const CommitArgs& args, int64_t begin, int64_t end) {
  const ChooseArgs& choice = args.choice;
  std::vector<int32_t> keys(choice.length);
  SelectScratch scratch(choice.length, false);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * choice.length;
    const bool* is_open = choice.is_open + at;
    bool* chosen = choice.chosen + at;
    const RowKeys found = fill_keys(choice.scores + at, is_open, choice.length, keys.data());
    if (found.has_nan) return failure(row, Reason::not_a_number);
    const Prefix prefix = choose_row(keys.data(), choice.length, choice.count[row], found.num_open, scratch);
    mark_chosen(keys.data(), choice.length, prefix, chosen);
    for (int64_t i = 0; i < choice.length; ++i) {
      args.out[at + i] = chosen[i] ? args.proposed[at + i] : args.ids[at + i];
      chosen[i] = is_open[i] && !chosen[i];
    }
  }
  return kNoFailure;
}

}  // namespace tokenmask
