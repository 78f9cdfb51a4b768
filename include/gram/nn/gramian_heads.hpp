// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/fused_class_attention.hpp"
#include "gram/nn/gramian_head.hpp"

namespace gram {

/// Several Gramian heads computed together: the same function as so many GramianHead, at a fraction of its
/// cost. One product contracts the map for all heads, and the class attention of all heads is re-associated
/// so that keys and values are never formed. What follows reads each head's weights once for the whole batch
/// and runs head after head. Weights carry the names of the released code: gram_contraction.K.0,
/// gram_embedding.K.1, ga.K.attn.q, fc.K, ... Returns the logits (N, classes) of every head.
template <Scalar T>
struct GramianHeads {
  using Options = typename GramianHead<T>::Options;

  GramianHeads(Index count, const Options& o, Rng& rng) {
    require<ArgumentError>(count > 0, "GramianHeads: ", count, " heads; at least one is needed");
    for (Index i = 0; i < count; ++i) heads.emplace_back(o, rng);
  }

  /// All heads read one map x (N, H, W, C).
  std::vector<Tensor<T>> operator()(const Tensor<T>& x) const {
    std::vector<Tensor<T>> queries;
    const std::vector<Tensor<T>> contracted = contract(x);
    for (std::size_t i = 0; i < heads.size(); ++i)
      queries.push_back(heads[i].query(heads[i].gram_contraction.norm(contracted[i])));
    return classify_together(heads, x, queries);
  }
  /// Head i reads maps[i].
  std::vector<Tensor<T>> operator()(const std::vector<Tensor<T>>& maps) const {
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

  std::vector<GramianHead<T>> heads;

 private:
  /// The contractions of all heads, each (N, H, W, g), by one product with the weights of all heads side by
  /// side.
  std::vector<Tensor<T>> contract(const Tensor<T>& x) const {
    const Pointwise<T>& first = heads[0].gram_contraction.conv;
    const Index count = static_cast<Index>(heads.size());
    if (count == 1) return {first(x)};
    const Index groups = first.groups, g = first.weight.dim(0), in = first.weight.dim(1);
    std::vector<Tensor<T>> weights, biases;  // of group j: the rows of head 0, of head 1, ..
    for (const GramianHead<T>& head : heads) {
      const Pointwise<T>& conv = head.gram_contraction.conv;
      weights.push_back(reshape(conv.weight, {groups, g / groups, in}));
      biases.push_back(reshape(conv.bias, {groups, g / groups}));
    }
    const Tensor<T> weight = reshape(concat(weights, 1), {count * g, in});
    const Tensor<T> bias = reshape(concat(biases, 1), {count * g});
    const Tensor<T> y = located(first.weight, [&] {
      return groups == 1 ? linear(x, weight, bias) : grouped_linear(x, weight, bias, groups);
    });
    // (N H W, groups, heads, g / groups) -> heads, each with its channels together
    const Tensor<T> sorted = permute(reshape(y, {-1, groups, count, g / groups}), {2, 0, 1, 3});
    std::vector<Tensor<T>> parts;
    for (Index i = 0; i < count; ++i) {
      parts.push_back(reshape(rows(sorted, i, i + 1), x.shape().with(-1, g)));
      heads[static_cast<std::size_t>(i)].gram_contraction.conv.log(parts.back().shape());
    }
    return parts;
  }
};

}  // namespace gram
