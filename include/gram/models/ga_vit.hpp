// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/vit.hpp"
#include "gram/nn/classifier_heads.hpp"

namespace gram {

/// GA-ViT: a vision transformer without class token whose normalised tokens, as a map, feed Gramian heads
/// (Ryu et al., ICCV 2023). The defaults are GA-ViT-S as it was rebuilt from the published totals: 27.70 M
/// parameters, 4.30 G multiply- accumulates at 224 x 224. x (N, H, W, 3) -> the logits (N, classes) of every
/// head.
template <Scalar T>
struct GaVit {
  struct Options {
    Index classes = 1000, heads = 5;
    HeadKind head = HeadKind::gram;
    typename VitTrunk<T>::Options trunk{};
    Index gram_dim = 96, contraction_groups = 8, embedding_groups = 24;
    Index embed = 96, attention_heads = 8, mlp_groups = 2;
    double mlp_ratio = 4;
  };

  GaVit(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        heads(o.head, o.heads,
              {.channels = o.trunk.channels,
               .classes = o.classes,
               .gram_dim = o.gram_dim,
               .contraction_groups = o.contraction_groups,
               .embedding_groups = o.embedding_groups,
               .embed = o.embed,
               .attention_heads = o.attention_heads,
               .mlp_ratio = o.mlp_ratio,
               .mlp_groups = o.mlp_groups},
              rng) {
    require<ArgumentError>(!o.trunk.class_token,
                           "GaVit: the trunk has a class token; the heads make their own");
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    const Tensor<T> tokens = trunk(image);
    const Index patch = trunk.patch_embed.proj.options.stride.h;
    return heads(reshape(tokens, {image.dim(0), trunk.size.h / patch, trunk.size.w / patch, tokens.dim(2)}));
  }
  void visit(auto&& parts) { trunk.visit(parts), heads.visit(parts); }

  VitTrunk<T> trunk;
  ClassifierHeads<T> heads;
};

}  // namespace gram
