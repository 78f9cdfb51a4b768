// SPDX-License-Identifier: MIT
// Normalised Gram vectors, as host code calls them; gram.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/gram.hpp"

namespace gram::cuda {

template <class T>
struct GramTable {
  void (*forward)(Cuda, const kernels::GramShape& s, const T* x, T* y, double* norm);
  void (*grad)(Cuda, const kernels::GramShape& s, const T* x, const T* y, const double* norm, const T* dy,
               T* dx, bool add);
};
template <class T>
inline GramTable<T> gram_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void gram_vector(Cuda device, const kernels::GramShape& s, const T* x, T* y, double* norm) {
  return cuda::gram_table<T>.forward(device, s, x, y, norm);
}
template <class T>
void gram_vector_grad(Cuda device, const kernels::GramShape& s, const T* x, const T* y, const double* norm,
                      const T* dy, T* dx, bool add) {
  return cuda::gram_table<T>.grad(device, s, x, y, norm, dy, dx, add);
}

}  // namespace gram::kernels
