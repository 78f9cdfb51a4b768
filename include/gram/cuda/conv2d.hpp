// SPDX-License-Identifier: MIT
// Convolutions, as host code calls them; conv2d.cuh computes.
#pragma once
#include <type_traits>

#include "gram/core/device.hpp"
#include "gram/cuda/reduce.hpp"
#include "gram/kernels/conv2d.hpp"

namespace gram::cuda {

template <class T>
struct Conv2dTable {
  void (*forward)(Cuda, const Conv2dShape& s, const T* x, const T* weight,
                  const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y);
  void (*grad_input)(Cuda, const Conv2dShape& s, const T* weight, const T* dy, T* dx, bool add);
  void (*grad_weight)(Cuda, const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add);
};
template <class T>
inline Conv2dTable<T> conv2d_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void conv2d(Cuda device, const Conv2dShape& s, const T* x, const T* weight,
            const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y) {
  return cuda::conv2d_table<T>.forward(device, s, x, weight, epilogue, y);
}
template <class T>
void conv2d_grad_input(Cuda device, const Conv2dShape& s, const T* weight, const T* dy, T* dx, bool add) {
  return cuda::conv2d_table<T>.grad_input(device, s, weight, dy, dx, add);
}
template <class T>
void conv2d_grad_weight(Cuda device, const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  return cuda::conv2d_table<T>.grad_weight(device, s, x, dy, dw, add);
}
template <class T>
void conv2d_grad_bias(Cuda device, const Conv2dShape& s, const T* dy, T* db, bool add) {
  sum_rows(device, s.n * s.out_h() * s.out_w(), s.o, dy, db, add);
}
/// Libraries order weights for themselves: nothing is kept here.
template <class T, class Weight, class Prepared>
void conv2d_prepared(Cuda device, const Conv2dShape& s, const T* x, Weight&& weight, Prepared&,
                     const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y) {
  conv2d(device, s, x, static_cast<const T*>(weight()), epilogue, y);
}

}  // namespace gram::kernels
