// SPDX-License-Identifier: MIT
// Division by the Euclidean length along an axis, as host code calls it; normalize.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/kernels/axis_view.hpp"

namespace gram::cuda {

template <class T>
struct NormalizeTable {
  void (*forward)(Cuda, const T* x, T* y, accum_t<T>* length, const AxisView& v, double epsilon);
  void (*grad)(Cuda, const T* y, const accum_t<T>* length, const T* dy, T* dx, bool add, const AxisView& v,
               double epsilon);
};
template <class T>
inline NormalizeTable<T> normalize_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void l2_normalize(Cuda device, const T* x, T* y, accum_t<T>* length, const AxisView& v, double epsilon) {
  return cuda::normalize_table<T>.forward(device, x, y, length, v, epsilon);
}
template <class T>
void l2_normalize_grad(Cuda device, const T* y, const accum_t<T>* length, const T* dy, T* dx, bool add,
                       const AxisView& v, double epsilon) {
  return cuda::normalize_table<T>.grad(device, y, length, dy, dx, add, v, epsilon);
}

}  // namespace gram::kernels
