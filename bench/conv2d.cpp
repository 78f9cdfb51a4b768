// SPDX-License-Identifier: MIT
// Convolutions against the machine's limit: result, input gradient, weight gradient, at the shapes of the
// networks. Operations are those of the direct form, so Winograd's may exceed the peak.
//   g++ -std=c++20 -O3 -fopenmp -I include bench/conv2d.cpp -o conv2d && ./conv2d [seconds per measurement
//   [name]]
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "gram/cpu/conv2d.hpp"
#include "measure.hpp"

using namespace gram;
using bench::best_time;
using bench::fma_peak;

namespace {

struct Line {
  const char* name;
  Conv2dShape shape;
};

std::vector<Line> lines() {
  const auto square = [](Index n, Index size, Index c, Index o, Index k, Index stride = 1, Index groups = 1) {
    return Conv2dShape{.n = n,
                       .h = size,
                       .w = size,
                       .c = c,
                       .o = o,
                       .kh = k,
                       .kw = k,
                       .stride = stride,
                       .padding = k / 2,
                       .groups = groups};
  };
  const auto patches = [](Index n, Index size, Index patch, Index o) {
    return Conv2dShape{
        .n = n, .h = size, .w = size, .c = 3, .o = o, .kh = patch, .kw = patch, .stride = patch};
  };
  return {
      {"3x3", square(128, 32, 16, 16, 3)},
      {"3x3", square(128, 16, 32, 32, 3)},
      {"3x3", square(128, 8, 64, 64, 3)},
      {"3x3 s2", square(128, 32, 16, 16, 3, 2)},
      {"3x3 s2", square(128, 32, 32, 32, 3, 2)},
      {"3x3 s2", square(128, 16, 64, 64, 3, 2)},
      {"1x1", square(128, 32, 16, 64, 1)},
      {"1x1", square(128, 32, 64, 16, 1)},
      {"1x1", square(128, 16, 32, 128, 1)},
      {"1x1", square(128, 8, 256, 64, 1)},
      {"1x1 s2", square(128, 32, 64, 128, 1, 2)},
      {"stem", square(128, 32, 3, 16, 3)},
      {"1x1 g8", square(128, 8, 1344, 128, 1, 1, 8)},
      {"3x3", square(8, 56, 64, 64, 3)},
      {"3x3", square(8, 28, 128, 128, 3)},
      {"3x3", square(8, 14, 256, 256, 3)},
      {"3x3", square(8, 7, 512, 512, 3)},
      {"3x3", square(8, 112, 32, 64, 3)},
      {"3x3", square(1, 56, 64, 64, 3)},
      {"3x3", square(1, 28, 128, 128, 3)},
      {"3x3", square(1, 14, 256, 256, 3)},
      {"3x3 s2", square(8, 56, 128, 128, 3, 2)},
      {"1x1", square(8, 56, 64, 256, 1)},
      {"1x1", square(8, 14, 1024, 256, 1)},
      {"1x1 s2", square(8, 56, 256, 512, 1, 2)},
      {"stem s2", square(8, 224, 3, 32, 3, 2)},
      {"stem s2", square(8, 224, 3, 64, 7, 2)},
      {"patch 16", patches(8, 224, 16, 384)},
      {"patch 4", patches(8, 224, 4, 96)},
      {"3x3 g32", square(8, 28, 128, 128, 3, 1, 32)},
      {"dw 3x3", square(8, 56, 96, 96, 3, 1, 96)},
      {"dw 3x3 s2", square(8, 56, 96, 96, 3, 2, 96)},
      {"dw 7x7", square(8, 56, 96, 96, 7, 1, 96)},
      {"dw 7x7", square(8, 28, 192, 192, 7, 1, 192)},
      {"dw 7x7", square(8, 14, 384, 384, 7, 1, 384)},
  };
}

void measure(const char* name, const Conv2dShape& s, double peak, double budget) {
  const auto vector = [](Index n, float value) {
    return std::vector<float>(static_cast<std::size_t>(n), value);
  };
  std::vector<float> x = vector(s.x_size(), 0.5F), w = vector(s.weight_size(), 0.25F), bias = vector(s.o, 1),
                     y = vector(s.y_size(), 1);
  const double flops = 2.0 * static_cast<double>(s.y_size() * s.taps() * s.group_in());
  const double forward = flops / best_time(budget, [&] {
                           kernels::conv2d(Cpu{}, s, x.data(), w.data(), {bias.data()}, y.data());
                         });
  const double input = flops / best_time(budget, [&] {
                         kernels::conv2d_grad_input(Cpu{}, s, w.data(), y.data(), x.data(), false);
                       });
  const double weight = flops / best_time(budget, [&] {
                          kernels::conv2d_grad_weight(Cpu{}, s, x.data(), y.data(), w.data(), false);
                        });
  std::printf("%-12s %3ld x %3ld x %3ld  %4ld -> %4ld ", name, static_cast<long>(s.n), static_cast<long>(s.h),
              static_cast<long>(s.w), static_cast<long>(s.c), static_cast<long>(s.o));
  for (const double rate : {forward, input, weight})
    std::printf("  %6.1f %3.0f %%", rate * 1e-9, 100 * rate / peak);
  std::printf("\n");
}

/// A line for the form that is chosen, one for the direct form where that is another, and one with operands
/// rounded to bf16 in the direct form.
void measure(const Line& line, double peak, double budget) {
  measure(line.name, line.shape, peak, budget);
  set_convolution_method(ConvolutionMethod::direct);
  if (cpu::winograd_plan(line.shape)) measure("  direct", line.shape, peak, budget);
  set_product_precision(Precision::bf16);
  if (cpu::rounds(line.shape)) measure("  bf16", line.shape, peak, budget);
  set_product_precision(Precision::float32);
  set_convolution_method(ConvolutionMethod::automatic);
}

}  // namespace

int main(int count, char** arguments) {
  const double budget = count > 1 ? std::atof(arguments[1]) : 0.1;
  const double peak = fma_peak(3 * budget);
  std::printf("%s, %d threads: multiply-add peak %.1f GFLOP/s; GFLOP/s and share of the peak\n",
              isa_name(isa()), threads(), peak * 1e-9);
  std::printf("kernel    images, map      channels           forward           dX           dW\n");
  for (const Line& line : lines())
    if (count < 3 || std::string_view(line.name).starts_with(arguments[2])) measure(line, peak, budget);
}
