// SPDX-License-Identifier: MIT
// The transformer block of Refiner-ViT (Zhou et al., "Refiner: Refining self-attention for vision
// transformers", arXiv:2106.03714). Attention maps go from block to block beside the tokens.
#pragma once
#include "gram/nn/attention_refiner.hpp"
#include "gram/nn/dropout.hpp"
#include "gram/nn/layer_norm.hpp"
#include "gram/nn/mlp.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/attention.hpp"
#include "gram/ops/matmul.hpp"

namespace gram {

/// Where a block's attention map comes from; A' is the map of the block before, s = d^-1/2, R the refiner.
enum class RefinerAttentionKind {
  plain,      ///< A = softmax(s q k^T) + s A', without A' in the first block; hands A on
  share,      ///< s R(A'), without queries and keys; hands A' on as it came
  transform,  ///< R(A) with the A of plain; hands R(A) on
};

/// Tokens (N, L, D), and the maps (N, heads, L, L) that a block hands on to the next.
template <Scalar T>
struct TokensAndMap {
  Tensor<T> tokens, map;
};

/// Self-attention on maps that are refined, handed on and reused: proj(map v), x (N, L, D). q, k and v, or v
/// alone, are `qkv` of x; heads of d = D / heads channels. Throws ArgumentError when heads does not divide D,
/// ShapeError when the incoming map does not fit or when a share block gets none.
template <Scalar T>
struct RefinerAttention {
  struct Options {
    Index channels = 0, heads = 1;
    RefinerAttentionKind kind = RefinerAttentionKind::plain;
    Index expansion = 3;  ///< of the refiner
    bool qkv_bias = true;
    Init init = Init::truncated_normal;
  };

  RefinerAttention(const Options& o, Rng& rng)
      : qkv({.in = o.channels,
             .out = o.kind == RefinerAttentionKind::share ? o.channels : 3 * o.channels,
             .bias = o.qkv_bias,
             .init = o.init},
            rng),
        proj({.in = o.channels, .out = o.channels, .init = o.init}, rng),
        heads(o.heads),
        kind(o.kind) {
    require<ArgumentError>(o.heads > 0 && o.channels % o.heads == 0, "RefinerAttention: ", o.heads,
                           " heads; they must divide ", o.channels, " channels");
    if (o.kind != RefinerAttentionKind::plain)
      refiner.emplace(typename AttentionRefiner<T>::Options{.heads = o.heads, .expansion = o.expansion}, rng);
  }

  /// `incoming` is the map of the block before, undefined in the first one.
  TokensAndMap<T> operator()(const Tensor<T>& x, const Tensor<T>& incoming = {}) const {
    const Index N = x.dim(0), L = x.dim(1), D = x.dim(2), d = D / heads;
    const bool share = kind == RefinerAttentionKind::share;
    located(qkv.weight, [&] {
      require(
          incoming.defined() || !share,
          "RefinerAttention: there is no incoming map, but a share block reuses that of the block before");
      require(!incoming.defined() || incoming.shape() == Shape{N, heads, L, L},
              "RefinerAttention: incoming map has shape ", incoming.shape(), ", but ", heads,
              " heads and tokens ", x.shape(), share ? " need " : " need none or ", Shape{N, heads, L, L});
    });
    const double s = 1 / std::sqrt(static_cast<double>(d));
    const auto by_heads = [&](const Tensor<T>& v) {
      return permute(reshape(v, {N, L, heads, d}), {0, 2, 1, 3});
    };

    Tensor<T> map, next, v;
    if (share) {
      map = (*refiner)(incoming), next = incoming;
      v = by_heads(mul(qkv(x), s));  // s belongs to the map, which is larger
    } else {
      const std::vector<Tensor<T>> parts = split(qkv(x), {D, D, D}, 2);
      map = attention_map(parts[0], parts[1], AttentionOptions{.heads = heads});
      if (incoming.defined()) map = add(map, mul(incoming, s));
      if (refiner) map = (*refiner)(map);
      v = by_heads(parts[2]), next = map;
    }
    const Tensor<T> mixed = reshape(permute(matmul(map, v), {0, 2, 1, 3}), {N, L, D});
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(layer_path(qkv.weight.name)),
                .kind = "attention",
                .output = mixed.shape(),
                .matmuls = (share ? 1 : 2) * mixed.size() * L});
    return {proj(mixed), next};
  }
  void visit(auto&& parts) {
    if (refiner) refiner->visit(parts);
    parts("qkv", qkv), parts("proj", proj);
  }

  std::optional<AttentionRefiner<T>> refiner;  ///< its parts are called DLA and adapt_bn
  Linear<T> qkv, proj;
  Index heads;
  RefinerAttentionKind kind;
};

/// scale_channel fc2(gelu(fc1(x))) with a learned factor for every channel, 1e-5 at first. x (..., C).
template <Scalar T>
struct ScaledMlp {
  ScaledMlp(const typename Mlp<T>::Options& o, Rng& rng)
      : scale_channel(full(Shape{o.channels}, static_cast<T>(1e-5))), mlp(o, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return mul(mlp(x), scale_channel); }
  void visit(auto&& parts) { parts("scale_channel", scale_channel), mlp.visit(parts); }

  Parameter<T> scale_channel;
  Mlp<T> mlp;
};

/// x <- x + attn(norm1(a x)) / a,   x <- x + mlp(norm2(a x)) / a,   with the map of `attn` handed on beside
/// the tokens x (N, L, D). Since norms undo a, both branches weigh 1 / a. Throws ArgumentError unless
/// 0 < a; else as RefinerAttention.
template <Scalar T>
struct RefinerBlock {
  struct Options {
    Index channels = 0, heads = 1;
    RefinerAttentionKind kind = RefinerAttentionKind::plain;
    Index expansion = 3;  ///< of the refiner
    double mlp_ratio = 3;
    double adjust_ratio = 0.5;  ///< a
    double drop_path = 0;       ///< probability of skipping a branch, for each image
    double epsilon = 1e-6;
  };

  RefinerBlock(const Options& o, Rng& rng)
      : norm1({.channels = o.channels, .epsilon = norm_epsilon(o)}),
        attn({.channels = o.channels, .heads = o.heads, .kind = o.kind, .expansion = o.expansion}, rng),
        norm2({.channels = o.channels, .epsilon = norm_epsilon(o)}),
        mlp({.channels = o.channels,
             .hidden = static_cast<Index>(static_cast<double>(o.channels) * o.mlp_ratio),
             .init = Init::truncated_normal},
            rng),
        drop_path1(o.drop_path, rng),
        drop_path2(o.drop_path, rng),
        adjust_ratio(o.adjust_ratio) {}

  TokensAndMap<T> operator()(const Tensor<T>& x, const Tensor<T>& incoming = {}) {
    const auto [y, map] = attn(norm1(x), incoming);
    const Tensor<T> z = add(x, mul(drop_path1(y), 1 / adjust_ratio));
    return {add(z, mul(drop_path2(mlp(norm2(z))), 1 / adjust_ratio)), map};
  }
  void visit(auto&& parts) {
    parts("norm1", norm1), parts("attn", attn), parts("drop_path1", drop_path1);
    parts("norm2", norm2), parts("mlp", mlp), parts("drop_path2", drop_path2);
  }

  LayerNorm<T> norm1;
  RefinerAttention<T> attn;
  LayerNorm<T> norm2;
  ScaledMlp<T> mlp;
  DropPath<T> drop_path1, drop_path2;
  double adjust_ratio;

 private:
  /// The norm of a x with epsilon is that of x with epsilon / a^2: no pass over x for the factor.
  static double norm_epsilon(const Options& o) {
    require<ArgumentError>(o.adjust_ratio > 0, "RefinerBlock: adjust_ratio is ", o.adjust_ratio,
                           "; it must be positive");
    return o.epsilon / (o.adjust_ratio * o.adjust_ratio);
  }
};

}  // namespace gram
