// SPDX-License-Identifier: MIT
// The stand-in device has no cuDNN: no plan for anything, so that the library's own kernels run.
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/kernels/conv2d.hpp"

namespace gram::cuda {

inline std::string cudnn_description() { return "no cuDNN"; }

template <class T>
bool cudnn_conv2d(Cuda, const Conv2dShape&, const T*, const T*, const Conv2dEpilogue<T>&, T*) {
  return false;
}
template <class T>
bool cudnn_conv2d_grad_input(Cuda, const Conv2dShape&, const T*, const T*, T*, bool) {
  return false;
}
template <class T>
bool cudnn_conv2d_grad_weight(Cuda, const Conv2dShape&, const T*, const T*, T*, bool) {
  return false;
}

}  // namespace gram::cuda
