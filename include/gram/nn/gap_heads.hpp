// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "gram/nn/linear.hpp"
#include "gram/ops/pool.hpp"

namespace gram {

/// Classifier heads of the plain kind: the mean over all positions of x (N, ..., C), then a linear layer for
/// each head; returns the logits (N, classes) of every head. A single head is called "fc", or what `name`
/// says, as in timm; several are "fc.0", "fc.1", ...
template <Scalar T>
struct GapHeads {
  struct Options {
    Index channels = 0, classes = 0;
    Init init = Init::pytorch;
    const char* name = "fc";
  };

  GapHeads(Index count, const Options& o, Rng& rng) : name(o.name) {
    require<ArgumentError>(count > 0, "GapHeads: ", count, " heads; at least one is needed");
    for (Index i = 0; i < count; ++i)
      fc.emplace_back(typename Linear<T>::Options{.in = o.channels, .out = o.classes, .init = o.init}, rng);
  }

  /// All heads read one map.
  std::vector<Tensor<T>> operator()(const Tensor<T>& x) const {
    const Tensor<T> mean = global_avg_pool(x);
    std::vector<Tensor<T>> logits;
    for (const Linear<T>& layer : fc) logits.push_back(layer(mean));
    return logits;
  }
  /// Head i reads maps[i].
  std::vector<Tensor<T>> operator()(const std::vector<Tensor<T>>& maps) const {
    require<ArgumentError>(maps.size() == fc.size(), "GapHeads: ", maps.size(), " maps for ", fc.size(),
                           " heads");
    std::vector<Tensor<T>> logits;
    for (std::size_t i = 0; i < fc.size(); ++i) logits.push_back(fc[i](global_avg_pool(maps[i])));
    return logits;
  }
  void visit(auto&& parts) {
    if (fc.size() == 1)
      parts(name, fc[0]);
    else
      parts(name, fc);
  }

  LayerList<Linear<T>> fc;
  const char* name;
};

}  // namespace gram
