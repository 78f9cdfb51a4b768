// SPDX-License-Identifier: MIT
#pragma once
#include <optional>

#include "gram/nn/cait_heads.hpp"
#include "gram/nn/gap_heads.hpp"
#include "gram/nn/gramian_heads.hpp"

namespace gram {

/// The kinds of classifier head a network can end with.
enum class HeadKind {
  gram,  ///< Gramian heads
  cait,  ///< class attention with a learned class token
  gap,   ///< global average pooling and a linear layer
};

/// Heads of a kind that is chosen when the network is made. Their parameters are called what they are called
/// without this.
template <Scalar T, class Layer = NoGramLayer<T>>
struct ClassifierHeads {
  /// Of all kinds; a kind reads what concerns it.
  using Options = typename GramianHead<T, Layer>::Options;

  ClassifierHeads(HeadKind kind, Index count, const Options& o, Rng& rng) {
    switch (kind) {
      case HeadKind::gram:
        gram.emplace(count, o, rng);
        break;
      case HeadKind::cait:
        cait.emplace(count,
                     typename CaitHead<T>::Options{.channels = o.channels,
                                                   .classes = o.classes,
                                                   .embed = o.embed,
                                                   .attention_heads = o.attention_heads,
                                                   .mlp_ratio = o.mlp_ratio,
                                                   .mlp_groups = o.mlp_groups,
                                                   .init = o.init},
                     rng);
        break;
      case HeadKind::gap:
        gap.emplace(count, typename GapHeads<T>::Options{.channels = o.channels, .classes = o.classes}, rng);
        break;
    }
  }

  /// Logits of every head: from one map for all heads, or from a vector with a map for each.
  template <class Maps>
  std::vector<Tensor<T>> operator()(const Maps& maps) {
    return gram ? (*gram)(maps) : cait ? (*cait)(maps) : (*gap)(maps);
  }
  void visit(auto&& parts) {
    if (gram) gram->visit(parts);
    if (cait) cait->visit(parts);
    if (gap) gap->visit(parts);
  }

  std::optional<GramianHeads<T, Layer>> gram;
  std::optional<CaitHeads<T>> cait;
  std::optional<GapHeads<T>> gap;
};

}  // namespace gram
