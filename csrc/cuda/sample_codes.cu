// sample_codes: one block a row. Nothing is stored between passes: z and its weight are computed again from the logits,
// which stay in cache, so that a row may have any number of codes.
#include "block.cuh"
#include "tokenmask/sample_codes.h"

namespace tokenmask {

namespace {

template <FloatType type>
struct Row {
  const SampleCodesArgs& args;
  int64_t row;
  float guidance, temperature, largest;

  __device__ float load(const void* logits, int64_t at) const {
    if constexpr (type == FloatType::bfloat16) return widen_bfloat16(static_cast<const uint16_t*>(logits)[at]);
    if constexpr (type == FloatType::float16) return widen_float16(static_cast<const uint16_t*>(logits)[at]);
    if constexpr (type == FloatType::float32) return static_cast<const float*>(logits)[at];
  }

  __device__ float z(int64_t i) const {
    if (args.allowed && !is_set(args.allowed, row * args.allowed_stride + i)) return -kInfinity;
    const int64_t at = row * args.size + i;
    const float cond = load(args.logits, at);
    return args.uncond ? guided(cond, load(args.uncond, at), guidance) : cond;
  }

  __device__ float x(int64_t i) const {
    const float below = add(z(i), -largest);
    return temperature == 1.0f ? below : divide(below, temperature);
  }
  __device__ int32_t full_weight(int64_t i) const { return weight(x(i)); }
  __device__ int32_t key(int64_t i) const { return order_key(z(i)); }
};

// What the filters keep: places from `from` on, weights from `least` on.
struct Kept {
  int64_t from;
  int32_t least;
};

template <FloatType type>
__device__ int64_t kept_weight(const Row<type>& row, const Kept& kept, int64_t i) {
  const int32_t w = row.full_weight(i);
  return w >= kept.least && (kept.from == kEverything || place(row.key(i), i) >= kept.from) ? w : 0;
}

template <FloatType type>
__device__ int64_t block_mass(const Row<type>& row, const Kept& kept) {
  int64_t mass = 0;
  for (int64_t i = threadIdx.x; i < row.args.size; i += kThreads) mass += kept_weight(row, kept, i);
  return block_sum(mass);
}

// Top-k, then top-p, then min-p.
template <FloatType type>
__device__ Kept filter(const Row<type>& row, int64_t mass) {
  const SampleCodesArgs& args = row.args;
  Kept kept = {kEverything, 0};
  const auto key_at = [&](int64_t i) { return row.key(i); };
  if (args.top_k > 0 && args.top_k < args.size) {
    kept.from = block_select(args.size, args.top_k, key_at, [](int64_t) { return int64_t{1}; });
  }
  if (args.top_p < 1.0) {
    const int64_t needed = share_of(args.top_p, kept.from == kEverything ? mass : block_mass(row, kept));
    const Kept top_k = kept;
    const int64_t from = block_select(args.size, needed, key_at, [&](int64_t i) { return kept_weight(row, top_k, i); });
    kept.from = from > top_k.from ? from : top_k.from;
  }
  if (args.min_p > 0.0) kept.least = int32_t(share_of(args.min_p, kFullWeight));
  return kept;
}

// The first code in index order whose cumulative weight is above `target`. Each thread sums one run of codes; the run
// that holds the target is then walked.
template <FloatType type>
__device__ void find_code(const Row<type>& row, const Kept& kept, int64_t target, int64_t* code) {
  const int64_t size = row.args.size;
  const int64_t run = (size + kThreads - 1) / kThreads;
  const int64_t begin = threadIdx.x * run;
  const int64_t end = begin + run < size ? begin + run : size;
  int64_t mass = 0;
  for (int64_t i = begin; i < end; ++i) mass += kept_weight(row, kept, i);
  int64_t total;
  int64_t before = block_scan(mass, total);
  if (target >= before && target < before + mass) {
    int64_t i = begin;
    while ((before += kept_weight(row, kept, i)) <= target) ++i;
    *code = i;
  }
  __syncthreads();
}

template <FloatType type>
__device__ int64_t sample_block(Row<type>& row) {
  const SampleCodesArgs& args = row.args;
  const int64_t index = row.row;
  __shared__ int64_t code;
  int32_t low = INT32_MAX;
  long long first = -1;  // the place of the arg-max
  for (int64_t i = threadIdx.x; i < args.size; i += kThreads) {
    const int32_t key = row.key(i);
    const long long at = place(key, i);
    low = key < low ? key : low;
    first = at > first ? at : first;
  }
  low = block_min(low);
  first = block_reduce(first, [](long long a, long long b) { return a > b ? a : b; });
  const int32_t high = int32_t(uint32_t(first >> 31) ^ 0x80000000u);
  const int32_t infinite = order_key(kInfinity), minus_infinite = order_key(-kInfinity);
  const float requested = args.temperatures ? args.temperatures[index] : args.temperature;
  if (args.size == 0) return failure(index, Reason::nothing_allowed);
  if (high > infinite || low < minus_infinite) return failure(index, Reason::not_a_number);
  if (high == infinite) return failure(index, Reason::plus_infinity);
  if (high == minus_infinite) return failure(index, Reason::nothing_allowed);
  if (!is_temperature(requested)) return failure(index, Reason::bad_temperature);
  row.temperature = requested == 0.0f ? 1.0f : requested;
  row.largest = order_value(high);

  int64_t mass = 0, num_full = 0;
  int32_t second = 0;
  int64_t surprises = 0;
  for (int64_t i = threadIdx.x; i < args.size; i += kThreads) {
    const float x = row.x(i);
    const int32_t w = weight(x);
    mass += w;
    num_full += w >= kFullWeight;
    second = w < kFullWeight && w > second ? w : second;
    surprises += surprise(x > kSmallestExponent ? x : kSmallestExponent, w);
  }
  mass = block_sum(mass);
  second = block_max(second);
  if (block_sum(num_full) > 1) second = kFullWeight;
  surprises = block_sum(surprises);

  if (requested == 0.0f) {
    if (threadIdx.x == 0) code = INT32_MAX - (first & INT32_MAX);
  } else {
    const Kept kept = filter(row, mass);
    const bool all = kept.from == kEverything && kept.least == 0;
    find_code(row, kept, draw_below(args, index, all ? mass : block_mass(row, kept)), &code);
  }
  if (threadIdx.x == 0) {
    const double log_mass = log(double(mass) / kFullWeight);
    args.codes[index] = int32_t(code);
    args.logprob[index] = float(row.x(code) - log_mass);
    args.entropy[index] = entropy_of(log_mass, surprises, mass);
    args.margin[index] = float((kFullWeight - second) / double(mass));
  }
  return kNoFailure;
}

template <FloatType type>
__global__ void sample_kernel(SampleCodesArgs args, int64_t* first_failure) {
  for (int64_t index = blockIdx.x; index < args.rows; index += gridDim.x) {
    Row<type> row = {args, index, args.guidances ? args.guidances[index] : args.guidance, 1.0f, 0.0f};
    const int64_t failed = sample_block(row);
    if (failed != kNoFailure && threadIdx.x == 0) report(first_failure, failed);
    __syncthreads();  // before the next row uses shared memory
  }
}

}  // namespace

void sample_codes_cuda(const SampleCodesArgs& args, int64_t* first_failure, void* stream) {
  if (args.rows == 0) return;
  const auto kernel = args.type == FloatType::float32    ? sample_kernel<FloatType::float32>
                      : args.type == FloatType::bfloat16 ? sample_kernel<FloatType::bfloat16>
                                                         : sample_kernel<FloatType::float16>;
  kernel<<<grid_of(args.rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, first_failure);
}

}  // namespace tokenmask
