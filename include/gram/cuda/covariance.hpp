// SPDX-License-Identifier: MIT
// Means and covariances of columns, as host code calls them; covariance.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram::cuda {

template <class T>
struct CovarianceTable {
  void (*covariance)(Cuda, const T* x, Index rows, Index columns, accum_t<T>* mean, accum_t<T>* result);
};
template <class T>
inline CovarianceTable<T> covariance_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void covariance(Cuda device, const T* x, Index rows, Index columns, accum_t<T>* mean, accum_t<T>* result) {
  return cuda::covariance_table<T>.covariance(device, x, rows, columns, mean, result);
}

}  // namespace gram::kernels
