// SPDX-License-Identifier: MIT
// Reading at positions given by an index tensor, as host code calls it; index.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/axis_view.hpp"
#include "gram/kernels/index.hpp"

namespace gram::cuda {

template <class T>
struct IndexTable {
  void (*gather)(Cuda, const T* x, const IndexView& index, T* y, const AxisView& v);
  void (*gather_grad)(Cuda, const T* dy, const IndexView& index, T* dx, bool add, const AxisView& v);
  void (*one_hot)(Cuda, const Index* labels, T on, T off, T* y, Index rows, Index classes);
};
template <class T>
inline IndexTable<T> index_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void gather(Cuda device, const T* x, const IndexView& index, T* y, const AxisView& v) {
  return cuda::index_table<T>.gather(device, x, index, y, v);
}
template <class T>
void gather_grad(Cuda device, const T* dy, const IndexView& index, T* dx, bool add, const AxisView& v) {
  return cuda::index_table<T>.gather_grad(device, dy, index, dx, add, v);
}

template <class T>
void one_hot(Cuda device, const Index* labels, T on, T off, T* y, Index rows, Index classes) {
  return cuda::index_table<T>.one_hot(device, labels, on, off, y, rows, classes);
}

}  // namespace gram::kernels
