// SPDX-License-Identifier: MIT
// Dropout, as host code calls it; dropout.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/random.hpp"

namespace gram::cuda {

template <class T>
struct DropoutTable {
  void (*dropout)(Cuda, RandomKey key, double p, const T* x, T* y, bool add, Index n);
  void (*drop_path)(Cuda, RandomKey key, double p, const T* x, T* y, bool add, Index samples, Index size);
};
template <class T>
inline DropoutTable<T> dropout_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void dropout(Cuda device, RandomKey key, double p, const T* x, T* y, bool add, Index n) {
  return cuda::dropout_table<T>.dropout(device, key, p, x, y, add, n);
}
template <class T>
void drop_path(Cuda device, RandomKey key, double p, const T* x, T* y, bool add, Index samples, Index size) {
  return cuda::dropout_table<T>.drop_path(device, key, p, x, y, add, samples, size);
}

}  // namespace gram::kernels
