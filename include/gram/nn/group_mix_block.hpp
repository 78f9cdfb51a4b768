// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/dropout.hpp"
#include "gram/nn/group_mix_attention.hpp"
#include "gram/nn/mlp.hpp"

namespace gram {

/// A block of GroupMixFormer (arXiv:2311.15157, figure 3), x (N, H, W, C):
///     x <- cpe(x),   x <- x + att(norm1(x)),   x <- x + mlp(norm2(x)).
/// Names are those of the released code. Throws ArgumentError unless C is a multiple of ten.
template <Scalar T>
struct GroupMixBlock {
  struct Options {
    Index channels = 0;
    double mlp_ratio = 4;
    bool qkv_bias = true;
    double drop_path = 0;  ///< probability of skipping a branch, for each image
    double epsilon = 1e-6;
  };

  GroupMixBlock(const Options& o, Rng& rng)
      : cpe({.channels = o.channels}, rng),
        norm1({.channels = o.channels, .epsilon = o.epsilon}),
        att({.channels = o.channels, .qkv_bias = o.qkv_bias}, rng),
        norm2({.channels = o.channels, .epsilon = o.epsilon}),
        mlp({.channels = o.channels,
             .hidden = static_cast<Index>(static_cast<double>(o.channels) * o.mlp_ratio),
             .init = Init::truncated_normal},
            rng),
        drop_path1(o.drop_path, rng),
        drop_path2(o.drop_path, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) {
    const Tensor<T> placed = cpe(x);
    const Tensor<T> y = drop_path1.join(placed, att, norm1(placed));
    return drop_path2.join(y, mlp, norm2(y));
  }
  void visit(auto&& parts) {
    parts("cpe", cpe), parts("norm1", norm1), parts("att", att), parts("drop_path1", drop_path1);
    parts("norm2", norm2), parts("mlp", mlp), parts("drop_path2", drop_path2);
  }

  ConvPositionEncoding<T> cpe;
  LayerNorm<T> norm1;
  GroupMixAttention<T> att;
  LayerNorm<T> norm2;
  Mlp<T> mlp;
  DropPath<T> drop_path1, drop_path2;
};

}  // namespace gram
