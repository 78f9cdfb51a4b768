// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram::kernels {

/// A tensor of n elements and its moving average.
template <class T>
struct AverageItem {
  accum_t<T>* average;
  const T* values;
  Index n;
};

}  // namespace gram::kernels
