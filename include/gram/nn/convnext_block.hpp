// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/conv2d.hpp"
#include "gram/nn/dropout.hpp"
#include "gram/nn/layer_norm.hpp"
#include "gram/nn/mlp.hpp"
#include "gram/ops/arithmetic.hpp"

namespace gram {

/// ConvNeXt block (arXiv:2201.03545, fig. 4), x (N, H, W, C):
///     x <- x + gamma mlp(norm(conv_dw(x))),
/// conv_dw a 7x7 convolution of each channel by itself, norm over the channels of a pixel, gamma one factor
/// to a channel. Names and defaults are those of timm's ConvNeXt.
template <Scalar T>
struct ConvNextBlock {
  struct Options {
    Index channels = 0;
    double mlp_ratio = 4;
    double drop_path = 0;       ///< probability of skipping the block, for each image
    double layer_scale = 1e-6;  ///< first value of gamma
    double epsilon = 1e-6;
    Init init = Init::truncated_normal;
  };

  ConvNextBlock(const Options& o, Rng& rng)
      : gamma(full(Shape{o.channels}, static_cast<T>(o.layer_scale))),
        conv_dw({.in = o.channels,
                 .out = o.channels,
                 .kernel = 7,
                 .padding = 3,
                 .groups = o.channels,
                 .init = o.init},
                rng),
        norm({.channels = o.channels, .epsilon = o.epsilon}),
        mlp({.channels = o.channels,
             .hidden = static_cast<Index>(static_cast<double>(o.channels) * o.mlp_ratio),
             .init = o.init},
            rng),
        drop_path(o.drop_path, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) { return add(x, drop_path(mul(mlp(norm(conv_dw(x))), gamma))); }
  void visit(auto&& parts) {
    parts("gamma", gamma), parts("conv_dw", conv_dw), parts("norm", norm), parts("mlp", mlp);
    parts("drop_path", drop_path);
  }

  Parameter<T> gamma;
  Conv2d<T> conv_dw;
  LayerNorm<T> norm;
  Mlp<T> mlp;
  DropPath<T> drop_path;
};

/// The layer that Gramian heads have in front of the Gram matrix in GA-ConvNeXt: one such block, called
/// "blocks.0". f (N, H, W, g) -> (N, H, W, g). Gram vectors of few images are made in double behind it, as in
/// the released code.
template <Scalar T>
struct ConvNextGramLayer {
  static constexpr bool wide = true;
  struct Options {
    double drop_path = 0;
  };

  ConvNextGramLayer(const Options& o, Index width, Rng& rng)
      : block({.channels = width, .drop_path = o.drop_path}, rng) {}

  Tensor<T> operator()(const Tensor<T>& f) { return block(f); }
  void visit(auto&& parts) { parts("blocks.0", block); }

  ConvNextBlock<T> block;
};

}  // namespace gram
