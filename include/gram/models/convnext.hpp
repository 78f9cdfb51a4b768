// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <optional>

#include "gram/nn/convnext_block.hpp"
#include "gram/nn/gap_heads.hpp"
#include "gram/nn/module.hpp"

namespace gram {

/// What halves a map between two stages of a ConvNeXt: layer norm "0", then a 2x2 convolution "1" with stride
/// 2. x (N, H, W, in) -> (N, H/2, W/2, out), halves rounded down.
template <Scalar T>
struct ConvNextDownsample {
  struct Options {
    Index in = 0, out = 0;
    double epsilon = 1e-6;
    Init init = Init::truncated_normal;
  };

  ConvNextDownsample(const Options& o, Rng& rng)
      : norm({.channels = o.in, .epsilon = o.epsilon}),
        conv({.in = o.in, .out = o.out, .kernel = 2, .stride = 2, .init = o.init}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return conv(norm(x)); }
  void visit(auto&& parts) { parts("0", norm), parts("1", conv); }

  LayerNorm<T> norm;
  Conv2d<T> conv;
};

/// One stage of a ConvNeXt: a downsample where there is one, then blocks. x (N, H, W, in) -> the outputs of
/// some blocks inside the stage, then that of the last, each (N, H', W', channels). N of `depth` blocks
/// inside are those with the numbers k, 2 k, ... N k, counted from 1, with k = depth / (N + 1) rounded down.
template <Scalar T>
struct ConvNextStage {
  struct Options {
    Index in = 0, channels = 0, depth = 1;
    bool downsample = true;
    Index intermediates = 0;                   ///< N
    double drop_path = 0, drop_path_step = 0;  ///< of the first block, and growth from block to block
  };

  ConvNextStage(const Options& o, Rng& rng) : intermediates(o.intermediates) {
    require<ArgumentError>(o.downsample || o.in == o.channels, "ConvNextStage: ", o.in,
                           " channels cannot become ", o.channels, " without a downsample");
    require<ArgumentError>(o.depth > o.intermediates && o.intermediates >= 0,
                           "ConvNextStage: ", o.intermediates, " intermediate outputs of ", o.depth,
                           " blocks; there must be fewer than blocks");
    if (o.downsample)
      downsample.emplace(typename ConvNextDownsample<T>::Options{.in = o.in, .out = o.channels}, rng);
    for (Index b = 0; b < o.depth; ++b)
      blocks.emplace_back(
          typename ConvNextBlock<T>::Options{
              .channels = o.channels, .drop_path = o.drop_path + static_cast<double>(b) * o.drop_path_step},
          rng);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& input) {
    const Index depth = static_cast<Index>(blocks.size()), every = depth / (intermediates + 1);
    std::vector<Tensor<T>> outputs;
    Tensor<T> x = downsample ? (*downsample)(input) : input;
    for (Index b = 0; b < depth; ++b) {
      x = blocks[static_cast<std::size_t>(b)](x);
      if ((b + 1) % every == 0 && static_cast<Index>(outputs.size()) < intermediates) outputs.push_back(x);
    }
    outputs.push_back(x);
    return outputs;
  }
  void visit(auto&& parts) { parts("downsample", downsample), parts("blocks", blocks); }

  Index intermediates;
  std::optional<ConvNextDownsample<T>> downsample;
  LayerList<ConvNextBlock<T>> blocks;
};

/// Stem and four stages of a ConvNeXt (arXiv:2201.03545), x (N, H, W, 3) -> the maps of the stages at strides
/// 4, 8, 16 and 32 (patch times 1, 2, 4 and 8); those inside stage 3 stand in front of its output. Defaults
/// are ConvNeXt-T. Weights carry timm's names: stem.0, stem.1, stages.1.downsample.0,
/// stages.1.blocks.0.conv_dw, ...
template <Scalar T>
struct ConvNextTrunk {
  using value_type = T;
  struct Options {
    std::array<Index, 4> blocks{3, 3, 9, 3};
    std::array<Index, 4> widths{96, 192, 384, 768};
    Index patch = 4;          ///< kernel and stride of the stem
    Index intermediates = 0;  ///< maps from inside stage 3, see ConvNextStage
    double drop_path = 0;     ///< of the last block; grows from 0 with depth
  };

  ConvNextTrunk(const Options& o, Rng& rng)
      : stem({.in = 3,
              .out = o.widths[0],
              .kernel = o.patch,
              .stride = o.patch,
              .init = Init::truncated_normal},
             rng),
        stem_norm({.channels = o.widths[0], .epsilon = 1e-6}) {
    const Index total = total_blocks(o);
    const double step = total > 1 ? o.drop_path / static_cast<double>(total - 1) : 0;
    Index in = o.widths[0], before = 0;
    for (std::size_t s = 0; s < 4; ++s) {
      stages.emplace_back(typename ConvNextStage<T>::Options{.in = in,
                                                             .channels = o.widths[s],
                                                             .depth = o.blocks[s],
                                                             .downsample = s > 0,
                                                             .intermediates = s == 2 ? o.intermediates : 0,
                                                             .drop_path = step * static_cast<double>(before),
                                                             .drop_path_step = step},
                          rng);
      in = o.widths[s], before += o.blocks[s];
    }
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    std::vector<Tensor<T>> maps;
    Tensor<T> x = stem_norm(stem(image));
    for (ConvNextStage<T>& stage : stages) {
      for (const Tensor<T>& map : stage(x)) maps.push_back(map);
      x = maps.back();
    }
    return maps;
  }
  std::vector<Index> channels() const {
    std::vector<Index> all;
    for (const ConvNextStage<T>& stage : stages)
      all.insert(all.end(), static_cast<std::size_t>(stage.intermediates + 1), stage.blocks[0].gamma.dim(0));
    return all;
  }
  /// Which of the maps is the output of stage 3, at whose size maps are put side by side.
  std::size_t reference() const { return static_cast<std::size_t>(2 + stages[2].intermediates); }
  static Index total_blocks(const Options& o) {
    return o.blocks[0] + o.blocks[1] + o.blocks[2] + o.blocks[3];
  }
  void visit(auto&& parts) { parts("stem.0", stem), parts("stem.1", stem_norm), parts("stages", stages); }

  Conv2d<T> stem;
  LayerNorm<T> stem_norm;
  LayerList<ConvNextStage<T>> stages;
};

/// ConvNeXt (arXiv:2201.03545): layer norm over the mean of the last map, then linear heads. x (N, H, W, 3)
/// -> the logits (N, classes) of every head. Defaults are ConvNeXt-T: 28.6 M parameters, 4.5 G
/// multiply-accumulates at 224 x 224. Names are timm's; a single head is "head.fc", several are "head.fc.0",
/// "head.fc.1", ...
template <Scalar T>
struct ConvNext {
  struct Options {
    Index classes = 1000, heads = 1;
    typename ConvNextTrunk<T>::Options trunk{};
  };

  ConvNext(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        norm({.channels = o.trunk.widths[3], .epsilon = 1e-6}),
        heads(o.heads, {.channels = o.trunk.widths[3], .classes = o.classes, .init = Init::truncated_normal},
              rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) {
    return heads(norm(global_avg_pool(trunk(x).back())));  // the mean of a single vector is itself
  }
  void visit(auto&& parts) {
    trunk.visit(parts), parts("head.norm", norm);
    heads.visit([&](std::string_view name, auto& part) { parts(text("head.", name), part); });
  }

  ConvNextTrunk<T> trunk;
  LayerNorm<T> norm;
  GapHeads<T> heads;
};

}  // namespace gram
