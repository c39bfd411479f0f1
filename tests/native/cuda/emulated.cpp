// The scheduler: fibers, barriers, warp collectives, and what a launch may not do. Compiled without -fsanitize=thread.
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

BlockRange only_blocks = {0, UINT64_MAX};
uint64_t thread_order = 0;
Counts counts = {};
Progress progress = {};

namespace {

constexpr size_t kStack = size_t{256} << 10;  // of a fiber; the lowest page is a guard
constexpr int kMostThreads = 1024;
enum class State { runs, at_barrier, in_warp, done };

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
Fiber fibers[kMostThreads];
std::vector<std::vector<Copy>> groups[kMostThreads];  // of copies; the last is not ended
int num_threads, current, num_holding, num_held;
bool trapped;
const std::function<void()>* body;
unsigned char* shared_memory;
size_t shared_size;
#if defined(__x86_64__)
void* scheduler;
#else
ucontext_t scheduler;
#endif

unsigned char* stacks() {
  static unsigned char* memory = [] {
    void* found = mmap(nullptr, kMostThreads * kStack, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) abort();
    for (int i = 0; i < kMostThreads; ++i) mprotect(static_cast<char*>(found) + i * kStack, 4096, PROT_NONE);
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
  const std::string name = "thread " + std::to_string(thread);
  if (f.state == State::done) return name + " has returned";
  return name + (f.state == State::at_barrier ? " waits at the barrier " : " waits in the warp collective ") + f.file +
         ":" + std::to_string(f.line);
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
  progress.thread = uint32_t(thread);
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
  f.index = {unsigned(thread) % blockDim.x, unsigned(thread) / blockDim.x % blockDim.y,
             unsigned(thread) / blockDim.x / blockDim.y};
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
  const int end = std::min(first + 32, num_threads);
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

void release_block() {
  int waiting = 0;
  while (fibers[waiting].state == State::done) ++waiting;
  const Fiber& f = fibers[waiting];
  for (int i = 0; i < num_threads; ++i) {
    if (fibers[i].state == State::done || f.state != State::at_barrier || fibers[i].state != f.state ||
        fibers[i].line != f.line || strcmp(fibers[i].file, f.file) != 0) {
      fail("a block has diverged: " + where(waiting) + ", " + where(i));
    }
  }
  for (int i = 0; i < num_threads; ++i) fibers[i].state = State::runs;
  ++progress.epoch;
  ++counts.barriers;
  num_held = num_holding;
  num_holding = 0;
}

void run_block() {
  std::vector<int> order(num_threads);
  std::iota(order.begin(), order.end(), 0);
  if (thread_order == 1) std::reverse(order.begin(), order.end());
  std::mt19937_64 shuffle(thread_order);
  for (int i = 0; i < num_threads; ++i) prepare(i);
  progress.block_epoch = ++progress.epoch;
  num_holding = 0;
  for (;;) {
    if (thread_order > 1) std::shuffle(order.begin(), order.end(), shuffle);
    for (int thread : order) {
      if (fibers[thread].state == State::runs) enter(thread);
      if (trapped) return;
    }
    bool released = false;
    for (int first = 0; first < num_threads; first += 32) released |= release_warp(first);
    if (released) continue;
    if (std::all_of(fibers, fibers + num_threads, [](const Fiber& f) { return f.state == State::done; })) break;
    release_block();
  }
  ++counts.blocks;
}

}  // namespace

void run(const Config& config, const void* kernel, const std::function<void()>& thread) {
  const std::lock_guard<std::mutex> lock(one_launch);
  const dim3 grid = config.grid, block = config.block;
  const int64_t allowed = allowed_shared.count(kernel) ? allowed_shared[kernel] : 48 << 10;
  if (block.x * block.y * block.z == 0 || block.x * block.y * block.z > kMostThreads || block.z > 64 || grid.x == 0 ||
      grid.y == 0 || grid.z == 0 || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
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
  body = &thread;
  trapped = false;
  ++counts.launches;
  progress.launch_epoch = progress.epoch + 1;
  progress.host_stack = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  for (uint64_t b = only_blocks.begin; b < std::min(blocks, only_blocks.end) && !trapped; ++b) {
    blockIdx = {unsigned(b % grid.x), unsigned(b / grid.x % grid.y), unsigned(b / grid.x / grid.y)};
    // Of its exact size and anew for each block, so that a sanitizer sees what a block reads of another one or beyond
    // it.
    shared_size = config.shared;
    shared_memory = static_cast<unsigned char*>(aligned_alloc(16, (shared_size + 15) / 16 * 16 + 16));
    memset(shared_memory, 0xff, shared_size);  // NaN
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(shared_memory + shared_size, (shared_size + 15) / 16 * 16 + 16 - shared_size);
#endif
    progress.shared_begin = reinterpret_cast<uintptr_t>(shared_memory);
    progress.shared_end = progress.shared_begin + shared_size;
    run_block();
    free(shared_memory);
  }
  progress.block_epoch = progress.launch_epoch = ++progress.epoch;  // what the host does next is no race
  if (trapped) last_error = cudaErrorLaunchFailure;
}

cudaError_t allow_shared(const void* kernel, int64_t bytes) {
  if (bytes < 0 || bytes > int64_t(kMostShared)) return last_error = cudaErrorInvalidValue;
  allowed_shared[kernel] = bytes;
  return cudaSuccess;
}

void* dynamic_shared() { return shared_memory; }

int wait_for_block(const char* file, int line, int holds) {
  Fiber& f = fibers[current];
  f.state = State::at_barrier;
  f.file = file;
  f.line = line;
  num_holding += holds;
  leave();
  return num_held;
}

const unsigned char* exchange(uint32_t mask, const void* value, size_t size, const char* file, int line) {
  Fiber& f = fibers[current];
  f.state = State::in_warp;
  f.file = file;
  f.line = line;
  f.mask = mask;
  if (size) memcpy(f.given, value, size);
  const int first = current / 32 * 32;
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
  return at - begin < kMostThreads * kStack;
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
