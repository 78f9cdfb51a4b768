// SPDX-License-Identifier: MIT
// The stand-in device has no cuDNN: no plan for anything, so that the library's own kernels run. An observer
// is told what cuDNN would do instead.
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/kernels/conv2d.hpp"

namespace gram::cuda {

inline std::string cudnn_description() { return "no cuDNN"; }

template <class T>
bool observed_conv2d(const Conv2dShape& s, Index more_y, Index more_x, Index more_weight) {
  if (!emulated::observer || std::is_same_v<T, double>) return false;
  const double products = static_cast<double>(s.y_size()) * static_cast<double>(s.taps() * s.group_in());
  emulated::observer->library(
      {"cuDNN convolution",
       static_cast<double>(sizeof(T)) *
           static_cast<double>((1 + more_x) * s.x_size() + (1 + more_weight) * s.weight_size() +
                               (1 + more_y) * s.y_size()),
       2 * products});
  return true;
}

template <class T>
bool cudnn_conv2d(Cuda, const Conv2dShape& s, const T*, const T*, const Conv2dEpilogue<T>& epilogue, T*) {
  return observed_conv2d<T>(s, epilogue.residual ? 1 : 0, 0, 0);
}
/// What is added to is made aside and added by a pass of its own.
template <class T>
bool cudnn_conv2d_grad_input(Cuda, const Conv2dShape& s, const T*, const T*, T*, bool add) {
  return observed_conv2d<T>(s, 0, add ? 3 : 0, 0);
}
template <class T>
bool cudnn_conv2d_grad_weight(Cuda, const Conv2dShape& s, const T*, const T*, T*, bool add) {
  return observed_conv2d<T>(s, 0, 0, add ? 3 : 0);
}

}  // namespace gram::cuda
