// SPDX-License-Identifier: MIT
// Copies, fills and conversions, as host code calls them; copy.cuh computes.
#pragma once
#include "gram/core/cuda_capture.hpp"
#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram::cuda {

template <class T>
struct FillTable {
  void (*fill)(Cuda, T* y, T value, Index n);
};
template <class T>
inline FillTable<T> fill_table{};

template <class From, class To>
struct ConvertTable {
  void (*convert)(Cuda, const From* x, To* y, Index n);
};
template <class From, class To>
inline ConvertTable<From, To> convert_table{};

template <class T>
struct AccumulateTable {
  void (*accumulate)(Cuda, const T* x, T* y, Index n);
};
template <class T>
inline AccumulateTable<T> accumulate_table{};

/// Of any device: position of the first index outside [0, n), or -1.
inline Index (*first_outside)(Cuda, const Index* index, Index count, Index n) = nullptr;

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void fill(Cuda device, T* y, T value, Index n) {
  cuda::fill_table<T>.fill(device, y, value, n);
}
template <class T>
void copy(Cuda device, const T* x, T* y, Index n) {
  cuda::runtime->copy_on_device(device.index, x, y, static_cast<std::size_t>(n) * sizeof(T));
}
template <class From, class To>
void convert(Cuda device, const From* x, To* y, Index n) {
  cuda::convert_table<From, To>.convert(device, x, y, n);
}
template <class T>
void accumulate(Cuda device, const T* x, T* y, Index n) {
  cuda::accumulate_table<T>.accumulate(device, x, y, n);
}
inline Index first_outside(Cuda device, const Index* index, Index count, Index n) {
  if (cuda::current_capture) return -1;  // the answer would come at replay; plain steps have checked
  return cuda::first_outside(device, index, count, n);
}

}  // namespace gram::kernels
