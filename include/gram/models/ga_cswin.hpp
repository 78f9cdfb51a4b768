// SPDX-License-Identifier: MIT
#pragma once
#include "gram/models/cswin.hpp"
#include "gram/models/features.hpp"
#include "gram/models/resnet_blocks.hpp"
#include "gram/nn/classifier_heads.hpp"

namespace gram {

/// Stage 5 of GA-CSWin: a 1x1 convolution and layer norm, "1", and a CSWin block, "2", over the maps of all
/// stages side by side. x (N, H, W, in) -> (N, H, W, channels).
template <Scalar T>
struct CswinFusion {
  CswinFusion(Index in, const typename CswinBlock<T>::Options& o, Rng& rng)
      : contraction({.in = in, .out = o.channels}, rng), block(o, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) { return block(contraction(x)); }
  void visit(auto&& parts) { parts("1", contraction), parts("2", block); }

  ConvLayerNorm<T, Pointwise<T>> contraction;
  CswinBlock<T> block;
};

/// GA-CSWin: a CSWin whose maps, some of them from inside stage 3, are fused by a stage 5, and Gramian heads
/// on its output with a CSWin block in front of their Gram matrices (Ryu et al., ICCV 2023). The class is
/// released, its configurations are not: the defaults are GA-CSWin-T as it was rebuilt from the published
/// totals, 41.99 M parameters and 6.11 G multiply-accumulates at 224 x 224. x (N, H, W, 3) -> the logits
/// (N, classes) of every head.
template <Scalar T>
struct GaCswin {
  enum class Fusion {
    cswin,       ///< 1x1 convolution, layer norm and CSWin block
    bottleneck,  ///< the bottleneck block of GA-ConvNeXt
  };
  struct Options {
    Index classes = 1000, heads = 5;
    HeadKind head = HeadKind::gram;
    /// drop_path is that of stage 5 and of the blocks in the heads, too.
    typename CswinTrunk<T>::Options trunk{.deep_stem = true, .intermediates = 1};
    Fusion fusion = Fusion::cswin;
    Index stage5_heads = 16, stage5_mlp_groups = 2;
    double stage5_mlp_ratio = 4;
    Index split = 7;  ///< width of the stripes in stage 5 and in the heads
    Index gram_dim = 192, contraction_groups = 8, embedding_groups = 8;
    Index gram_layer_heads = 6, gram_layer_mlp_groups = 1;
    Index embed = 128, attention_heads = 8, mlp_groups = 2;
    double mlp_ratio = 4;
  };

  GaCswin(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        heads(o.head, o.heads,
              {.channels = o.trunk.widths[3],
               .classes = o.classes,
               .gram_dim = o.gram_dim,
               .contraction_groups = o.contraction_groups,
               .embedding_groups = o.embedding_groups,
               .embed = o.embed,
               .attention_heads = o.attention_heads,
               .mlp_ratio = o.mlp_ratio,
               .mlp_groups = o.mlp_groups,
               .pointwise_init = Init::pytorch,
               .layer = {.heads = o.gram_layer_heads,
                         .split = o.split,
                         .whole = is_whole(o),
                         .mlp_groups = o.gram_layer_mlp_groups,
                         .drop_path = o.trunk.drop_path}},
              rng) {
    const Index in = total_channels(trunk.channels()), width = o.trunk.widths[3];
    if (o.fusion == Fusion::cswin)
      stage5.emplace(in,
                     typename CswinBlock<T>::Options{.channels = width,
                                                     .heads = o.stage5_heads,
                                                     .split = o.split,
                                                     .whole = is_whole(o),
                                                     .mlp_ratio = o.stage5_mlp_ratio,
                                                     .mlp_groups = o.stage5_mlp_groups,
                                                     .drop_path = o.trunk.drop_path,
                                                     .init = o.trunk.init},
                     rng);
    else
      bottleneck.emplace(
          typename Bottleneck<T>::Options{.in = in,
                                          .width = width / 4,
                                          .out = width,
                                          .reduced = rounded_to_eight(static_cast<double>(width) / 16),
                                          .shortcut = true,
                                          .shortcut_bias = true,
                                          .last_norm = 1,
                                          .drop_path = o.trunk.drop_path,
                                          .init = Init::pytorch},
          rng);
    name_parameters(*this);
  }

  /// The heads read the fused maps of all stages, brought to the size of the third.
  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    const Tensor<T> maps = aggregate(trunk(image), trunk.reference());
    return heads(stage5 ? (*stage5)(maps) : (*bottleneck)(maps));
  }
  void visit(auto&& parts) {
    trunk.visit(parts), parts("stage5", stage5), parts("stage5", bottleneck), heads.visit(parts);
  }

  CswinTrunk<T> trunk;
  std::optional<CswinFusion<T>> stage5;
  std::optional<Bottleneck<T>> bottleneck;
  ClassifierHeads<T, CswinGramLayer<T>> heads;

 private:
  /// Stage 5 and the heads work on maps of stage 3's size.
  static bool is_whole(const Options& o) {
    typename CswinTrunk<T>::Options like = o.trunk;
    like.splits[2] = o.split;
    return CswinTrunk<T>::is_whole(like, 2);
  }
};

}  // namespace gram
