// SPDX-License-Identifier: MIT
// Batch normalisation, as host code calls it; batch_norm.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/batch_norm.hpp"

namespace gram::cuda {

template <class T>
struct BatchNormTable {
  void (*statistics)(Cuda, const T* x, Index rows, Index channels, accum_t<T>* mean, accum_t<T>* variance);
  void (*apply)(Cuda, const kernels::BatchNormArguments<T>& in, const T* residual, bool relu, T* y,
                const kernels::BatchNormRunning<accum_t<T>>& running);
  void (*grad)(Cuda, const kernels::BatchNormArguments<T>& in, const kernels::BatchNormGradients<T>& out);
};
template <class A>
struct BatchNormCombineTable {
  void (*combine)(Cuda, Communicator& communicator, Index rows, Index channels, A* mean, A* variance,
                  double* total);
};
template <class A>
inline BatchNormCombineTable<A> batch_norm_combine_table{};
template <class T>
inline BatchNormTable<T> batch_norm_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void batch_norm_statistics(Cuda device, const T* x, Index rows, Index channels, accum_t<T>* mean,
                           accum_t<T>* variance) {
  return cuda::batch_norm_table<T>.statistics(device, x, rows, channels, mean, variance);
}
/// Moves the running statistics to those in use as well: a kernel for that alone would take longer.
template <class T>
void batch_norm_apply(Cuda device, const kernels::BatchNormArguments<T>& in, const T* residual, bool relu,
                      T* y, const BatchNormRunning<accum_t<T>>& running) {
  return cuda::batch_norm_table<T>.apply(device, in, residual, relu, y, running);
}
template <class T>
void batch_norm_grad(Cuda device, const kernels::BatchNormArguments<T>& in,
                     const kernels::BatchNormGradients<T>& out) {
  return cuda::batch_norm_table<T>.grad(device, in, out);
}

/// Mean and biased variance of this process's rows become those of the rows of all processes, whose number
/// is written to `total`, in device memory. Nothing waits.
template <class A>
BatchNormRows batch_norm_combine(Cuda device, Communicator& communicator, Index rows, Index channels, A* mean,
                                 A* variance, double* total) {
  cuda::batch_norm_combine_table<A>.combine(device, communicator, rows, channels, mean, variance, total);
  return {rows, total};
}

}  // namespace gram::kernels
