// SPDX-License-Identifier: MIT
#pragma once
#include <array>

#include "gram/nn/cswin_block.hpp"
#include "gram/nn/gap_heads.hpp"
#include "gram/nn/module.hpp"
#include "gram/ops/activation.hpp"

namespace gram {

/// A convolution "conv" and the layer norm "norm" behind it: what halves a map between two stages of a CSWin,
/// with a 3x3 convolution of stride 2. x (N, H, W, I) -> (N, H', W', O).
template <Scalar T, class Conv = Conv2d<T>>
struct ConvLayerNorm {
  ConvLayerNorm(const typename Conv::Options& o, Rng& rng) : conv(o, rng), norm({.channels = o.out}) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return norm(conv(x)); }
  void visit(auto&& parts) { parts("conv", conv), parts("norm", norm); }

  Conv conv;
  LayerNorm<T> norm;
};

/// The stem of a CSWin, x (N, H, W, 3) -> (N, H/4, W/4, out). Plain: a 7x7 convolution with stride 4 and a
/// layer norm, "0" and "2". Deep: three 3x3 convolutions with strides 2, 1 and 2, each with a layer norm, and
/// GELU between them, "0", "2", "5", "7", "10" and "12".
template <Scalar T>
struct CswinStem {
  struct Options {
    bool deep = false;
    Index stride = 4;  ///< 4, or 2 for small images
    Index width = 64;  ///< of the deep stem's first two convolutions
    Index out = 64;
  };

  CswinStem(const Options& o, Rng& rng) {
    require<ArgumentError>(o.stride == 4 || o.stride == 2, "CswinStem: stride ", o.stride, "; it is 2 or 4");
    if (o.deep)
      append(three(3, o.width, o.stride / 2), rng), append(three(o.width, o.width, 1), rng),
          append(three(o.width, o.out, 2), rng);
    else
      append({.in = 3, .out = o.out, .kernel = 7, .stride = o.stride, .padding = 2}, rng);
  }

  Tensor<T> operator()(const Tensor<T>& image) const {
    Tensor<T> x = layers[0](image);
    for (std::size_t i = 1; i < layers.size(); ++i) x = layers[i](gelu(x));
    return x;
  }
  void visit(auto&& parts) {
    for (std::size_t i = 0; i < layers.size(); ++i)
      parts(text(5 * i), layers[i].conv), parts(text(5 * i + 2), layers[i].norm);
  }

  LayerList<ConvLayerNorm<T>> layers;

 private:
  using Conv = typename Conv2d<T>::Options;
  void append(const Conv& o, Rng& rng) { layers.emplace_back(o, rng); }
  static Conv three(Index in, Index out, Index stride) {
    return {.in = in, .out = out, .kernel = 3, .stride = stride, .padding = 1, .bias = false};
  }
};

/// Stem and four stages of a CSWin transformer (arXiv:2107.00652), x (N, H, W, 3) -> the maps of the stages
/// at strides 4, 8, 16 and 32; those inside stage 3 stand in front of its output. Defaults are CSWin-T. Names
/// are those of the authors' code: stage1_conv_embed.0, stage1.0.qkv, merge1.conv, ... Throws ArgumentError
/// for an image size that 32 or the stripes do not divide; images of another size may come when stripes
/// divide their maps.
template <Scalar T>
struct CswinTrunk {
  using value_type = T;
  struct Options {
    Pair size = 224;  ///< of the images: a stage whose map is as large as its stripes are wide has no stripes
    bool deep_stem = false;
    Index stem_stride = 4;  ///< 4, or 2 for small images
    Index stem_width = 64;  ///< of the deep stem's first two convolutions
    std::array<Index, 4> blocks{1, 2, 21, 1};
    std::array<Index, 4> widths{64, 128, 256, 512};
    std::array<Index, 4> heads{2, 4, 8, 16};
    std::array<Index, 3> splits{1, 2, 7};  ///< width of the stripes; the last stage has none
    double mlp_ratio = 4;
    /// N maps from inside stage 3: those of blocks k, 2 k, ... N k, k = blocks / (N + 1) rounded down.
    Index intermediates = 0;
    double drop_path = 0;                ///< of the last block; grows from 0 with depth
    Init init = Init::truncated_normal;  ///< of the linear layers
  };

  CswinTrunk(const Options& o, Rng& rng)
      : intermediates(o.intermediates),
        stem({.deep = o.deep_stem, .stride = o.stem_stride, .width = o.stem_width, .out = o.widths[0]}, rng) {
    const Index last = 8 * o.stem_stride;
    require<ArgumentError>(o.size.h % last == 0 && o.size.w % last == 0, "CswinTrunk: image size ", o.size,
                           " is not a multiple of ", last);
    require<ArgumentError>(o.intermediates >= 0 && o.blocks[2] > o.intermediates,
                           "CswinTrunk: ", o.intermediates, " intermediate maps of ", o.blocks[2],
                           " blocks in stage 3; there must be fewer than blocks");
    const Index total = o.blocks[0] + o.blocks[1] + o.blocks[2] + o.blocks[3];
    Index before = 0;
    for (std::size_t s = 0; s < 4; ++s) {
      require<ArgumentError>(o.blocks[s] > 0, "CswinTrunk: stage ", s + 1, " has ", o.blocks[s],
                             " blocks; at least one is needed");
      if (s > 0)
        merges.emplace_back(
            typename Conv2d<T>::Options{
                .in = o.widths[s - 1], .out = o.widths[s], .kernel = 3, .stride = 2, .padding = 1},
            rng);
      for (Index b = 0; b < o.blocks[s]; ++b, ++before)
        stages[s].emplace_back(
            typename CswinBlock<T>::Options{
                .channels = o.widths[s],
                .heads = o.heads[s],
                .split = s < 3 ? o.splits[s] : 1,
                .whole = s == 3 || is_whole(o, s),
                .mlp_ratio = o.mlp_ratio,
                .drop_path = o.drop_path * static_cast<double>(before) / std::max(1.0, double(total - 1)),
                .init = o.init},
            rng);
    }
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    const Index every = static_cast<Index>(stages[2].size()) / (intermediates + 1);
    std::vector<Tensor<T>> maps;
    Tensor<T> x = stem(image);
    for (std::size_t s = 0; s < 4; ++s) {
      if (s > 0) x = merges[s - 1](x);
      Index done = 0;
      for (CswinBlock<T>& block : stages[s]) {
        x = block(x);
        if (s == 2 && ++done % every == 0 && done <= every * intermediates) maps.push_back(x);
      }
      maps.push_back(x);
    }
    return maps;
  }
  std::vector<Index> channels() const {
    std::vector<Index> all;
    for (std::size_t s = 0; s < 4; ++s)
      all.insert(all.end(), s == 2 ? static_cast<std::size_t>(intermediates + 1) : 1,
                 stages[s][0].norm1.weight.dim(0));
    return all;
  }
  /// Which of the maps is the output of stage 3, at whose size maps are put side by side.
  std::size_t reference() const { return static_cast<std::size_t>(2 + intermediates); }
  /// Whether the map of stage s, 0 to 2, is one window. Throws ArgumentError when stripes do not divide it.
  static bool is_whole(const Options& o, std::size_t s) {
    const Index stride = o.stem_stride << s, split = o.splits[s];
    const Pair map(o.size.h / stride, o.size.w / stride);
    require<ArgumentError>(split > 0 && map.h % split == 0 && map.w % split == 0, "CswinTrunk: stage ", s + 1,
                           " has maps of ", map, " pixels, which stripes of ", split, " do not divide");
    return map == Pair(split);
  }
  void visit(auto&& parts) {
    parts("stage1_conv_embed", stem), parts("stage1", stages[0]);
    for (std::size_t s = 1; s < 4; ++s)
      parts(text("merge", s), merges[s - 1]), parts(text("stage", s + 1), stages[s]);
  }

  Index intermediates;
  CswinStem<T> stem;
  LayerList<ConvLayerNorm<T>> merges;
  std::array<LayerList<CswinBlock<T>>, 4> stages;
};

/// CSWin transformer (arXiv:2107.00652): layer norm, mean over the last map, linear heads. x (N, H, W, 3) ->
/// the logits (N, classes) of every head. Defaults are CSWin-T: 22.3 M parameters, 4.3 G multiply-accumulates
/// at 224 x 224. Names are those of the authors' code; a single head is "head", several are "head.0", ...
template <Scalar T>
struct Cswin {
  struct Options {
    Index classes = 1000, heads = 1;
    typename CswinTrunk<T>::Options trunk{};
  };

  Cswin(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        norm({.channels = o.trunk.widths[3]}),
        head(o.heads,
             {.channels = o.trunk.widths[3],
              .classes = o.classes,
              .init = Init::truncated_normal,
              .name = "head"},
             rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) { return head(norm(trunk(image).back())); }
  void visit(auto&& parts) { trunk.visit(parts), parts("norm", norm), head.visit(parts); }

  CswinTrunk<T> trunk;
  LayerNorm<T> norm;
  GapHeads<T> head;
};

}  // namespace gram
