// SPDX-License-Identifier: MIT
#pragma once
#include "gram/ops/pool.hpp"

namespace gram {

/// Maximum over windows, (N, H, W, C) -> (N, H', W', C).
template <Scalar T>
struct MaxPool2d {
  Tensor<T> operator()(const Tensor<T>& x) const { return max_pool2d(x, options); }
  void visit(auto&&) {}

  PoolOptions options;
};

/// Mean over windows, (N, H, W, C) -> (N, H', W', C).
template <Scalar T>
struct AvgPool2d {
  Tensor<T> operator()(const Tensor<T>& x) const { return avg_pool2d(x, options); }
  void visit(auto&&) {}

  PoolOptions options;
};

/// Mean over windows that cut the map into `size` pieces, (N, H, W, C) -> (N, size.h, size.w, C).
template <Scalar T>
struct AdaptiveAvgPool2d {
  Tensor<T> operator()(const Tensor<T>& x) const { return adaptive_avg_pool2d(x, size); }
  void visit(auto&&) {}

  Pair size = 1;
};

/// Mean over all positions, (N, ..., C) -> (N, C).
template <Scalar T>
struct GlobalAvgPool {
  Tensor<T> operator()(const Tensor<T>& x) const { return global_avg_pool(x); }
  void visit(auto&&) {}
};

}  // namespace gram
