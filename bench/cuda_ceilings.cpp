// SPDX-License-Identifier: MIT
// What a GPU reaches at most, through gram's own door: copies and matrix products. Networks are held against
// it.
//   cuda_ceilings [seconds for each]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "gram/gram.hpp"

using namespace gram;

namespace {

/// Seconds of one call, the best of windows of many.
template <class F>
double best_seconds(Device device, double budget, F&& f) {
  using Clock = std::chrono::steady_clock;
  f(), synchronize(device);
  double best = 1e9, spent = 0;
  while (spent < budget) {
    constexpr int window = 20;
    const auto start = Clock::now();
    for (int i = 0; i < window; ++i) f();
    synchronize(device);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    spent += seconds;
    best = std::min(best, seconds / window);
  }
  return best;
}

template <Scalar T>
double product_rate(Device device, Index n, double budget) {
  const Tensor<T> a = converted<T>(randn<float>({n, n}, 1)).to(device),
                  b = converted<T>(randn<float>({n, n}, 2)).to(device), c({n, n}, device);
  const double seconds = best_seconds(device, budget, [&] {
    kernels::gemm_batched(Cuda{device.index()}, {1, 0, 0, 0}, {n, n, n}, a.data(), n, false, b.data(), n,
                          true, c.data(), n);
  });
  return 2.0 * static_cast<double>(n * n * n) / seconds * 1e-12;
}

}  // namespace

int main(int argc, char** argv) try {
  const double budget = argc > 1 ? std::atof(argv[1]) : 2;
  const Device device = Device::cuda();
  set_product_tuning(16);  // the fastest of what the library offers, not its first guess
  std::printf("{\"device\": \"%s\"", cuda::runtime->description(device.index()).c_str());
  const Tensor<float> x({Index{1} << 28}, device), y(x.shape(), device);
  const double copy = best_seconds(
      device, budget, [&] { kernels::copy(Cuda{device.index()}, x.data(), y.data(), x.size()); });
  std::printf(", \"copy_gb_per_s\": %.1f", 2.0 * 4.0 * static_cast<double>(x.size()) / copy * 1e-9);
  const double fill =
      best_seconds(device, budget, [&] { kernels::fill(Cuda{device.index()}, y.data(), 1.0F, y.size()); });
  std::printf(", \"fill_gb_per_s\": %.1f", 4.0 * static_cast<double>(y.size()) / fill * 1e-9);
  std::printf(", \"bf16_tflops\": %.1f", product_rate<bf16>(device, 8192, budget));
  std::printf(", \"float_tflops\": %.1f", product_rate<float>(device, 4096, budget));
  set_tf32(true);
  std::printf(", \"tf32_tflops\": %.1f}\n", product_rate<float>(device, 8192, budget));
} catch (const Error& error) {
  std::fprintf(stderr, "error: %s\n", error.what());
  return 1;
}
