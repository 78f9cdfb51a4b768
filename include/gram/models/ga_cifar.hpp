// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/cifar_trunk.hpp"
#include "gram/nn/classifier_heads.hpp"
#include "gram/nn/module.hpp"
#include "gram/ops/side_by_side.hpp"

namespace gram {

/// GA-ResNet for 32 x 32 images (Ryu et al., ICCV 2023, tables 1, C and D): the outputs of all blocks of a
/// CIFAR ResNet, averaged to the size of the last map and concatenated; each head has a 1x1 convolution of
/// its own on them, in `cardinality` groups to `dim` channels, with batch norm and ReLU ("aggregate.K"), and
/// a Gramian head behind that. The defaults are the rows of table C; sizes the paper leaves open are the
/// simplest that meet its totals. x (N, 32, 32, 3) -> the logits (N, classes) of every head.
template <Scalar T>
struct GaCifar {
  struct Options {
    Index classes = 100, heads = 1;
    HeadKind head = HeadKind::gram;
    typename CifarTrunk<T>::Options trunk{};
    Index cardinality = 8, dim = 128;
    Index gram_dim = 16, contraction_groups = 8, embedding_groups = 8;
    Index embed = 8, attention_heads = 8, mlp_groups = 8;
    double mlp_ratio = 1;
  };

  GaCifar(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        heads(o.head, o.heads,
              {.channels = o.dim,
               .classes = o.classes,
               .gram_dim = o.gram_dim,
               .contraction_groups = o.contraction_groups,
               .embedding_groups = o.embedding_groups,
               .embed = o.embed,
               .attention_heads = o.attention_heads,
               .mlp_ratio = o.mlp_ratio,
               .mlp_groups = o.mlp_groups},
              rng) {
    for (Index i = 0; i < o.heads; ++i)
      aggregate.emplace_back(typename Pointwise<T>::Options{.in = trunk.channels,
                                                            .out = o.dim,
                                                            .groups = o.cardinality,
                                                            .bias = false,
                                                            .init = Init::kaiming_fan_out},
                             rng);
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    SideBySide<T> outputs(trunk.all_outputs(x.shape()), x.device());
    trunk(x, [&](const Tensor<T>& y) { outputs.add(y); });
    const Tensor<T> all = outputs.result();
    std::vector<Tensor<T>> maps;
    for (const PointwiseNorm<T>& layer : aggregate) maps.push_back(layer.relu(all));
    return heads(maps);
  }
  void visit(auto&& parts) { trunk.visit(parts), parts("aggregate", aggregate), heads.visit(parts); }

  CifarTrunk<T> trunk;
  LayerList<PointwiseNorm<T>> aggregate;
  ClassifierHeads<T> heads;
};

}  // namespace gram
