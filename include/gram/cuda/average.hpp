// SPDX-License-Identifier: MIT
// Moving averages, as host code calls them; average.cuh computes.
#pragma once
#include <span>

#include "gram/core/device.hpp"
#include "gram/kernels/average.hpp"

namespace gram::cuda {

template <class T>
struct AverageTable {
  void (*move)(Cuda, std::span<const kernels::AverageItem<T>> items, double decay);
};
template <class T>
inline AverageTable<T> average_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void move_averages(Cuda device, std::span<const AverageItem<T>> items, double decay) {
  cuda::average_table<T>.move(device, items, decay);
}

}  // namespace gram::kernels
