// SPDX-License-Identifier: MIT
// Axes in another order, runs and windows, as host code calls them; permute.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/permute.hpp"
#include "gram/kernels/window.hpp"

namespace gram::cuda {

template <class T>
struct PermuteTable {
  void (*permute)(Cuda, const T* x, T* y, const Shape& shape, const int* order, bool add);
  void (*copy_runs)(Cuda, Index runs, Index length, const T* x, Index x_stride, T* y, Index y_stride,
                    bool add);
  void (*cut_windows)(Cuda, const WindowShape& s, const T* map, T* windows, bool add);
  void (*join_windows)(Cuda, const WindowShape& s, const T* windows, T* map, bool add);
};
template <class T>
inline PermuteTable<T> permute_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void permute(Cuda device, const T* x, T* y, const Shape& shape, const int* order, bool add) {
  return cuda::permute_table<T>.permute(device, x, y, shape, order, add);
}
template <class T>
void copy_runs(Cuda device, Index runs, Index length, const T* x, Index x_stride, T* y, Index y_stride,
               bool add) {
  return cuda::permute_table<T>.copy_runs(device, runs, length, x, x_stride, y, y_stride, add);
}
template <class T>
void cut_windows(Cuda device, const WindowShape& s, const T* map, T* windows, bool add) {
  return cuda::permute_table<T>.cut_windows(device, s, map, windows, add);
}
template <class T>
void join_windows(Cuda device, const WindowShape& s, const T* windows, T* map, bool add) {
  return cuda::permute_table<T>.join_windows(device, s, windows, map, add);
}

}  // namespace gram::kernels
