// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <span>

#include "gram/core/device.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/kernels/average.hpp"

namespace gram::kernels {

/// average <- decay average + (1 - decay) values, one pass.
template <class T>
void move_averages(Cpu, std::span<const AverageItem<T>> items, double decay) {
  using A = accum_t<T>;
  const A keep = static_cast<A>(decay), share = static_cast<A>(1 - decay);
  for (const AverageItem<T>& item : items)
    parallel_for(item.n, grain, [&](Index i, Index end) {
      for (; i < end; ++i) item.average[i] = keep * item.average[i] + share * static_cast<A>(item.values[i]);
    });
}

}  // namespace gram::kernels
