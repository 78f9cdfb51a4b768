// SPDX-License-Identifier: MIT
#pragma once
#include <optional>
#include <vector>

#include "gram/nn/dropout.hpp"
#include "gram/nn/grouped_mlp.hpp"
#include "gram/nn/layer_norm.hpp"
#include "gram/nn/mlp.hpp"
#include "gram/nn/stripe_attention.hpp"

namespace gram {

/// CSWin block (arXiv:2107.00652, eq. 4), x (N, H, W, C):
///     x <- x + proj(attns(qkv(norm1(x)))),   x <- x + mlp(norm2(x)).
/// Half of the channels and attention heads attend in vertical stripes, the other half in horizontal ones,
/// which together see a cross; a `whole` block attends in the map as a whole, with all channels. Names are
/// those of the authors' code. Throws ArgumentError when channels and heads are not even, ShapeError for a
/// map that the stripes do not divide.
template <Scalar T>
struct CswinBlock {
  struct Options {
    Index channels = 0, heads = 2;
    Index split = 7;  ///< width of a stripe
    bool whole =
        false;  ///< one window instead of stripes: in the last stage, and where the map is split wide
    double mlp_ratio = 4;
    Index mlp_groups = 1;                ///< more than 1: a GroupedMlp
    double drop_path = 0;                ///< probability of skipping a branch, for each image
    Init init = Init::truncated_normal;  ///< of the linear layers
    Init conv_init = Init::pytorch;      ///< of the convolutions, those of a GroupedMlp among them
  };

  CswinBlock(const Options& o, Rng& rng)
      : qkv({.in = o.channels, .out = 3 * o.channels, .init = o.init}, rng),
        norm1({.channels = o.channels}),
        proj({.in = o.channels, .out = o.channels, .init = o.init}, rng),
        norm2({.channels = o.channels}),
        drop_path1(o.drop_path, rng),
        drop_path2(o.drop_path, rng) {
    require<ArgumentError>(o.whole || (o.channels % 2 == 0 && o.heads % 2 == 0), "CswinBlock: ", o.channels,
                           " channels and ", o.heads, " heads; both must be even for two kinds of stripes");
    const auto attend = [&](Index kinds, Stripes stripes, Index first) {
      attns.emplace_back(typename StripeAttention<T>::Options{.channels = o.channels / kinds,
                                                              .heads = o.heads / kinds,
                                                              .stripes = stripes,
                                                              .split = o.split,
                                                              .first = first,
                                                              .init = o.conv_init},
                         rng);
    };
    if (o.whole)
      attend(1, Stripes::whole, 0);
    else
      attend(2, Stripes::vertical, 0), attend(2, Stripes::horizontal, o.channels / 2);

    const auto hidden = static_cast<Index>(static_cast<double>(o.channels) * o.mlp_ratio);
    if (o.mlp_groups == 1)
      mlp.emplace(typename Mlp<T>::Options{.channels = o.channels, .hidden = hidden, .init = o.init}, rng);
    else
      grouped_mlp.emplace(
          typename GroupedMlp<T>::Options{
              .channels = o.channels, .hidden = hidden, .groups = o.mlp_groups, .init = o.conv_init},
          rng);
  }

  Tensor<T> operator()(const Tensor<T>& x) {
    const Tensor<T> y = drop_path1.join(x, proj, attend(qkv(norm1(x))));
    return mlp ? drop_path2.join(y, *mlp, norm2(y)) : drop_path2.join(y, *grouped_mlp, norm2(y));
  }
  void visit(auto&& parts) {
    parts("qkv", qkv), parts("norm1", norm1), parts("proj", proj), parts("attns", attns);
    parts("mlp", mlp), parts("mlp", grouped_mlp), parts("norm2", norm2);
    parts("drop_path1", drop_path1), parts("drop_path2", drop_path2);
  }

  Linear<T> qkv;
  LayerNorm<T> norm1;
  Linear<T> proj;
  LayerList<StripeAttention<T>> attns;
  std::optional<Mlp<T>> mlp;
  std::optional<GroupedMlp<T>> grouped_mlp;
  LayerNorm<T> norm2;
  DropPath<T> drop_path1, drop_path2;

 private:
  /// qkv (N, H, W, 3 C) -> (N, H, W, C)
  Tensor<T> attend(const Tensor<T>& packed) const {
    const Pair size(packed.dim(1), packed.dim(2));
    std::vector<Tensor<T>> mixed;
    std::vector<Pair> windows;
    for (const StripeAttention<T>& attn : attns)
      mixed.push_back(attn(packed)), windows.push_back(attn.window(size));
    return join_windows(mixed, windows, size);
  }
};

/// The layer that Gramian heads have in front of the Gram matrix in GA-CSWin: one CSWin block, called "1".
/// f (N, H, W, g) -> (N, H, W, g).
template <Scalar T>
struct CswinGramLayer {
  struct Options {
    Index heads = 6, split = 7;
    bool whole = false;
    double mlp_ratio = 4;
    Index mlp_groups = 1;
    double drop_path = 0;
  };

  CswinGramLayer(const Options& o, Index width, Rng& rng)
      : block({.channels = width,
               .heads = o.heads,
               .split = o.split,
               .whole = o.whole,
               .mlp_ratio = o.mlp_ratio,
               .mlp_groups = o.mlp_groups,
               .drop_path = o.drop_path},
              rng) {}

  Tensor<T> operator()(const Tensor<T>& f) { return block(f); }
  void visit(auto&& parts) { parts("1", block); }

  CswinBlock<T> block;
};

}  // namespace gram
