// The scheduler: fibers, barriers, warp collectives, clusters, and what a launch may not do. Compiled without
// -fsanitize=thread.
#include "emulated.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#if defined(__x86_64__)
// Saves the registers that a call keeps and the stack pointer, and continues where `to` stopped.
extern "C" void emulated_switch(void** from, void* to);
__asm__(R"(
.text
emulated_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
)");
#else
#include <ucontext.h>
#endif

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace emulated {

Device device;
BlockRange only_blocks = {0, UINT64_MAX};
uint64_t thread_order = 0;
Counts counts = {};
Progress progress = {};

namespace {

constexpr size_t kStack = size_t{256} << 10;  // of a fiber; the lowest page is a guard
enum class State { runs, at_barrier, at_cluster, in_warp, done };

struct Fiber {
#if defined(__x86_64__)
  void* top;
#else
  ucontext_t context;
#endif
  State state;
  uint3 index;
  const char* file;  // where it waits
  int line;
  uint32_t mask;
  unsigned char given[16];
};

std::mutex one_launch;
std::map<const void*, int64_t> allowed_shared;
cudaError_t last_error = cudaSuccess;
Fiber fibers[kMostFibers];
std::vector<std::vector<Copy>> groups[kMostFibers];  // of copies; the last is not ended
int num_threads, num_blocks, current;                // of a block; of the cluster
struct Block {
  uint3 index;
  uint32_t epoch;
  int num_holding, num_held;
} blocks[kMostBlocks];
bool trapped;
const std::function<void()>* body;
unsigned char* shared_memory;
#if defined(__x86_64__)
void* scheduler;
#else
ucontext_t scheduler;
#endif

unsigned char* stacks() {
  static unsigned char* memory = [] {
    void* found =
        mmap(nullptr, kMostFibers * kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) abort();
    for (int i = 0; i < kMostFibers; ++i) mprotect(static_cast<char*>(found) + i * kStack, 4096, PROT_NONE);
    return static_cast<unsigned char*>(found);
  }();
  return memory;
}

[[noreturn]] void fail(const std::string& what) {
  std::fflush(stdout);
  std::fprintf(stderr, "emulated CUDA: block (%u, %u, %u): %s\n", blockIdx.x, blockIdx.y, blockIdx.z, what.c_str());
  std::abort();
}

std::string where(int thread) {
  const Fiber& f = fibers[thread];
  std::string name = "thread " + std::to_string(thread % num_threads);
  if (num_blocks > 1) name += " of the cluster's block " + std::to_string(thread / num_threads);
  if (f.state == State::done) return name + " has returned";
  const char* at = f.state == State::at_barrier   ? " waits at the barrier "
                   : f.state == State::at_cluster ? " waits at the cluster's barrier "
                                                  : " waits in the warp collective ";
  return name + at + f.file + ":" + std::to_string(f.line);
}

void leave() {
#if defined(__x86_64__)
  emulated_switch(&fibers[current].top, scheduler);
#else
  swapcontext(&fibers[current].context, &scheduler);
#endif
}

void enter(int thread) {
  current = thread;
  threadIdx = fibers[thread].index;
  blockIdx = blocks[thread / num_threads].index;
  progress.thread = uint32_t(thread);
  progress.epoch = blocks[thread / num_threads].epoch;
  fibers[thread].state = State::runs;
#if defined(__x86_64__)
  emulated_switch(&scheduler, fibers[thread].top);
#else
  swapcontext(&scheduler, &fibers[thread].context);
#endif
}

void first_step() {
  (*body)();
  fibers[current].state = State::done;
  leave();
}

void prepare(int thread) {
  Fiber& f = fibers[thread];
  unsigned char* stack = stacks() + thread * kStack;
  const auto of_block = unsigned(thread % num_threads);
  f.index = {of_block % blockDim.x, of_block / blockDim.x % blockDim.y, of_block / blockDim.x / blockDim.y};
#if defined(__SANITIZE_ADDRESS__)
  __asan_unpoison_memory_region(stack + 4096, kStack - 4096);  // of a fiber that was left by a trap
#endif
#if defined(__x86_64__)
  void** top = reinterpret_cast<void**>(stack + kStack);
  *--top = nullptr;  // where `first_step` would return to
  *--top = reinterpret_cast<void*>(&first_step);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  f.top = top;
#else
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = stack + 4096;
  f.context.uc_stack.ss_size = kStack - 4096;
  f.context.uc_link = nullptr;
  makecontext(&f.context, first_step, 0);
#endif
  f.state = State::runs;
  groups[thread] = {{}};
}

// Lets a warp go on whose lanes all wait in one collective.
bool release_warp(int first) {
  const int end = std::min(first + 32, (first / num_threads + 1) * num_threads);
  uint32_t waiting = 0;
  for (int i = first; i < end; ++i) waiting |= uint32_t(fibers[i].state == State::in_warp) << (i - first);
  bool released = false;
  for (int i = first; i < end; ++i) {
    if (!(waiting >> (i - first) & 1)) continue;
    const Fiber& f = fibers[i];
    const uint32_t mask = end - first == 32 ? f.mask : f.mask & ((1u << (end - first)) - 1);
    if (!(mask >> (i - first) & 1)) fail(where(i) + " with a mask that leaves it out");
    if ((mask & waiting) != mask) continue;
    for (int other = first; other < end; ++other) {
      if (!(mask >> (other - first) & 1)) continue;
      if (fibers[other].mask != f.mask || fibers[other].line != f.line || strcmp(fibers[other].file, f.file) != 0) {
        fail("a warp has diverged: " + where(i) + ", " + where(other));
      }
    }
    for (int other = first; other < end; ++other) {
      if (!(mask >> (other - first) & 1)) continue;
      memcpy(progress.received[other], fibers[other].given, 16);
      fibers[other].state = State::runs;
      waiting &= ~(1u << (other - first));
    }
    ++counts.collectives;
    released = true;
  }
  return released;
}

// Whether all threads of [first, end) are where the first of them that has not returned is.
void all_wait_alike(const char* what, int first, int end) {
  int waiting = first;
  while (fibers[waiting].state == State::done) ++waiting;
  const Fiber& f = fibers[waiting];
  for (int i = first; i < end; ++i) {
    if (fibers[i].state == State::done || f.state == State::in_warp || fibers[i].state != f.state ||
        fibers[i].line != f.line || strcmp(fibers[i].file, f.file) != 0) {
      fail(std::string(what) + " has diverged: " + where(waiting) + ", " + where(i));
    }
  }
}

// Lets blocks go on whose threads all wait at a barrier, or else the cluster; false if all have returned.
bool release_blocks() {
  bool released = false;
  int ended = 0;
  for (int b = 0; b < num_blocks; ++b) {
    const int first = b * num_threads, end = first + num_threads;
    progress.ended[b] =
        std::all_of(fibers + first, fibers + end, [](const Fiber& f) { return f.state == State::done; });
    ended += progress.ended[b];
    if (progress.ended[b]) continue;
    all_wait_alike("a block", first, end);
    if (fibers[first].state == State::at_cluster) continue;
    for (int i = first; i < end; ++i) fibers[i].state = State::runs;
    blocks[b].epoch = ++progress.epoch_of_all;
    blocks[b].num_held = blocks[b].num_holding;
    blocks[b].num_holding = 0;
    ++counts.barriers;
    released = true;
  }
  if (released || ended == num_blocks) return released;
  all_wait_alike("a cluster", 0, num_blocks * num_threads);
  progress.met_epoch = ++progress.epoch_of_all;
  for (int b = 0; b < num_blocks; ++b) blocks[b].epoch = progress.met_epoch;
  for (int i = 0; i < num_blocks * num_threads; ++i) fibers[i].state = State::runs;
  ++counts.cluster_barriers;
  return true;
}

// The blocks of a cluster at once; a block that is launched alone is one.
void run_cluster() {
  const int fibers_here = num_blocks * num_threads;
  std::vector<int> order(fibers_here);
  std::iota(order.begin(), order.end(), 0);
  if (thread_order == 1) std::reverse(order.begin(), order.end());
  std::mt19937_64 shuffle(thread_order);
  progress.cluster_epoch = progress.met_epoch = ++progress.epoch_of_all;
  for (int b = 0; b < num_blocks; ++b) {
    blocks[b].epoch = progress.cluster_epoch;
    blocks[b].num_holding = 0;
    progress.ended[b] = false;
  }
  for (int i = 0; i < fibers_here; ++i) prepare(i);
  for (;;) {
    if (thread_order > 1) std::shuffle(order.begin(), order.end(), shuffle);
    for (int thread : order) {
      if (fibers[thread].state == State::runs) enter(thread);
      if (trapped) return;
    }
    bool released = false;
    for (int b = 0; b < num_blocks; ++b) {
      for (int first = b * num_threads; first < (b + 1) * num_threads; first += 32) released |= release_warp(first);
    }
    if (!released && !release_blocks()) break;
  }
  for (int b = 0; b < num_blocks; ++b) {
    if (progress.visited[b] == progress.met_epoch) {
      fail("another block used the shared memory of block " + std::to_string(b) +
           " of a cluster, which may have ended");
    }
  }
  counts.blocks += num_blocks;
}

}  // namespace

void run(const Config& config, const void* kernel, const std::function<void()>& thread) {
  const std::lock_guard<std::mutex> lock(one_launch);
  const dim3 grid = config.grid, block = config.block;
  const int64_t allowed = allowed_shared.count(kernel) ? allowed_shared[kernel] : 48 << 10;
  if (block.x * block.y * block.z == 0 || block.x * block.y * block.z > kMostThreads || block.z > 64 || grid.x == 0 ||
      grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || config.cluster == 0 ||
      config.cluster > kMostBlocks || grid.x % config.cluster != 0) {
    last_error = cudaErrorInvalidConfiguration;
    return;
  }
  if (int64_t(config.shared) > allowed) {
    last_error = cudaErrorInvalidValue;
    return;
  }
  blockDim = block;
  gridDim = grid;
  num_threads = int(block.x * block.y * block.z);
  num_blocks = int(config.cluster);
  body = &thread;
  trapped = false;
  ++counts.launches;
  progress.launch_epoch = progress.epoch_of_all + 1;
  progress.threads_of_block = uint32_t(num_threads);
  progress.host_stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const uint64_t clusters = uint64_t{grid.x} * grid.y * grid.z / num_blocks;
  for (uint64_t c = only_blocks.begin; c < std::min(clusters, only_blocks.end) && !trapped; ++c) {
    for (int b = 0; b < num_blocks; ++b) {
      const uint64_t number = c * num_blocks + b;
      blocks[b].index = {unsigned(number % grid.x), unsigned(number / grid.x % grid.y),
                         unsigned(number / grid.x / grid.y)};
    }
    // Of its exact size and anew for each block, so that a sanitizer sees what a block reads of another one or beyond
    // it.
    const size_t stride = progress.shared_stride = (config.shared + 15) / 16 * 16 + 16;
    shared_memory = static_cast<unsigned char*>(aligned_alloc(16, stride * num_blocks));
    memset(shared_memory, 0xff, stride * num_blocks);  // NaN
#if defined(__SANITIZE_ADDRESS__)
    for (int b = 0; b < num_blocks; ++b) {
      __asan_poison_memory_region(shared_memory + b * stride + config.shared, stride - config.shared);
    }
#endif
    progress.shared_begin = reinterpret_cast<uintptr_t>(shared_memory);
    progress.shared_end = progress.shared_begin + stride * num_blocks;
    run_cluster();
    free(shared_memory);
  }
  // What the host does next is no race.
  progress.shared_begin = progress.shared_end = 0;
  progress.epoch = progress.met_epoch = progress.cluster_epoch = progress.launch_epoch = ++progress.epoch_of_all;
  if (trapped) last_error = cudaErrorLaunchFailure;
}

cudaError_t allow_shared(const void* kernel, int64_t bytes) {
  if (bytes < 0 || bytes > int64_t(kMostShared)) return last_error = cudaErrorInvalidValue;
  allowed_shared[kernel] = bytes;
  return cudaSuccess;
}

void* dynamic_shared() { return shared_memory + current / num_threads * progress.shared_stride; }

int wait_for_block(const char* file, int line, int holds) {
  Fiber& f = fibers[current];
  f.state = State::at_barrier;
  f.file = file;
  f.line = line;
  blocks[current / num_threads].num_holding += holds;
  leave();
  return blocks[current / num_threads].num_held;
}

void wait_for_cluster(const char* file, int line) {
  Fiber& f = fibers[current];
  f.state = State::at_cluster;
  f.file = file;
  f.line = line;
  leave();
}

int cluster_rank() { return current / num_threads; }
int cluster_size() { return num_blocks; }

void* of_block(const void* shared, int rank) {
  const auto at = reinterpret_cast<uintptr_t>(shared) - reinterpret_cast<uintptr_t>(dynamic_shared());
  if (at >= progress.shared_stride || rank < 0 || rank >= num_blocks)
    fail("no shared memory of a block of the cluster");
  return shared_memory + rank * progress.shared_stride + at;
}

const unsigned char* exchange(uint32_t mask, const void* value, size_t size, const char* file, int line) {
  Fiber& f = fibers[current];
  f.state = State::in_warp;
  f.file = file;
  f.line = line;
  f.mask = mask;
  if (size) memcpy(f.given, value, size);
  const int first = current - current % num_threads % 32;
  leave();
  if (!size) ++progress.warp_epoch[current];  // of __syncwarp, the only collective that orders memory
  return progress.received[first];
}

void trap() {
  trapped = true;
  leave();
  std::abort();
}

void begin_copy(const Copy& copy) { groups[current].back().push_back(copy); }

void end_group() { groups[current].emplace_back(); }

bool next_copy(size_t left, Copy& copy) {
  auto& own = groups[current];
  while (own.size() > left + 1 && own.front().empty()) own.erase(own.begin());
  if (own.size() <= left + 1) return false;
  copy = own.front().back();
  own.front().pop_back();
  return true;
}

bool is_private(uintptr_t at) {
  const auto begin = reinterpret_cast<uintptr_t>(stacks());
  return at - begin < kMostFibers * kStack;
}

Atomic::Atomic() { progress.atomic = true; }
Atomic::~Atomic() { progress.atomic = false; }

}  // namespace emulated

cudaError_t cudaGetLastError() {
  const cudaError_t error = emulated::last_error;
  emulated::last_error = cudaSuccess;
  return error;
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorInvalidConfiguration:
      return "invalid configuration argument";
    default:
      return "unspecified launch failure";
  }
}
