// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/fused_class_attention.hpp"
#include "gram/nn/fused_pointwise.hpp"
#include "gram/nn/gramian_head.hpp"

namespace gram {

/// Several Gramian heads computed together: the same function as so many GramianHead, at a fraction of its
/// cost. One product contracts the map for all heads, and the class attention of all heads is re-associated
/// so that keys and values are never formed. What follows reads each head's weights once for the whole batch
/// and runs head after head. Weights carry the names of the released code: gram_contraction.K.0,
/// gram_embedding.K.1, ga.K.attn.q, fc.K, ... Returns the logits (N, classes) of every head.
template <Scalar T, class Layer = NoGramLayer<T>>
struct GramianHeads {
  using Head = GramianHead<T, Layer>;
  using Options = typename Head::Options;

  GramianHeads(Index count, const Options& o, Rng& rng) {
    require<ArgumentError>(count > 0, "GramianHeads: ", count, " heads; at least one is needed");
    for (Index i = 0; i < count; ++i) heads.emplace_back(o, rng);
  }

  /// All heads read one map x (N, H, W, C).
  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    std::vector<Tensor<T>> queries;
    const std::vector<Tensor<T>> contracted = pointwise_together(
        heads, [](const Head& head) -> const Pointwise<T>& { return head.gram_contraction.conv; }, x);
    for (std::size_t i = 0; i < heads.size(); ++i)
      queries.push_back(heads[i].query(heads[i].gram_contraction.norm(contracted[i])));
    return classify_together(heads, x, queries);
  }
  /// Head i reads maps[i].
  std::vector<Tensor<T>> operator()(const std::vector<Tensor<T>>& maps) {
    require<ArgumentError>(maps.size() == heads.size(), "GramianHeads: ", maps.size(), " maps for ",
                           heads.size(), " heads");
    std::vector<Tensor<T>> queries;
    for (std::size_t i = 0; i < heads.size(); ++i)
      queries.push_back(heads[i].query(heads[i].gram_contraction(maps[i])));
    return classify_each(heads, maps, queries);
  }
  void visit(auto&& parts) {
    for (std::size_t i = 0; i < heads.size(); ++i)
      heads[i].visit([&](std::string_view name, auto& part) { parts(text(name, ".", i), part); });
  }

  LayerList<Head> heads;
};

}  // namespace gram
