// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/features.hpp"
#include "gram/models/resnet.hpp"
#include "gram/nn/classifier_heads.hpp"

namespace gram {

/// GA-ResNet: a ResNet-D with squeeze-and-excitation whose last stage is narrow, a fusion block over the maps
/// of all stages, and Gramian heads on its output (Ryu et al., ICCV 2023). The defaults are GA-ResNet50 as it
/// was rebuilt from the published totals: 41.29 M parameters, 5.20 G multiply-accumulates at 224 x 224. x (N,
/// H, W, 3), H and W multiples of 32 -> the logits (N, classes) of every head.
template <Scalar T>
struct GaResNet {
  struct Options {
    Index classes = 1000, heads = 5;
    HeadKind head = HeadKind::gram;
    typename ResNetTrunk<T>::Options trunk{
        .widths = {64, 128, 256, 256}, .outputs = {256, 512, 1024, 1024}, .deep = true, .se_ratio = 1.0 / 8};
    Index fuse_width = 256, fuse_out = 1024;
    double fuse_se_ratio = 1.0 / 4;
    Index gram_dim = 128, contraction_groups = 8, embedding_groups = 16;
    Index embed = 256, attention_heads = 8, mlp_groups = 4;
    double mlp_ratio = 4;
  };

  GaResNet(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        fuse({.in = o.trunk.outputs[0] + o.trunk.outputs[1] + o.trunk.outputs[2] + o.trunk.outputs[3],
              .width = o.fuse_width,
              .out = o.fuse_out,
              .reduced = rounded_to_eight(static_cast<double>(o.fuse_width) * o.fuse_se_ratio),
              .shortcut = true},
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
               .mlp_groups = o.mlp_groups},
              rng) {
    name_parameters(*this);
  }

  /// The heads read the fused maps of all stages, brought to the size of the third.
  std::vector<Tensor<T>> operator()(const Tensor<T>& x) { return heads(fuse(aggregate(trunk(x), 2))); }
  void visit(auto&& parts) { trunk.visit(parts), parts("fuse", fuse), heads.visit(parts); }

  ResNetTrunk<T> trunk;
  Bottleneck<T> fuse;
  ClassifierHeads<T> heads;
};

}  // namespace gram
