// Random cases, odd numbers and failures among them: the CUDA kernels against the widest CPU kernels of this processor.
//     fuzz [seed] [rounds] [most codes of a row]
#include "fuzz.h"

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
    samples();
    embeddings();
    for (int again = most_codes < 600 ? 2 : 0; again < 3; ++again) quantizers();  // of many kinds
    numbers();
    caches();
#ifdef EMULATED
    for (int again = 0; again < 2; ++again) unkept_samples();
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
