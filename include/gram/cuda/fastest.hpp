// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <vector>

namespace gram::cuda {

/// Which of `count` ways has the smallest median of times_of(way, runs), a vector of times; one without times
/// does not run. The first of equals; 0 when none runs.
template <class F>
std::size_t fastest(std::size_t count, F&& times_of, int runs = 5) {
  std::size_t best = 0;
  float least = 0;
  bool any = false;
  for (std::size_t way = 0; way < count; ++way) {
    std::vector<float> times = times_of(way, runs);
    if (times.empty()) continue;
    const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
    std::nth_element(times.begin(), middle, times.end());
    if (any && *middle >= least) continue;
    any = true;
    least = *middle;
    best = way;
  }
  return best;
}

}  // namespace gram::cuda
