// SPDX-License-Identifier: MIT
// Maximum over windows, as host code calls it; pool.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/kernels/pool.hpp"

namespace gram::cuda {

template <class T>
struct MaxPoolTable {
  void (*forward)(Cuda, const T* x, Index N, Index C, const PoolWindows& s, T* y, std::int32_t* picks);
  void (*grad)(Cuda, const T* dy, const std::int32_t* picks, Index N, Index C, const PoolWindows& s,
               GradientSink<T> dx);
};
template <class T>
inline MaxPoolTable<T> max_pool_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void max_pool(Cuda device, const T* x, Index N, Index C, const PoolWindows& s, T* y, std::int32_t* picks) {
  return cuda::max_pool_table<T>.forward(device, x, N, C, s, y, picks);
}
template <class T>
void max_pool_grad(Cuda device, const T* dy, const std::int32_t* picks, Index N, Index C,
                   const PoolWindows& s, GradientSink<T> dx) {
  return cuda::max_pool_table<T>.grad(device, dy, picks, N, C, s, dx);
}

}  // namespace gram::kernels
