// SPDX-License-Identifier: MIT
// Steps of the optimisers, as host code calls them; optimizer.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"
#include "gram/kernels/optimizer.hpp"

namespace gram::cuda {

template <class T>
struct OptimizerTable {
  void (*sgd)(Cuda, T* parameter, accum_t<T>* values, const T* gradient, accum_t<T>* momentum_buffer, Index n,
              const SgdStep<accum_t<T>>& step);
  void (*adamw)(Cuda, T* parameter, accum_t<T>* values, const T* gradient, accum_t<T>* m, accum_t<T>* v,
                Index n, const AdamWStep<accum_t<T>>& step);
  double (*sum_squares)(Cuda, const T* x, Index n);
  void (*scale)(Cuda, T* x, double factor, Index n);
};
template <class T>
inline OptimizerTable<T> optimizer_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void sgd(Cuda device, T* parameter, accum_t<T>* values, const T* gradient, accum_t<T>* momentum_buffer,
         Index n, const SgdStep<accum_t<T>>& step) {
  return cuda::optimizer_table<T>.sgd(device, parameter, values, gradient, momentum_buffer, n, step);
}
template <class T>
void adamw(Cuda device, T* parameter, accum_t<T>* values, const T* gradient, accum_t<T>* m, accum_t<T>* v,
           Index n, const AdamWStep<accum_t<T>>& step) {
  return cuda::optimizer_table<T>.adamw(device, parameter, values, gradient, m, v, n, step);
}
template <class T>
double sum_squares(Cuda device, const T* x, Index n) {
  return cuda::optimizer_table<T>.sum_squares(device, x, n);
}
template <class T>
void scale(Cuda device, T* x, double factor, Index n) {
  return cuda::optimizer_table<T>.scale(device, x, factor, n);
}

}  // namespace gram::kernels
