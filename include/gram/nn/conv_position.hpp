// SPDX-License-Identifier: MIT
// Positions by depthwise convolutions, for attention that has no position embedding.
#pragma once
#include <vector>

#include "gram/nn/conv2d.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// Convolutional position encoding, x + proj(x) with a depthwise 3x3 convolution (arXiv:2102.10882,
/// arXiv:2104.06399), x (N, H, W, C).
template <Scalar T>
struct ConvPositionEncoding {
  struct Options {
    Index channels = 0;
  };

  ConvPositionEncoding(const Options& o, Rng& rng)
      : proj({.in = o.channels, .out = o.channels, .kernel = 3, .padding = 1, .groups = o.channels}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return add(x, proj(x)); }
  void visit(auto&& parts) { parts("proj", proj); }

  Conv2d<T> proj;
};

/// Convolutional relative position encoding of eight attention heads, q * conv(v) element by element
/// (arXiv:2104.06399, section 3.2): q and v (N, H, W, C), a depthwise convolution with kernel 3 for the first
/// two heads, 5 for the next three and 7 for the last three. Throws ArgumentError unless C is a multiple
/// of 8.
template <Scalar T>
struct ConvRelativePosition {
  struct Options {
    Index channels = 0;
  };

  ConvRelativePosition(const Options& o, Rng& rng) {
    require<ArgumentError>(o.channels > 0 && o.channels % 8 == 0, "ConvRelativePosition: ", o.channels,
                           " channels; a positive multiple of eight, the number of heads, is needed");
    struct Group {
      Index heads, kernel;
    };
    for (const auto& [heads, kernel] : {Group{2, 3}, Group{3, 5}, Group{3, 7}}) {
      const Index width = heads * o.channels / 8;
      conv_list.emplace_back(
          typename Conv2d<T>::Options{
              .in = width, .out = width, .kernel = kernel, .padding = kernel / 2, .groups = width},
          rng);
    }
  }

  Tensor<T> operator()(const Tensor<T>& q, const Tensor<T>& v) const {
    std::vector<Tensor<T>> parts;
    Index begin = 0;
    for (const Conv2d<T>& conv : conv_list) {
      const Index width = conv.weight.dim(0);
      parts.push_back(conv(slice(v, 3, begin, begin + width)));
      begin += width;
    }
    return mul(q, concat(parts, 3));
  }
  void visit(auto&& parts) { parts("conv_list", conv_list); }

  LayerList<Conv2d<T>> conv_list;
};

}  // namespace gram
