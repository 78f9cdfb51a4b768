// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/batch_norm.hpp"
#include "gram/nn/class_attention.hpp"
#include "gram/ops/cast.hpp"
#include "gram/ops/gram.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// A 1x1 convolution "0" and the batch norm "1" behind it, x (..., I) -> (..., O).
template <Scalar T>
struct PointwiseNorm {
  PointwiseNorm(const typename Pointwise<T>::Options& o, Rng& rng)
      : conv(o, rng), norm({.channels = o.out}) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return norm(conv, x); }
  /// max(0, norm(conv(x)))
  Tensor<T> relu(const Tensor<T>& x) const { return norm.relu(conv, x); }
  void visit(auto&& parts) { parts("0", conv), parts("1", norm); }

  Pointwise<T> conv;
  BatchNorm2d<T> norm;
};

/// No layer between contraction and Gram matrix. Another one is a struct with Options, made from (options,
/// width, rng), that maps f (N, H, W, width) to the same shape; its parts are called gram_layer.K.<part>.
/// With `static constexpr bool wide = true` Gram vectors behind it are made in double while training with
/// fewer than 128 images.
template <Scalar T>
struct NoGramLayer {
  struct Options {};

  NoGramLayer(const Options&, Index, Rng&) {}
  Tensor<T> operator()(const Tensor<T>& f) const { return f; }
  void visit(auto&&) {}
};

/// One Gramian classifier head in the textbook form, x (N, H, W, C) -> logits (N, classes):
///     f = layer(norm(contraction(x))) (N, H, W, g),    v = gram_vector(f) (N, g (g + 1) / 2),
///     q = norm(embedding(v)) (N, C),    q <- class-attention block with q as class token and the pixels of x
///     as tokens,    logits = fc(q).
/// The contraction and embedding norms have no activation. GramianHeads computes several of these at once.
/// Source: Ryu et al., "Gramian attention heads are strong yet efficient vision learners", ICCV 2023,
/// section 3.
template <Scalar T, class Layer = NoGramLayer<T>>
struct GramianHead {
  struct Options {
    Index channels = 0, classes = 0;
    Index gram_dim = 128;  ///< g
    Index contraction_groups = 8, embedding_groups = 8;
    Index embed = 0;  ///< width of the class attention's queries, keys and values
    Index attention_heads = 8;
    double mlp_ratio = 4;
    Index mlp_groups = 4;
    Init init = Init::truncated_normal;
    Init pointwise_init = init;  ///< of contraction, embedding and MLP, which are 1x1 convolutions in files
    typename Layer::Options layer{};
  };

  GramianHead(const Options& o, Rng& rng)
      : gram_contraction(
            {.in = o.channels, .out = o.gram_dim, .groups = o.contraction_groups, .init = o.pointwise_init},
            rng),
        gram_layer(o.layer, o.gram_dim, rng),
        gram_embedding({.in = o.gram_dim * (o.gram_dim + 1) / 2,
                        .out = o.channels,
                        .groups = o.embedding_groups,
                        .init = o.pointwise_init},
                       rng),
        ga({.channels = o.channels,
            .embed = o.embed,
            .heads = o.attention_heads,
            .mlp_ratio = o.mlp_ratio,
            .mlp_groups = o.mlp_groups,
            .init = o.init,
            .pointwise_init = o.pointwise_init},
           rng),
        fc({.in = o.channels, .out = o.classes, .init = o.init}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) {
    const Index N = x.dim(0), C = x.dim(-1);
    const Tensor<T> q = reshape(query(gram_contraction(x)), {N, 1, C});
    const Tensor<T> y = ga(q, reshape(x, {N, -1, C}));
    return fc(reshape(y, {N, C}));
  }
  /// The class token (N, C) from the contracted map (N, H, W, g): embedding of the normalised Gram vector.
  Tensor<T> query(const Tensor<T>& contracted) {
    const Tensor<T> f = gram_layer(contracted);
    const Tensor<T> v = located(gram_contraction.conv.weight, [&] {
      if constexpr (requires { requires Layer::wide; })
        if (gram_contraction.norm.mode.training && f.dim(0) < 128)
          return cast<T>(gram_vector(cast<double>(f)));
      return gram_vector(f);
    });
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(layer_path(gram_contraction.conv.weight.name)),
                .kind = "Gram",
                .output = v.shape(),
                .matmuls = f.size() * f.dim(-1),
                .executed = f.size() * (f.dim(-1) + 1) / 2});
    return gram_embedding(v);
  }
  void visit(auto&& parts) {
    parts("gram_contraction", gram_contraction), parts("gram_layer", gram_layer);
    parts("gram_embedding", gram_embedding), parts("ga", ga), parts("fc", fc);
  }

  PointwiseNorm<T> gram_contraction;
  Layer gram_layer;
  PointwiseNorm<T> gram_embedding;
  ClassAttentionBlock<T> ga;
  Linear<T> fc;
};

}  // namespace gram
