#include "tokenmask/choose.h"

#include "choose.h"

namespace tokenmask {

TM_TARGET_CLONES
int64_t choose_cpu(const ChooseArgs& args, int64_t begin, int64_t end) {
  std::vector<int32_t> keys(args.length);
  SelectScratch scratch(args.length, false);
  for (int64_t row = begin; row < end; ++row) {
    const int64_t at = row * args.length;
    const RowKeys found = fill_keys(args.scores + at, args.is_open + at, args.length, keys.data());
    if (found.has_nan) return failure(row, Reason::not_a_number);
    const Prefix prefix = choose_row(keys.data(), args.length, args.count[row], found.num_open, scratch);
    mark_chosen(keys.data(), args.length, prefix, args.chosen + at);
  }
  return kNoFailure;
}

}  // namespace tokenmask
