// SPDX-License-Identifier: MIT
// What no program on this machine can exceed: fused multiply-adds that stay in registers, and memory, read
// and copied, with one thread and with all. Times of operations mean something beside these only. Memory is
// measured in pages of 4 KB, as programs get them, and, where the system has them, in huge ones of 2 MB,
// which a processor looks up less often.
//   bench_peak [--json] [seconds per measurement]
#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "gram/cpu/reduce.hpp"
#include "measure.hpp"

using namespace gram;
using bench::best_time;

namespace {

/// Far larger than any cache, in every thread.
constexpr Index elements = Index{1} << 26;
constexpr std::size_t bytes = static_cast<std::size_t>(elements) * sizeof(float);
constexpr std::size_t huge_page = std::size_t{1} << 21;

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using Array = std::unique_ptr<float[], Free>;

Array make_array(bool huge) {
  Array x(static_cast<float*>(std::aligned_alloc(huge_page, bytes)));
#if defined(__linux__)
  madvise(x.get(), bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
#endif
  std::memset(x.get(), 1, bytes);
  return x;
}

struct Bandwidth {
  double read, copy;  ///< bytes per second; a copied byte is read and written, and counts twice
};

/// Every thread works on a part of its own.
Bandwidth bandwidth(double budget, bool huge) {
  const Index part = elements / threads();
  const Array x = make_array(huge), y = make_array(huge);
  std::vector<float> results(static_cast<std::size_t>(threads()));
  const double moved = static_cast<double>(part * threads()) * sizeof(float);
  const double read = best_time(budget, [&] {
    parallel_blocks(threads(), [&](Index t, int) {
      results[static_cast<std::size_t>(t)] = cpu::reduce_table<float>().sum_row(part, x.get() + t * part);
    });
  });
  const double copy = best_time(budget, [&] {
    parallel_blocks(threads(), [&](Index t, int) {
      std::memcpy(y.get() + t * part, x.get() + t * part, static_cast<std::size_t>(part) * sizeof(float));
    });
  });
  return {moved / read, 2 * moved / copy};
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
    const Bandwidth small = bandwidth(budget, false), large = bandwidth(budget, true);
    if (json)
      std::printf(
          "%s{\"threads\": %d, \"fma_gflops\": %.2f, \"read_gb_per_s\": %.2f, \"copy_gb_per_s\": %.2f, "
          "\"huge_read_gb_per_s\": %.2f, \"huge_copy_gb_per_s\": %.2f}",
          used > 1 ? ", " : "", used, fma * 1e-9, small.read * 1e-9, small.copy * 1e-9, large.read * 1e-9,
          large.copy * 1e-9);
    else
      std::printf(
          "%s, %d thread%s: multiply-adds %.1f GFLOP/s; memory read at %.1f GB/s, copied at %.1f GB/s; in "
          "huge "
          "pages %.1f and %.1f GB/s\n",
          isa_name(isa()), used, used > 1 ? "s" : "", fma * 1e-9, small.read * 1e-9, small.copy * 1e-9,
          large.read * 1e-9, large.copy * 1e-9);
    if (used == all) break;
  }
  if (json) std::printf("]}\n");
}
