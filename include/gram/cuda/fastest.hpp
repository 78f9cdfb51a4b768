// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

namespace gram::cuda {

/// Which of `count` ways has the smallest median of times_of(way, runs), a vector of times, over two rounds:
/// clocks that rise meanwhile must not favour the last. The first of equals; one without times does not run,
/// none when none does.
template <class F>
std::optional<std::size_t> fastest(std::size_t count, F&& times_of, int runs = 3) {
  std::vector<std::vector<float>> times(count);
  for (int round = 0; round < 2; ++round)
    for (std::size_t way = 0; way < count; ++way) {
      if (round > 0 && times[way].empty()) continue;
      for (const float time : times_of(way, runs)) times[way].push_back(time);
    }
  std::optional<std::size_t> best;
  float least = 0;
  for (std::size_t way = 0; way < count; ++way) {
    if (times[way].empty()) continue;
    const auto middle = times[way].begin() + static_cast<std::ptrdiff_t>(times[way].size() / 2);
    std::nth_element(times[way].begin(), middle, times[way].end());
    if (best && *middle >= least) continue;
    least = *middle;
    best = way;
  }
  return best;
}

}  // namespace gram::cuda
