// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/fused_class_attention.hpp"

namespace gram {

/// One classifier head of the CaiT kind (arXiv:2103.17239), in the textbook form: as GramianHead, with a
/// learned class token in the place of the one made from the Gram vector. x (N, H, W, C) -> logits (N,
/// classes).
template <Scalar T>
struct CaitHead {
  struct Options {
    Index channels = 0, classes = 0;
    Index embed = 0;  ///< width of the class attention's queries, keys and values
    Index attention_heads = 8;
    double mlp_ratio = 4;
    Index mlp_groups = 4;
    Init init = Init::truncated_normal;
  };

  CaitHead(const Options& o, Rng& rng)
      : cls_token(init::truncated_normal<T>({1, 1, o.channels}, 0.02, rng)),
        ga({.channels = o.channels,
            .embed = o.embed,
            .heads = o.attention_heads,
            .mlp_ratio = o.mlp_ratio,
            .mlp_groups = o.mlp_groups,
            .init = o.init},
           rng),
        fc({.in = o.channels, .out = o.classes, .init = o.init}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Index N = x.dim(0), C = x.dim(-1);
    const Tensor<T> y = ga(reshape(query(N), {N, 1, C}), reshape(x, {N, -1, C}));
    return fc(reshape(y, {N, C}));
  }
  /// The class token for each image, (images, C).
  Tensor<T> query(Index images) const {
    const Index C = cls_token.dim(2);
    return add(zeros<T>({images, C}, cls_token.device()), reshape(cls_token, {1, C}));
  }
  void visit(auto&& parts) { parts("cls_token", cls_token), parts("ga", ga), parts("fc", fc); }

  Parameter<T> cls_token;
  ClassAttentionBlock<T> ga;
  Linear<T> fc;
};

/// Several of these heads, computed together: the same function, the logits (N, classes) of every head.
template <Scalar T>
struct CaitHeads {
  using Options = typename CaitHead<T>::Options;

  CaitHeads(Index count, const Options& o, Rng& rng) {
    require<ArgumentError>(count > 0, "CaitHeads: ", count, " heads; at least one is needed");
    for (Index i = 0; i < count; ++i) heads.emplace_back(o, rng);
  }

  /// All heads read one map x (N, H, W, C).
  std::vector<Tensor<T>> operator()(const Tensor<T>& x) const {
    return classify_together(heads, x, queries(x.dim(0)));
  }
  /// Head i reads maps[i].
  std::vector<Tensor<T>> operator()(const std::vector<Tensor<T>>& maps) const {
    return classify_each(heads, maps, queries(maps.at(0).dim(0)));
  }
  void visit(auto&& parts) {
    for (std::size_t i = 0; i < heads.size(); ++i) {
      heads[i].visit([&](std::string_view name, auto& part) { parts(text(name, ".", i), part); });
    }
  }

  LayerList<CaitHead<T>> heads;

 private:
  std::vector<Tensor<T>> queries(Index images) const {
    std::vector<Tensor<T>> all;
    for (const CaitHead<T>& head : heads) all.push_back(head.query(images));
    return all;
  }
};

}  // namespace gram
