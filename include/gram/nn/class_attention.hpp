// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/grouped_mlp.hpp"
#include "gram/nn/layer_norm.hpp"
#include "gram/nn/linear.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/attention.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// Attention with the class token as the only query (arXiv:2103.17239, section 3), x (N, 1 + L, C) with the
/// class token first -> (N, 1, C):  proj(softmax(q k^T / sqrt(d)) v), q from the class token, k and v from
/// all tokens, in `heads` heads of d = embed/heads channels. Names are those of timm's CaiT. Throws
/// ArgumentError when heads does not divide embed.
template <Scalar T>
struct ClassAttention {
  struct Options {
    Index channels = 0, embed = 0, heads = 1;
    bool qkv_bias = false;
    Init init = Init::pytorch;
  };

  ClassAttention(const Options& o, Rng& rng)
      : q({.in = o.channels, .out = o.embed, .bias = o.qkv_bias, .init = o.init}, rng),
        k({.in = o.channels, .out = o.embed, .bias = o.qkv_bias, .init = o.init}, rng),
        v({.in = o.channels, .out = o.embed, .bias = o.qkv_bias, .init = o.init}, rng),
        proj({.in = o.embed, .out = o.channels, .init = o.init}, rng),
        heads(o.heads) {
    require<ArgumentError>(o.heads > 0 && o.embed % o.heads == 0, "ClassAttention: ", o.heads,
                           " attention heads; they must divide the width ", o.embed);
  }

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Tensor<T> query = q(slice(x, 1, 0, 1)), keys = k(x), values = v(x);
    const Tensor<T> mixed =
        located(q.weight, [&] { return attention(query, keys, values, AttentionOptions{.heads = heads}); });
    log_mixing(x.dim(0), x.dim(1));
    return proj(mixed);
  }
  /// Writes the products of queries, keys and values into the open log, if any.
  void log_mixing(Index images, Index tokens) const {
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(layer_path(q.weight.name)),
                .kind = "attention",
                .output = {images, 1, q.weight.dim(0)},
                .matmuls = 2 * images * tokens * q.weight.dim(0)});
  }
  void visit(auto&& parts) { parts("q", q), parts("k", k), parts("v", v), parts("proj", proj); }

  Linear<T> q, k, v, proj;
  Index heads;
};

/// One layer of class attention with layer scale. Only the class token y (N, 1, C) changes, tokens x (N, L,
/// C) are read:
///     y <- y + gamma_1 attn(norm1([y, x])),   y <- y + gamma_2 mlp(norm2(y)),   the MLP in groups with a
///     shuffle.
/// Source: Ryu et al., "Gramian attention heads are strong yet efficient vision learners", ICCV 2023,
/// section 3.
template <Scalar T>
struct ClassAttentionBlock {
  struct Options {
    Index channels = 0, embed = 0, heads = 8;
    bool qkv_bias = false;
    double mlp_ratio = 4;
    Index mlp_groups = 1;
    double layer_scale = 1e-4;  ///< first value of gamma_1 and gamma_2
    double epsilon = 1e-5;      ///< of both layer norms
    Init init = Init::truncated_normal;
    Init pointwise_init = init;  ///< of the MLP, whose layers are 1x1 convolutions in files
  };

  ClassAttentionBlock(const Options& o, Rng& rng)
      : norm1({.channels = o.channels, .epsilon = o.epsilon}),
        attn({.channels = o.channels,
              .embed = o.embed,
              .heads = o.heads,
              .qkv_bias = o.qkv_bias,
              .init = o.init},
             rng),
        norm2({.channels = o.channels, .epsilon = o.epsilon}),
        mlp({.channels = o.channels,
             .hidden = static_cast<Index>(static_cast<double>(o.channels) * o.mlp_ratio),
             .groups = o.mlp_groups,
             .init = o.pointwise_init},
            rng),
        gamma_1(full(Shape{o.channels}, static_cast<T>(o.layer_scale))),
        gamma_2(full(Shape{o.channels}, static_cast<T>(o.layer_scale))) {}

  Tensor<T> operator()(const Tensor<T>& y, const Tensor<T>& x) const {
    return after_attention(y, attn(norm1(concat<T>({y, x}, 1))));
  }
  /// What follows the attention: the scaled sum, then the MLP's. y and attended have one shape (..., C).
  Tensor<T> after_attention(const Tensor<T>& y, const Tensor<T>& attended) const {
    const Tensor<T> sum = add(y, mul(attended, gamma_1));
    return add(sum, mul(mlp(norm2(sum)), gamma_2));
  }
  void visit(auto&& parts) {
    parts("norm1", norm1), parts("attn", attn), parts("norm2", norm2), parts("mlp", mlp);
    parts("gamma_1", gamma_1), parts("gamma_2", gamma_2);
  }

  LayerNorm<T> norm1;
  ClassAttention<T> attn;
  LayerNorm<T> norm2;
  GroupedMlp<T> mlp;
  Parameter<T> gamma_1, gamma_2;
};

}  // namespace gram
