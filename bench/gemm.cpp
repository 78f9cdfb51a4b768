// SPDX-License-Identifier: MIT
// Matrix products against the machine's limits, in float32 and with operands rounded to bf16, and against
// Eigen. The floor of a product is the longer of two times: that of its multiplications at the peak, and that
// of touching every line of A, B and C once. All matrices start at a cache line, as every tensor does. Eigen
// uses the instruction set of the compiler's flags: add -march=native to see it at its best.
//   g++ -std=c++20 -O3 -fopenmp -I include -I /usr/include/eigen3 bench/gemm.cpp -o gemm && ./gemm [seconds
//   per line]
#include <Eigen/Core>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "gram/cpu/gemm.hpp"
#include "gram/tensor/create.hpp"
#include "measure.hpp"

using namespace gram;
using bench::best_time;
using bench::fma_peak;

namespace {

struct Line {
  const char* name;
  GemmShape shape;
  bool transpose_a, transpose_b;
};

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void eigen_product(const Line& line, const Tensor<float>& a, const Tensor<float>& b, const Tensor<float>& c) {
  const auto [m, n, k] = line.shape;
  const Eigen::Map<const Matrix> A(a.data(), line.transpose_a ? k : m, line.transpose_a ? m : k);
  const Eigen::Map<const Matrix> B(b.data(), line.transpose_b ? n : k, line.transpose_b ? k : n);
  Eigen::Map<Matrix> C(c.data(), m, n);
  if (line.transpose_a)
    C.noalias() = A.transpose() * B;
  else if (line.transpose_b)
    C.noalias() = A * B.transpose();
  else
    C.noalias() = A * B;
}

struct Peaks {
  double float32, bf16;
};

/// Reads one value of each line of 16.
float read_lines(const Tensor<float>& x, Index begin, Index end) {
  const float* const lines = x.data();
  float sums[4] = {};  // four, so that additions do not wait for each other
  for (Index i = begin; i + 48 < end; i += 64)
    for (Index j = 0; j < 4; ++j) sums[j] += lines[i + 16 * j];
  return sums[0] + sums[1] + sums[2] + sums[3];
}

/// Seconds to read every line of a and b, and to write every line of c, over all threads.
double pass_time(double budget, const Tensor<float>& a, const Tensor<float>& b, const Tensor<float>& c) {
  static constexpr Index pieces = 32;
  return best_time(budget, [&] {
    parallel_blocks(pieces, [&](Index at, int) {
      const auto part = [](const Tensor<float>& x, Index p) { return x.size() * p / pieces; };
      const float value =
          read_lines(a, part(a, at), part(a, at + 1)) + read_lines(b, part(b, at), part(b, at + 1));
      for (Index i = part(c, at); i < part(c, at + 1); i += 16) c.data()[i] = value;
    });
  });
}

void measure(const Line& line, const Peaks& peaks, double budget) {
  const Index m = line.shape.m, n = line.shape.n, k = line.shape.k;
  const auto a = full<float>({m, k}, 0.5F), b = full<float>({k, n}, 0.25F);
  const Tensor<float> c({m, n});
  const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  const auto rate = [&](Precision precision) {
    set_product_precision(precision);
    const double seconds = best_time(budget, [&] {
      kernels::gemm(Cpu{}, line.shape, a.data(), line.transpose_a ? m : k, line.transpose_a, b.data(),
                    line.transpose_b ? k : n, line.transpose_b, c.data(), n);
    });
    return flops / seconds;
  };
  const double ours = rate(Precision::float32), rounded = rate(Precision::bf16);
  const double eigen = flops / best_time(budget, [&] { eigen_product(line, a, b, c); });
  const double floor = std::max(flops / peaks.float32, pass_time(budget, a, b, c));
  std::printf(
      "  %-9s %6ld %5ld %6ld  %7.1f GFLOP/s  %3.0f %% of peak  %3.0f %% of floor  bf16 %7.1f  %3.0f %% of "
      "its peak  ratio %4.2f "
      " "
      "Eigen %6.1f\n",
      line.name, static_cast<long>(m), static_cast<long>(n), static_cast<long>(k), ours * 1e-9,
      100 * ours / peaks.float32, 100 * floor * ours / flops, rounded * 1e-9, 100 * rounded / peaks.bf16,
      rounded / ours, eigen * 1e-9);
}

}  // namespace

int main(int count, char** arguments) {
  const double budget = count > 1 ? std::atof(arguments[1]) : 0.1;
  const Index shapes[][3] = {{1024, 1024, 1024}, {2048, 2048, 2048}, {25088, 64, 64},   {25088, 256, 64},
                             {25088, 64, 256},   {6272, 512, 128},   {1568, 256, 1024}, {1568, 1024, 256},
                             {392, 2048, 512},   {1576, 1152, 384},  {1576, 384, 1536}, {320, 208, 1024},
                             {131072, 16, 64},   {8, 1000, 2048},    {128, 1000, 2048}};
  const int all = threads();
  for (const int used : {1, all}) {
    set_threads(used);
    Eigen::setNbThreads(used);
    const Peaks peaks{fma_peak(3 * budget), fma_peak<bf16>(3 * budget)};
    std::printf(
        "%s, %d thread%s: multiply-add peak %.1f GFLOP/s, of bf16 pairs %.1f\n  product        M     N      "
        "K\n",
        isa_name(isa()), used, used > 1 ? "s" : "", peaks.float32 * 1e-9, peaks.bf16 * 1e-9);
    for (const auto& [rows, out, in] : shapes) {  // the three products of a linear layer
      measure({"Y = X W", {rows, out, in}, false, false}, peaks, budget);
      measure({"dX = dY W'", {rows, in, out}, false, true}, peaks, budget);
      measure({"dW = X'dY", {in, out, rows}, true, false}, peaks, budget);
    }
    if (used == all) break;
  }
}
