// SPDX-License-Identifier: MIT
// Linear maps with a GELU behind or in front of them, as host code calls them; gelu_linear.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/shape.hpp"

namespace gram::cuda {

template <class T>
struct GeluLinearTable {
  void (*forward)(Cuda, Index rows, Index in, Index out, const T* x, const T* weight, const T* bias, T* h,
                  T* a);
  void (*grad)(Cuda, Index rows, Index in, Index out, const T* dy, const T* weight, const T* h, T* dh);
};
template <class T>
inline GeluLinearTable<T> gelu_linear_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void gelu_linear(Cuda device, Index rows, Index in, Index out, const T* x, const T* weight, const T* bias,
                 T* h, T* a) {
  return cuda::gelu_linear_table<T>.forward(device, rows, in, out, x, weight, bias, h, a);
}
template <class T>
void gelu_linear_grad(Cuda device, Index rows, Index in, Index out, const T* dy, const T* weight, const T* h,
                      T* dh) {
  return cuda::gelu_linear_table<T>.grad(device, rows, in, out, dy, weight, h, dh);
}

}  // namespace gram::kernels
