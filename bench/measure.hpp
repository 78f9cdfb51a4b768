// SPDX-License-Identifier: MIT
// What the benchmarks share: shortest times, and the machine's limit.
#pragma once
#include <algorithm>
#include <chrono>
#include <vector>

#include "gram/core/parallel.hpp"
#include "gram/cpu/peak.hpp"

namespace bench {

/// Shortest time of f in seconds, repeated for `budget` seconds after a first call that finds fresh memory.
template <class F>
double best_time(double budget, F&& f) {
  using clock = std::chrono::steady_clock;
  double best = 1e9, spent = 0;
  f();
  do {
    const auto start = clock::now();
    f();
    const double t = std::chrono::duration<double>(clock::now() - start).count();
    best = std::min(best, t);
    spent += t;
  } while (spent < budget);
  return best;
}

/// Floating-point operations per second of all threads, multiply-adds in registers only; for bf16 those of
/// its pairs.
template <class T = float>
double fma_peak(double budget) {
  const gram::Index steps = 1 << 18;
  const auto& peak = gram::cpu::peak_table<T>();
  std::vector<float> results(static_cast<std::size_t>(gram::threads()));
  const double seconds = best_time(budget, [&] {
    gram::parallel_blocks(gram::threads(), [&](gram::Index i, int) {
      results[static_cast<std::size_t>(i)] = peak.run(steps, 0.5F);
    });
  });
  return static_cast<double>(peak.operations * steps * gram::threads()) / seconds;
}

}  // namespace bench
