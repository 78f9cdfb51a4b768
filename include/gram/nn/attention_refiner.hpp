// SPDX-License-Identifier: MIT
// Refining attention maps as if they were images with a channel for each head (Zhou et al., "Refiner:
// Refining self-attention for vision transformers", arXiv:2106.03714).
#pragma once
#include <optional>

#include "gram/nn/batch_norm.hpp"
#include "gram/nn/conv2d.hpp"
#include "gram/nn/pointwise.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// Attention expansion and distributed local attention (arXiv:2106.03714, sections 3.1 and 3.2) on the maps
/// of h heads, x (N, Lq, Lk, h):
///     y = x + bn3(conv_pro(z)),   z = relu6(bn2(depth_sep_conv(u))),   u = relu6(bn1(conv_exp(x))),
/// with 1x1 convolutions h -> e h and e h -> h and a depthwise 3x3 one between them, none with a bias; for
/// e = 1, u = x. A class token's row and column are treated as all others. Throws ArgumentError when heads or
/// expansion is not positive.
template <Scalar T>
struct DistributedLocalAttention {
  struct Options {
    Index heads = 0;
    Index expansion = 3;  ///< e
  };

  DistributedLocalAttention(const Options& o, Rng& rng)
      : depth_sep_conv(
            {.in = width(o), .out = width(o), .kernel = 3, .padding = 1, .groups = width(o), .bias = false},
            rng),
        bn2({.channels = width(o)}),
        conv_pro({.in = width(o), .out = o.heads, .bias = false}, rng),
        bn3({.channels = o.heads}) {
    if (o.expansion == 1) return;
    conv_exp.emplace(typename Pointwise<T>::Options{.in = o.heads, .out = width(o), .bias = false}, rng);
    bn1.emplace(typename BatchNorm2d<T>::Options{.channels = width(o)});
  }

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Tensor<T> u = conv_exp ? bn1->relu6((*conv_exp)(x)) : x;
    return bn3(conv_pro(bn2.relu6(depth_sep_conv(u))), x);
  }
  void visit(auto&& parts) {
    parts("conv_exp", conv_exp), parts("bn1", bn1);
    parts("depth_sep_conv", depth_sep_conv), parts("bn2", bn2);
    parts("conv_pro", conv_pro), parts("bn3", bn3);
  }

  std::optional<Pointwise<T>> conv_exp;
  std::optional<BatchNorm2d<T>> bn1;
  Conv2d<T> depth_sep_conv;
  BatchNorm2d<T> bn2;
  Pointwise<T> conv_pro;
  BatchNorm2d<T> bn3;

 private:
  static Index width(const Options& o) {
    require<ArgumentError>(o.heads > 0 && o.expansion > 0, "DistributedLocalAttention: ", o.heads,
                           " heads, expansion ", o.expansion, "; both must be positive");
    return o.heads * o.expansion;
  }
};

/// R = adapt_bn(DLA(A)): maps A (N, h, Lq, Lk), as attention_map() makes them, refined; R has the same shape,
/// and its rows need not add up to one. The layout is changed once before and once after the convolutions.
/// Throws ShapeError unless A has h heads.
template <Scalar T>
struct AttentionRefiner {
  using Options = typename DistributedLocalAttention<T>::Options;

  AttentionRefiner(const Options& o, Rng& rng) : dla(o, rng), adapt_bn({.channels = o.heads}) {}

  Tensor<T> operator()(const Tensor<T>& map) const {
    const Index heads = adapt_bn.weight.dim(0);
    located(dla.conv_pro.weight, [&] {
      require(map.rank() == 4 && map.dim(1) == heads, "AttentionRefiner: map has shape ", map.shape(),
              ", but (N, ", heads, ", Lq, Lk) is expected");
    });
    return permute(adapt_bn(dla(permute(map, {0, 2, 3, 1}))), {0, 3, 1, 2});
  }
  void visit(auto&& parts) { parts("DLA", dla), parts("adapt_bn", adapt_bn); }

  DistributedLocalAttention<T> dla;
  BatchNorm2d<T> adapt_bn;
};

}  // namespace gram
