// SPDX-License-Identifier: MIT
// Counting of right predictions, as host code calls it; meter.cuh computes.
#pragma once
#include <cstdint>

#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram::cuda {

/// What a meter counts on a device: kept there, so that nobody waits for a step to end.
struct MeterCounts {
  static constexpr int most_heads = 64;
  double loss;  ///< sum of loss times rows
  std::uint64_t images, correct, head_correct[most_heads];
};

/// Logits (rows, classes) of every head.
template <class T>
struct MeterBatch {
  const T* logits[MeterCounts::most_heads] = {};
  int heads;
  Index rows, classes;
  const std::int64_t* labels;
  const T* loss;
};

template <class T>
struct MeterTable {
  void (*add)(Cuda, const MeterBatch<T>& batch, MeterCounts* counts);
};
template <class T>
inline MeterTable<T> meter_table{};

}  // namespace gram::cuda
