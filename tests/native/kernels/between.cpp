// What stands between the products of a block: norms, gates, turned heads.
#include <cmath>
#include <string>
#include <vector>

#include "checks.h"

// One row's norm: 1 / sqrt(mean(x^2) + eps).
static double scale_of(const float* x, int64_t width) {
  double square = 0;
  for (int64_t i = 0; i < width; ++i) square += double(x[i]) * x[i];
  return 1 / std::sqrt(square / double(width) + 1e-3);
}

// Adds g n to for_weight, and gives (w g - n mean(w g n)) * scale.
static void norm_back(const double* grad, const float* x, const float* weight, int64_t width, double* for_weight,
                      float* out) {
  const double scale = scale_of(x, width);
  double shared = 0;
  for (int64_t i = 0; i < width; ++i) shared += grad[i] * weight[i] * x[i] * scale / double(width);
  for (int64_t i = 0; i < width; ++i) {
    for_weight[i] += grad[i] * x[i] * scale;
    out[i] = float((grad[i] * weight[i] - x[i] * scale * shared) * scale);
  }
}

// The sums of each block of kSumRows rows, added.
static std::vector<float> added(const Array<float>& sums, int64_t width) {
  std::vector<float> total(width, 0.0f);
  for (int64_t i = 0; i < int64_t(sums.size); ++i) total[i % width] += sums.get()[i];
  return total;
}

void check_norm_and_gate(int64_t rows, int64_t width) {
  Array<float> x(rows * width), grad(rows * width), weight(width), normed(rows * width), for_x(rows * width);
  Array<float> wide(rows * 2 * width), gated(rows * width), for_wide(rows * 2 * width);
  for (Array<float>* each : {&x, &grad, &weight, &wide}) {
    for (int64_t i = 0; i < int64_t(each->size); ++i) (*each)[i] = normal();
  }
  std::vector<double> sums(width, 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    const float* of = &x[row * width];
    std::vector<double> back(&grad[row * width], &grad[row * width] + width);
    norm_back(back.data(), of, weight.get(), width, sums.data(), &for_x[row * width]);
    for (int64_t i = 0; i < width; ++i) {
      normed[row * width + i] = float(of[i] * scale_of(of, width) * weight[i]);
      const double a = wide[row * 2 * width + i], b = wide[(row * 2 + 1) * width + i], s = 1 / (1 + std::exp(-a)),
                   g = grad[row * width + i];
      gated[row * width + i] = float(a * s * b);
      for_wide[row * 2 * width + i] = float(g * b * s * (1 + a * (1 - s)));
      for_wide[(row * 2 + 1) * width + i] = float(g * a * s);
    }
  }
  const std::vector<float> expected(sums.begin(), sums.end());
  const int64_t blocks = (rows + kSumRows - 1) / kSumRows, some = rows / 3;
  for (const CpuKernels* kernels : kernel_sets()) {
    if (!kernels->gate) continue;  // it is on the CPU alone
    Array<float> y(x.size), scale(rows), back(x.size), weights(blocks * width), narrow(x.size), wide_back(wide.size);
    const RmsNormArgs norm = {x.get(), weight.get(), y.get(), scale.get(), rows, width, 1e-3f};
    kernels->rms_norm(norm, 0, some);
    kernels->rms_norm(norm, some, rows);
    const RmsNormBackwardArgs norm_args = {grad.get(), x.get(),       scale.get(), weight.get(),
                                           back.get(), weights.get(), rows,        width};
    kernels->rms_norm_backward(norm_args, 0, blocks / 2);
    kernels->rms_norm_backward(norm_args, blocks / 2, blocks);
    require(close(y.get(), normed.get(), y.size) && close(back.get(), for_x.get(), back.size) &&
                close(added(weights, width).data(), expected.data(), width),
            "rms_norm", kernels->name);
    kernels->gate({wide.get(), nullptr, narrow.get(), rows, width}, 0, rows);
    kernels->gate_backward({wide.get(), grad.get(), wide_back.get(), rows, width}, 0, rows);
    require(close(narrow.get(), gated.get(), narrow.size) && close(wide_back.get(), for_wide.get(), wide.size), "gate",
            kernels->name);
  }
}

void check_turn_heads(int64_t rows, int64_t heads, int64_t size) {
  const int64_t width = heads * size, blocks = (rows + kSumRows - 1) / kSumRows;
  Array<float> qkv(rows * 3 * width), for_qkv(rows * 3 * width), weights(2 * size), cos(2 * rows * size),
      sin(2 * rows * size), grads(3 * rows * width), turned(2 * rows * width);
  for (Array<float>* each : {&qkv, &weights, &cos, &sin, &grads}) {
    for (int64_t i = 0; i < int64_t(each->size); ++i) (*each)[i] = normal();
  }
  std::vector<double> sums(2 * size, 0.0);
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t h = 0; h < heads; ++h) {
      for (int64_t part = 0; part < 2; ++part) {  // queries, keys
        const float *x = &qkv[(row * 3 + part) * width + h * size], *weight = &weights[part * size],
                    *c = &cos[(part * rows + row) * size], *s = &sin[(part * rows + row) * size],
                    *g = &grads[(part * rows + row) * width + h * size];
        std::vector<double> back(size);
        for (int64_t d = 0; d < size; ++d) {
          const int64_t other = (d + size / 2) % size;
          turned[(part * rows + row) * width + h * size + d] =
              float(scale_of(x, size) * (x[d] * weight[d] * c[d] + x[other] * weight[other] * s[d]));
          back[d] = double(g[d]) * c[d] + double(g[other]) * s[other];
        }
        norm_back(back.data(), x, weight, size, &sums[part * size], &for_qkv[(row * 3 + part) * width + h * size]);
      }
    }
    std::copy(&grads[(2 * rows + row) * width], &grads[(2 * rows + row) * width] + width,
              &for_qkv[(row * 3 + 2) * width]);
  }
  const std::vector<float> expected(sums.begin(), sums.end());
  for (const CpuKernels* kernels : kernel_sets()) {
    if (!kernels->turn_heads) continue;
    Array<float> found(turned.size), back(qkv.size), back_weights(blocks * 2 * size);
    TurnHeadsArgs args = {qkv.get(),
                          weights.get(),
                          weights.get() + size,
                          cos.get() + rows * size,
                          sin.get() + rows * size,
                          cos.get(),
                          sin.get(),
                          found.get(),
                          found.get() + rows * width,
                          rows,
                          heads,
                          size,
                          1e-3f};
    kernels->turn_heads(args, 0, rows / 3);
    kernels->turn_heads(args, rows / 3, rows);
    const float* g = grads.get();
    const TurnHeadsBackwardArgs backward = {
        args, g, g + rows * width, g + 2 * rows * width, back.get(), back_weights.get()};
    kernels->turn_heads_backward(backward, 0, blocks / 2);
    kernels->turn_heads_backward(backward, blocks / 2, blocks);
    require(close(found.get(), turned.get(), found.size) && close(back.get(), for_qkv.get(), back.size) &&
                close(added(back_weights, 2 * size).data(), expected.data(), 2 * size),
            "turn_heads", kernels->name);
  }
}
