// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/convnext.hpp"
#include "gram/models/features.hpp"
#include "gram/models/resnet_blocks.hpp"
#include "gram/nn/classifier_heads.hpp"

namespace gram {

/// GA-ConvNeXt: a ConvNeXt whose maps, some of them from inside stage 3, are fused by a bottleneck block as
/// stage 5, and Gramian heads on its output with a ConvNeXt block in front of their Gram matrices (Ryu et
/// al., ICCV 2023). Defaults are ga_convnext_tiny_688 of the released code: 47.82 M parameters, 5.45 G
/// multiply-accumulates at 224 x 224. x (N, H, W, 3) -> the logits (N, classes) of every head. Maps are put
/// side by side at the size of stage 3, so that images may have any size; the released code fixes that size
/// to 14 x 14, which is the same for images of 224 x 224.
template <Scalar T>
struct GaConvNext {
  using Trunk = ConvNextTrunk<T>;
  struct Options {
    Index classes = 1000, heads = 5;
    HeadKind head = HeadKind::gram;
    /// drop_path is that of stage 5 and of the blocks in the heads, which end its growth.
    typename Trunk::Options trunk{.widths = {96, 192, 384, 688}, .intermediates = 2};
    Index fuse_out = 688;  ///< of stage 5, which is four times as narrow inside
    Index gram_dim = 192, contraction_groups = 1, embedding_groups = 8;
    Index embed = 168, attention_heads = 8, mlp_groups = 4;
    double mlp_ratio = 4;
  };

  GaConvNext(const Options& o, Rng& rng)
      : trunk(in_front_of_fusion(o.trunk), rng),
        fuse({.in = total_channels(trunk.channels()),
              .width = o.fuse_out / 4,
              .out = o.fuse_out,
              .reduced = rounded_to_eight(static_cast<double>(o.fuse_out) / 16),
              .shortcut = true,
              .shortcut_bias = true,
              .last_norm = 1,
              .drop_path = o.trunk.drop_path,
              .init = Init::truncated_normal,
              .se_init = Init::truncated_normal},
             rng),
        heads(o.head, o.heads,
              {.channels = o.fuse_out,
               .classes = o.classes,
               .gram_dim = o.gram_dim,
               .contraction_groups = o.contraction_groups,
               .embedding_groups = o.embedding_groups,
               .embed = o.embed,
               .attention_heads = o.attention_heads,
               .mlp_ratio = o.mlp_ratio,
               .mlp_groups = o.mlp_groups,
               .layer = {.drop_path = o.trunk.drop_path}},
              rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    return heads(fuse(aggregate(trunk(x), trunk.reference())));
  }
  void visit(auto&& parts) { trunk.visit(parts), parts("stages.4", fuse), heads.visit(parts); }

  Trunk trunk;
  Bottleneck<T> fuse;
  ClassifierHeads<T, ConvNextGramLayer<T>> heads;

 private:
  /// Stochastic depth grows over the trunk's blocks and stage 5: the last step is not the trunk's.
  static typename Trunk::Options in_front_of_fusion(typename Trunk::Options o) {
    const auto blocks = static_cast<double>(Trunk::total_blocks(o));
    o.drop_path *= (blocks - 1) / blocks;
    return o;
  }
};

}  // namespace gram
