// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/conv2d.hpp"
#include "gram/nn/pointwise.hpp"

namespace gram {

/// Depthwise separable convolution (arXiv:1704.04861), x (N, H, W, I) -> y (N, H', W', O): every channel with
/// a kernel of its own, zeros of kernel / 2 around the map, then a 1x1 convolution. No biases. Names are
/// those of GroupMixFormer.
template <Scalar T>
struct SeparableConv2d {
  struct Options {
    Index in = 0, out = 0;
    Index kernel = 3, stride = 1;
  };

  SeparableConv2d(const Options& o, Rng& rng)
      : conv1({.in = o.in,
               .out = o.in,
               .kernel = o.kernel,
               .stride = o.stride,
               .padding = o.kernel / 2,
               .groups = o.in,
               .bias = false},
              rng),
        pointwise_conv({.in = o.in, .out = o.out, .bias = false}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return pointwise_conv(conv1(x)); }
  void visit(auto&& parts) { parts("conv1", conv1), parts("pointwise_conv", pointwise_conv); }

  Conv2d<T> conv1;
  Pointwise<T> pointwise_conv;
};

}  // namespace gram
