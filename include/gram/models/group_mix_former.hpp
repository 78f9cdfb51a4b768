// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <numeric>
#include <vector>

#include "gram/nn/gap_heads.hpp"
#include "gram/nn/group_mix_block.hpp"
#include "gram/nn/module.hpp"

namespace gram {

/// Two 3x3 convolutions with batch norm and hardswish, the second of stride 2, the first of what remains: x
/// (N, H, W, 3) -> (N, H / stride, W / stride, C).
template <Scalar T>
struct GroupMixStem {
  GroupMixStem(Index channels, Index stride, Rng& rng)
      : proj1({.in = 3, .out = channels / 2, .kernel = 3, .stride = stride / 2, .padding = 1}, rng),
        norm1({.channels = channels / 2}),
        proj2({.in = channels / 2, .out = channels, .kernel = 3, .stride = 2, .padding = 1}, rng),
        norm2({.channels = channels}) {}

  Tensor<T> operator()(const Tensor<T>& x) const {
    return hardswish(norm2(proj2, hardswish(norm1(proj1, x))));
  }
  void visit(auto&& parts) {
    parts("proj1", proj1), parts("norm1", norm1), parts("proj2", proj2), parts("norm2", norm2);
  }

  Conv2d<T> proj1;
  BatchNorm2d<T> norm1;
  Conv2d<T> proj2;
  BatchNorm2d<T> norm2;
};

/// The way into a stage: hardswish(norm(proj, x)), proj a separable convolution that changes width and size.
template <Scalar T>
struct GroupMixEmbed {
  GroupMixEmbed(const typename SeparableConv2d<T>::Options& o, Rng& rng)
      : proj(o, rng), norm({.channels = o.out}) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return hardswish(norm(proj(x))); }
  void visit(auto&& parts) { parts("proj", proj), parts("norm", norm); }

  SeparableConv2d<T> proj;
  BatchNorm2d<T> norm;
};

/// The blocks of a stage.
template <Scalar T>
struct GroupMixStage {
  Tensor<T> operator()(Tensor<T> x) {
    for (GroupMixBlock<T>& block : gma_stage) x = block(x);
    return x;
  }
  void visit(auto&& parts) { parts("gma_stage", gma_stage); }

  LayerList<GroupMixBlock<T>> gma_stage;
};

/// GroupMixFormer up to its last norm (arXiv:2311.15157, figure 3 and table 1), x (N, H, W, 3) -> the maps of
/// the four stages at strides 4, 8, 16 and 32, or half of that. The defaults are GroupMixFormer-T. Names are
/// those of the released code. Throws ArgumentError unless all widths are multiples of ten.
template <Scalar T>
struct GroupMixFormerTrunk {
  using value_type = T;
  struct Options {
    std::array<Index, 4> widths{80, 160, 200, 240};
    std::array<Index, 4> depths{4, 4, 12, 4};
    std::array<double, 4> mlp_ratios{4, 4, 4, 4};
    Index stem_stride = 4;  ///< 4, or 2 for small images
    double drop_path = 0;   ///< of the last block; grows from 0 with depth
  };

  GroupMixFormerTrunk(const Options& o, Rng& rng)
      : widths(o.widths), conv_stem(o.widths[0], o.stem_stride, rng) {
    require<ArgumentError>(o.stem_stride == 4 || o.stem_stride == 2, "GroupMixFormerTrunk: stem stride ",
                           o.stem_stride, "; it is 2 or 4");
    const Index total = std::accumulate(o.depths.begin(), o.depths.end(), Index{0});
    Index before = 0;
    for (std::size_t s = 0; s < 4; ++s) {
      patch_embed_layers.emplace_back(
          typename SeparableConv2d<T>::Options{
              .in = widths[s > 0 ? s - 1 : 0], .out = widths[s], .stride = s > 0 ? 2 : 1},
          rng);
      GroupMixStage<T>& stage = stages.emplace_back();
      for (Index b = 0; b < o.depths[s]; ++b, ++before)
        stage.gma_stage.emplace_back(
            typename GroupMixBlock<T>::Options{
                .channels = widths[s],
                .mlp_ratio = o.mlp_ratios[s],
                .drop_path = total > 1 ? o.drop_path * double(before) / double(total - 1) : 0},
            rng);
    }
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    Tensor<T> x = conv_stem(image);
    std::vector<Tensor<T>> maps;
    for (std::size_t s = 0; s < 4; ++s) {
      x = stages[s](patch_embed_layers[s](x));
      maps.push_back(x);
    }
    return maps;
  }
  std::vector<Index> channels() const { return {widths.begin(), widths.end()}; }
  void visit(auto&& parts) {
    parts("conv_stem", conv_stem), parts("patch_embed_layers", patch_embed_layers);
    parts("groupmixformer_backbone", stages);
  }

  std::array<Index, 4> widths;
  GroupMixStem<T> conv_stem;
  LayerList<GroupMixEmbed<T>> patch_embed_layers;
  LayerList<GroupMixStage<T>> stages;
};

/// GroupMixFormer with linear heads on the mean of the last map behind norm4: x (N, H, W, 3) -> the logits
/// (N, classes) of every head. A single head is called "head", as in the released code; several are "head.0",
/// "head.1", ... Published parameters and multiply-accumulates at 224 x 224, and those of this network
/// (convolutions, linear layers and the attention's products):
///     miny   5.7 M,  1.4 G:   5.73 M,  1.33 G        small  22.4 M,   5.2 G:  22.42 M,   5.13 G
///     tiny  11.0 M,  3.7 G:  10.95 M,  3.69 G        base   45.8 M,  17.6 G:  45.83 M,  17.43 G
///     large 70.3 M, 36.1 G:  71.83 M, 38.07 G, by a configuration that its authors mark as unfinished
template <Scalar T>
struct GroupMixFormer {
  struct Options {
    Index classes = 1000, heads = 1;
    typename GroupMixFormerTrunk<T>::Options trunk{};
  };

  GroupMixFormer(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        norm4({.channels = o.trunk.widths[3]}),
        head(o.heads,
             {.channels = o.trunk.widths[3],
              .classes = o.classes,
              .init = Init::truncated_normal,
              .name = "head"},
             rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) { return head(norm4(features(image)[3])); }
  /// The maps of the four stages, before norm4.
  std::vector<Tensor<T>> features(const Tensor<T>& image) { return trunk(image); }
  void visit(auto&& parts) { trunk.visit(parts), parts("norm4", norm4), head.visit(parts); }

  GroupMixFormerTrunk<T> trunk;
  BatchNorm2d<T> norm4;
  GapHeads<T> head;
};

}  // namespace gram
