// SPDX-License-Identifier: MIT
// The gradients of a linear map, as host code calls them; linear_grad.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/shape.hpp"

namespace gram::cuda {

template <class T>
struct LinearGradTable {
  void (*weight)(Cuda, Index rows, Index in, Index out, Index groups, const T* dy, const T* x,
                 GradientSink<T> dw, GradientSink<T> db);
};
template <class T>
inline LinearGradTable<T> linear_grad_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void linear_grad_weight(Cuda device, Index rows, Index in, Index out, Index groups, const T* dy, const T* x,
                        GradientSink<T> dw, GradientSink<T> db) {
  return cuda::linear_grad_table<T>.weight(device, rows, in, out, groups, dy, x, dw, db);
}

}  // namespace gram::kernels
