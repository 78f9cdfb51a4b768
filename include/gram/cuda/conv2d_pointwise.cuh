// SPDX-License-Identifier: MIT
// 1x1 convolutions of all pixels are matrix products: x (pixels, C), weight (O, C), y (pixels, O).
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/cuda/gemm.hpp"
#include "gram/kernels/conv2d.hpp"

namespace gram::cuda {

template <class T>
void pointwise_conv2d(Cuda device, const Conv2dShape& s, const T* x, const T* weight,
                      const Conv2dEpilogue<T>& epilogue, T* y) {
  kernels::gemm_batched(device, one_product, {s.n * s.h * s.w, s.o, s.c}, x, s.c, false, weight, s.c, true, y,
                        s.o,
                        {.bias = epilogue.bias,
                         .relu = epilogue.relu,
                         .residual = epilogue.residual,
                         .base = y,
                         .gelu = epilogue.gelu});
}
template <class T>
void pointwise_conv2d_grad_input(Cuda device, const Conv2dShape& s, const T* weight, const T* dy, T* dx,
                                 bool add) {
  kernels::gemm_batched(device, one_product, {s.n * s.h * s.w, s.c, s.o}, dy, s.o, false, weight, s.c, false,
                        dx, s.c, {.add = add});
}
template <class T>
void pointwise_conv2d_grad_weight(Cuda device, const Conv2dShape& s, const T* x, const T* dy, T* dw,
                                  bool add) {
  kernels::gemm_batched(device, one_product, {s.o, s.c, s.n * s.h * s.w}, dy, s.o, true, x, s.c, false, dw,
                        s.c, {.add = add});
}

}  // namespace gram::cuda
