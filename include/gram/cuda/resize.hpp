// SPDX-License-Identifier: MIT
// Resampling along both axes of maps, as host code calls it; resize.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/kernels/resize.hpp"

namespace gram::cuda {

template <class T>
struct ResizeTable {
  void (*forward)(Cuda, const T* x, Index N, Index C, const ResampleAxis& rows, const ResampleAxis& columns,
                  T* y);
  void (*grad)(Cuda, const T* dy, Index N, Index C, const ResampleAxis& rows, const ResampleAxis& columns,
               GradientSink<T> dx);
};
template <class T>
inline ResizeTable<T> resize_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void resample(Cuda device, const T* x, Index N, Index C, const ResampleAxis& rows,
              const ResampleAxis& columns, T* y) {
  return cuda::resize_table<T>.forward(device, x, N, C, rows, columns, y);
}
template <class T>
void resample_grad(Cuda device, const T* dy, Index N, Index C, const ResampleAxis& rows,
                   const ResampleAxis& columns, GradientSink<T> dx) {
  return cuda::resize_table<T>.grad(device, dy, N, C, rows, columns, dx);
}

}  // namespace gram::kernels
