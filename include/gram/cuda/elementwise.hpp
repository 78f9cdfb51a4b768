// SPDX-License-Identifier: MIT
// Element-wise operations, as host code calls them; elementwise.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/broadcast.hpp"
#include "gram/kernels/elementwise.hpp"

namespace gram::cuda {

template <class T>
struct ElementwiseTable {
  void (*unary)(Cuda, kernels::Unary op, const T* x, T* y, Index n, kernels::Constants c);
  void (*unary_grad)(Cuda, kernels::Unary op, const T* kept, const T* dy, T* dx, bool add, Index n,
                     kernels::Constants c);
  void (*binary)(Cuda, kernels::Binary op, const kernels::Broadcast& s, const T* a, const T* b, T* y);
  void (*binary_grad)(Cuda, kernels::BinaryGrad op, const kernels::Broadcast& s, const T* mine,
                      const T* other, const T* dy, T* dx, bool add);
};
template <class T>
inline ElementwiseTable<T> elementwise_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void unary(Cuda device, kernels::Unary op, const T* x, T* y, Index n, kernels::Constants c = {}) {
  return cuda::elementwise_table<T>.unary(device, op, x, y, n, c);
}
template <class T>
void unary_grad(Cuda device, kernels::Unary op, const T* kept, const T* dy, T* dx, bool add, Index n,
                kernels::Constants c = {}) {
  return cuda::elementwise_table<T>.unary_grad(device, op, kept, dy, dx, add, n, c);
}
template <class T>
void binary(Cuda device, kernels::Binary op, const kernels::Broadcast& s, const T* a, const T* b, T* y) {
  return cuda::elementwise_table<T>.binary(device, op, s, a, b, y);
}
template <class T>
void binary_grad(Cuda device, kernels::BinaryGrad op, const kernels::Broadcast& s, const T* mine,
                 const T* other, const T* dy, T* dx, bool add) {
  return cuda::elementwise_table<T>.binary_grad(device, op, s, mine, other, dy, dx, add);
}

}  // namespace gram::kernels
