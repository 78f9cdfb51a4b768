// SPDX-License-Identifier: MIT
// Soft-max along an axis, as host code calls it; softmax.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/axis_view.hpp"

namespace gram::cuda {

template <class T>
struct SoftmaxTable {
  void (*forward)(Cuda, bool logarithm, const T* x, T* y, const AxisView& v);
  void (*grad)(Cuda, bool logarithm, const T* y, const T* dy, T* dx, bool add, const AxisView& v);
};
template <class T>
inline SoftmaxTable<T> softmax_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void softmax(Cuda device, bool logarithm, const T* x, T* y, const AxisView& v) {
  return cuda::softmax_table<T>.forward(device, logarithm, x, y, v);
}
template <class T>
void softmax_grad(Cuda device, bool logarithm, const T* y, const T* dy, T* dx, bool add, const AxisView& v) {
  return cuda::softmax_table<T>.grad(device, logarithm, y, dy, dx, add, v);
}

}  // namespace gram::kernels
