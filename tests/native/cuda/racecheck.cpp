// Finds races, and shared memory that is read before it is written, without luck: the kernels are compiled with
// -fsanitize=thread, which calls these functions at each access, and linked without that sanitizer's own library.
// Every schedule has the same barriers, so one run sees each pair of accesses that no barrier puts in order.
#include <cstdio>
#include <cstdlib>
#include <unordered_map>

#include "emulated.h"

extern "C" char __bss_start, _end;  // the linker's; `__shared__ static` lies between them

namespace emulated {

namespace {

constexpr uint32_t kNobody = UINT32_MAX;

struct Access {
  uint32_t epoch = 0, thread = kNobody, warp_epoch = 0;
  bool atomic = false;
};

struct Byte {
  Access write, read, other_read;  // the last ones; `other_read` is by another thread than `read`
};

std::unordered_map<uintptr_t, Byte> bytes;
bool in(uintptr_t at, const void* object, size_t size) { return at - reinterpret_cast<uintptr_t>(object) < size; }

bool is_shared(uintptr_t at) {
  return (at >= reinterpret_cast<uintptr_t>(&__bss_start) && at < reinterpret_cast<uintptr_t>(&_end)) ||
         (at >= progress.shared_begin && at < progress.shared_end);
}

bool is_emulator(uintptr_t at) {
  return in(at, &threadIdx, sizeof threadIdx) || in(at, &blockIdx, sizeof blockIdx) ||
         in(at, &blockDim, sizeof blockDim) || in(at, &gridDim, sizeof gridDim) || in(at, &progress, sizeof progress) ||
         in(at, &counts, sizeof counts) || at - progress.host_stack < (1 << 16);
}

const char* race(const Access& before, bool shared, bool atomic) {
  if (before.thread == kNobody || (before.atomic && atomic)) return nullptr;
  if (before.epoch >= progress.cluster_epoch) {
    if (before.thread / progress.threads_of_block != progress.thread / progress.threads_of_block) {
      return before.epoch < progress.met_epoch ? nullptr : "another block of the cluster without its barrier between";
    }
    if (before.epoch != progress.epoch || before.thread == progress.thread) return nullptr;
    const bool ordered =
        before.thread / 32 == progress.thread / 32 && before.warp_epoch != progress.warp_epoch[progress.thread];
    return ordered ? nullptr : "another thread of the block without a barrier between";
  }
  return !shared && before.epoch >= progress.launch_epoch ? "another block of the launch" : nullptr;
}

// Of a thread that uses the shared memory of another block of its cluster: whether that block has it.
const char* absence(uintptr_t at) {
  if (at - progress.shared_begin >= progress.shared_end - progress.shared_begin) return nullptr;
  const auto owner = (at - progress.shared_begin) / progress.shared_stride;
  if (owner == progress.thread / progress.threads_of_block) return nullptr;
  if (progress.ended[owner]) return "a block that has ended";
  progress.visited[owner] = progress.met_epoch;
  return progress.met_epoch == progress.cluster_epoch ? "a block that may not have begun" : nullptr;
}

void check(uintptr_t at, size_t size, bool writes) {
  if (is_private(at) || is_emulator(at)) return;
  const bool shared = is_shared(at), atomic = progress.atomic;
  const Access now = {progress.epoch, progress.thread, progress.warp_epoch[progress.thread], atomic};
  if (!shared) (writes ? counts.written_bytes : counts.read_bytes) += size;
  for (size_t i = 0; i < size; ++i) {
    Byte& byte = bytes[at + i];
    const char* other = race(byte.write, shared, atomic);
    if (writes && !other) other = race(byte.read, shared, atomic);
    if (writes && !other) other = race(byte.other_read, shared, atomic);
    if (!other) other = absence(at + i);
    if (!writes && !other && shared && (byte.write.thread == kNobody || byte.write.epoch < progress.cluster_epoch)) {
      other = "nobody: shared memory that this block has not written";
    }
    if (other) {
      std::fflush(stdout);
      std::fprintf(stderr,
                   "emulated CUDA: thread %u of block %u %s %s memory at %p that was last used by %s (thread %u)\n",
                   progress.thread, blockIdx.x, writes ? "writes" : "reads", shared ? "shared" : "global",
                   reinterpret_cast<void*>(at + i), other, byte.write.thread);
      std::abort();
    }
    if (writes) {
      byte.write = now;
    } else {
      if (byte.read.thread != now.thread) byte.other_read = byte.read;
      byte.read = now;
    }
  }
}

}  // namespace
}  // namespace emulated

#define CHECK(name, size, writes) \
  extern "C" void name(void* at) { emulated::check(reinterpret_cast<uintptr_t>(at), size, writes); }
#define CHECKS(size)                              \
  CHECK(__tsan_read##size, size, false)           \
  CHECK(__tsan_write##size, size, true)           \
  CHECK(__tsan_unaligned_read##size, size, false) \
  CHECK(__tsan_unaligned_write##size, size, true) \
  CHECK(__tsan_volatile_read##size, size, false)  \
  CHECK(__tsan_volatile_write##size, size, true)
CHECKS(1)
CHECKS(2)
CHECKS(4)
CHECKS(8)
CHECKS(16)
extern "C" void __tsan_read_range(void* at, size_t size) {
  emulated::check(reinterpret_cast<uintptr_t>(at), size, false);
}
extern "C" void __tsan_write_range(void* at, size_t size) {
  emulated::check(reinterpret_cast<uintptr_t>(at), size, true);
}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
extern "C" void __tsan_init() {}
extern "C" void __tsan_vptr_update(void*, void*) {}
extern "C" void __tsan_vptr_read(void*) {}
