// SPDX-License-Identifier: MIT
// Layer normalisation, as host code calls it; layer_norm.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram::cuda {

template <class T>
struct LayerNormTable {
  void (*forward)(Cuda, const T* x, Index rows, Index C, const accum_t<T>* weight, const accum_t<T>* bias,
                  double epsilon, T* y, accum_t<T>* mean, accum_t<T>* rstd);
  void (*grad)(Cuda, const T* x, const T* dy, Index rows, Index C, const accum_t<T>* weight,
               const accum_t<T>* mean, const accum_t<T>* rstd, GradientSink<T> dx,
               GradientSink<accum_t<T>> dweight, GradientSink<accum_t<T>> dbias);
};
template <class T>
inline LayerNormTable<T> layer_norm_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void layer_norm(Cuda device, const T* x, Index rows, Index C, const accum_t<T>* weight,
                const accum_t<T>* bias, double epsilon, T* y, accum_t<T>* mean, accum_t<T>* rstd) {
  return cuda::layer_norm_table<T>.forward(device, x, rows, C, weight, bias, epsilon, y, mean, rstd);
}
template <class T>
void layer_norm_grad(Cuda device, const T* x, const T* dy, Index rows, Index C, const accum_t<T>* weight,
                     const accum_t<T>* mean, const accum_t<T>* rstd, GradientSink<T> dx,
                     GradientSink<accum_t<T>> dweight, GradientSink<accum_t<T>> dbias) {
  return cuda::layer_norm_table<T>.grad(device, x, dy, rows, C, weight, mean, rstd, dx, dweight, dbias);
}

}  // namespace gram::kernels
