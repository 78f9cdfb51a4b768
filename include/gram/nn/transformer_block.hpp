// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/attention.hpp"
#include "gram/nn/layer_norm.hpp"
#include "gram/nn/mlp.hpp"

namespace gram {

/// Pre-norm transformer block (arXiv:2010.11929, eq. 2 and 3), x (N, L, C):
///     x <- x + attn(norm1(x)),   x <- x + mlp(norm2(x)).    Names and defaults are those of timm's ViT.
template <Scalar T>
struct TransformerBlock {
  struct Options {
    Index channels = 0, heads = 1;
    double mlp_ratio = 4;
    bool qkv_bias = true;
    double drop = 0;       ///< dropout behind the attention's projection and the MLP
    double drop_path = 0;  ///< probability of skipping a branch, for each image
    double epsilon = 1e-6;
    Init init = Init::truncated_normal;
  };

  TransformerBlock(const Options& o, Rng& rng)
      : norm1({.channels = o.channels, .epsilon = o.epsilon}),
        attn({.channels = o.channels,
              .heads = o.heads,
              .qkv_bias = o.qkv_bias,
              .drop = o.drop,
              .init = o.init},
             rng),
        norm2({.channels = o.channels, .epsilon = o.epsilon}),
        mlp({.channels = o.channels,
             .hidden = static_cast<Index>(static_cast<double>(o.channels) * o.mlp_ratio),
             .init = o.init},
            rng),
        drop(o.drop, rng),
        drop_path1(o.drop_path, rng),
        drop_path2(o.drop_path, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) {
    const Tensor<T> y = drop_path1.join(x, attn, norm1(x));
    if (drop.active()) return add(y, drop_path2(drop(mlp(norm2(y)))));
    return drop_path2.join(y, mlp, norm2(y));
  }
  void visit(auto&& parts) {
    parts("norm1", norm1), parts("attn", attn), parts("drop_path1", drop_path1);
    parts("norm2", norm2), parts("mlp", mlp), parts("drop", drop), parts("drop_path2", drop_path2);
  }

  LayerNorm<T> norm1;
  MultiHeadAttention<T> attn;
  LayerNorm<T> norm2;
  Mlp<T> mlp;
  Dropout<T> drop;
  DropPath<T> drop_path1, drop_path2;
};

}  // namespace gram
