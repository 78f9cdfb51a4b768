// SPDX-License-Identifier: MIT
// What no program on this machine can exceed: fused multiply-adds that stay in registers, and memory, read
// and copied, with one thread and with all. Times of operations mean something beside these only.
//   bench_peak [--json] [seconds per measurement]
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "measure.hpp"

using namespace gram;
using bench::best_time;

namespace {

/// Far larger than any cache, in every thread.
constexpr Index words = Index{1} << 25;
using Array = std::vector<std::uint64_t>;

/// Eight sums, so that no addition waits for the one before it.
std::uint64_t sum_of(const std::uint64_t* x, Index n) {
  std::array<std::uint64_t, 8> sums{};
  for (Index i = 0; i < n; i += 8)
    for (std::size_t j = 0; j < 8; ++j) sums[j] += x[static_cast<std::size_t>(i) + j];
  std::uint64_t total = 0;
  for (const std::uint64_t s : sums) total += s;
  return total;
}

struct Bandwidth {
  double read, copy;  ///< bytes per second; a copied byte is read and written, and counts twice
};

/// Every thread works on a part of its own.
Bandwidth bandwidth(double budget) {
  const Index part = words / threads();
  Array x(words, 1), y(words, 2);
  std::vector<std::uint64_t> results(static_cast<std::size_t>(threads()));
  const double bytes = static_cast<double>(part * threads()) * sizeof(std::uint64_t);
  const double read = best_time(budget, [&] {
    parallel_blocks(threads(), [&](Index t, int) {
      results[static_cast<std::size_t>(t)] += sum_of(x.data() + t * part, part);
    });
  });
  const double copy = best_time(budget, [&] {
    parallel_blocks(threads(), [&](Index t, int) {
      std::memcpy(y.data() + t * part, x.data() + t * part,
                  static_cast<std::size_t>(part) * sizeof(std::uint64_t));
    });
  });
  volatile std::uint64_t used = results[0] + y[0];  // or the compiler would leave the reading out
  (void)used;
  return {bytes / read, 2 * bytes / copy};
}

}  // namespace

int main(int count, char** arguments) {
  bool json = false;
  double budget = 0.5;
  for (int i = 1; i < count; ++i) {
    if (std::string_view(arguments[i]) == "--json")
      json = true;
    else
      budget = std::atof(arguments[i]);
  }
  const int all = threads();
  if (json) std::printf("{\"isa\": \"%s\", \"peaks\": [", isa_name(isa()));
  for (const int used : {1, all}) {
    set_threads(used);
    const double fma = bench::fma_peak(budget);
    const Bandwidth memory = bandwidth(budget);
    if (json)
      std::printf(
          "%s{\"threads\": %d, \"fma_gflops\": %.2f, \"read_gb_per_s\": %.2f, \"copy_gb_per_s\": %.2f}",
          used > 1 ? ", " : "", used, fma * 1e-9, memory.read * 1e-9, memory.copy * 1e-9);
    else
      std::printf(
          "%s, %d thread%s: multiply-adds %.1f GFLOP/s, memory read at %.1f GB/s, copied at %.1f GB/s\n",
          isa_name(isa()), used, used > 1 ? "s" : "", fma * 1e-9, memory.read * 1e-9, memory.copy * 1e-9);
    if (used == all) break;
  }
  if (json) std::printf("]}\n");
}
