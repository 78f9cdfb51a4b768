// SPDX-License-Identifier: MIT
// Sums and maxima along an axis, as host code calls them; reduce.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/axis_view.hpp"

namespace gram::cuda {

template <class T>
struct ReduceTable {
  void (*sum)(Cuda, const T* x, T* y, const AxisView& v, double scale);
  void (*sum_grad)(Cuda, const T* dy, T* dx, bool add, const AxisView& v, double scale);
  void (*max)(Cuda, const T* x, T* y, Index* at, const AxisView& v);
  void (*max_grad)(Cuda, const T* dy, const Index* at, T* dx, bool add, const AxisView& v);
  void (*sum_rows)(Cuda, Index rows, Index columns, const T* x, T* y, bool add);
};
template <class T>
inline ReduceTable<T> reduce_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void reduce_sum(Cuda device, const T* x, T* y, const AxisView& v, double scale) {
  return cuda::reduce_table<T>.sum(device, x, y, v, scale);
}
template <class T>
void reduce_sum_grad(Cuda device, const T* dy, T* dx, bool add, const AxisView& v, double scale) {
  return cuda::reduce_table<T>.sum_grad(device, dy, dx, add, v, scale);
}
template <class T>
void reduce_max(Cuda device, const T* x, T* y, Index* at, const AxisView& v) {
  return cuda::reduce_table<T>.max(device, x, y, at, v);
}
template <class T>
void reduce_max_grad(Cuda device, const T* dy, const Index* at, T* dx, bool add, const AxisView& v) {
  return cuda::reduce_table<T>.max_grad(device, dy, at, dx, add, v);
}
template <class T>
void sum_rows(Cuda device, Index rows, Index columns, const T* x, T* y, bool add) {
  return cuda::reduce_table<T>.sum_rows(device, rows, columns, x, y, add);
}

}  // namespace gram::kernels
