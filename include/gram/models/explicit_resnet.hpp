// SPDX-License-Identifier: MIT
// ResNets with explicitly modelled attention (Tan et al., "Explicitly modeled attention maps for image
// classification", AAAI 2021, arXiv:2006.07872). No code and only the abstract were at hand.
// Stated there: self-attention whose map is a fixed function of pixel distance with one learned radius,
// inside ResNets on ImageNet, 6.4 % fewer parameters and 6.7 % fewer operations than AA-ResNet152. Inferred:
// one radius for each layer; attention takes floor(0.1 F) of the F channels of the 3x3 convolutions in stages
// 2 to 4, at a stride followed by 3x3 average pooling. With that ResNet-152 has 57.66 M parameters: 6.4 %
// below the 61.6 M of AA-ResNet152.
// Recalled, not checked: those 61.6 M, and the place in the block (attention-augmented convolution,
// arXiv:1904.09925).
#pragma once
#include <vector>

#include "gram/models/resnet_blocks.hpp"
#include "gram/nn/explicit_attention.hpp"
#include "gram/nn/gap_heads.hpp"
#include "gram/nn/module.hpp"

namespace gram {

/// Stem and stages of a bottleneck ResNet, with explicit attention in the place of a part of its 3x3
/// convolutions. x (N, H, W, 3) -> the maps of the stages, at strides 4, 8, 16 and 32, or 1, 2 and 4 for
/// small images. A backbone (models/features.hpp). Names are timm's; those of a 3x3 convolution with
/// attention are "conv2.conv" and "conv2.att". Throws ArgumentError unless blocks and widths name as many
/// stages.
template <Scalar T>
struct ExplicitResNetTrunk {
  using value_type = T;
  using Block = Bottleneck<T, AttentionAugmentedConv2d<T>>;
  struct Options {
    std::vector<Index> blocks{3, 4, 6, 3};  ///< of each stage
    /// Of the 3x3 convolutions of each stage; its map has four times as many channels.
    std::vector<Index> widths{64, 128, 256, 512};
    Index stem = 64;            ///< channels
    bool small_images = false;  ///< stem of the CIFAR ResNets: 3x3 without stride or pooling
    std::size_t first = 1;      ///< stage, from 0, in which attention begins
    double share = 0.1;         ///< attention's, of the channels of a 3x3 convolution; rounded down
    Index attention_heads = 1;  ///< with a radius each
    double radius = 1;          ///< at the start, in pixels
    ExplicitAttentionOptions map{};
  };

  ExplicitResNetTrunk(const Options& o, Rng& rng)
      : conv1({.in = 3,
               .out = o.stem,
               .kernel = o.small_images ? 3 : 7,
               .stride = o.small_images ? 1 : 2,
               .padding = o.small_images ? 1 : 3,
               .bias = false,
               .init = Init::kaiming_fan_out},
              rng),
        bn1({.channels = o.stem}),
        layers(o.blocks.size()),
        widths(o.widths),
        small_images(o.small_images) {
    require<ArgumentError>(o.blocks.size() == o.widths.size() && !o.blocks.empty(),
                           "ExplicitResNetTrunk: ", o.blocks.size(), " stages in blocks, ", o.widths.size(),
                           " in widths");
    require<ArgumentError>(o.attention_heads >= 1 && o.share >= 0 && o.share < 1,
                           "ExplicitResNetTrunk: ", o.attention_heads, " attention heads, share ", o.share,
                           "; at least one head, and a share in [0, 1), are needed");
    Index in = o.stem;
    for (std::size_t s = 0; s < layers.size(); ++s) {
      const Index width = o.widths[s], attention = s < o.first ? 0 : attention_channels(o, width);
      const auto middle = [&](const typename Conv2d<T>::Options& conv) {
        return AttentionAugmentedConv2d<T>({.in = conv.in,
                                            .out = conv.out,
                                            .stride = conv.stride.h,
                                            .attention = attention,
                                            .heads = o.attention_heads,
                                            .radius = o.radius,
                                            .map = o.map,
                                            .init = conv.init},
                                           rng);
      };
      for (Index b = 0; b < o.blocks[s]; ++b, in = 4 * width)
        layers[s].emplace_back(typename Block::Options{.in = in,
                                                       .width = width,
                                                       .out = 4 * width,
                                                       .stride = s > 0 && b == 0 ? 2 : 1,
                                                       .shortcut = b == 0},
                               rng, middle);
    }
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    Tensor<T> x = bn1.relu(conv1, image);
    if (!small_images) x = max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1});
    std::vector<Tensor<T>> maps;
    for (LayerList<Block>& stage : layers) {
      for (Block& block : stage) x = block(x);
      maps.push_back(x);
    }
    return maps;
  }
  std::vector<Index> channels() const {
    std::vector<Index> all;
    for (const Index width : widths) all.push_back(4 * width);
    return all;
  }
  void visit(auto&& parts) {
    parts("conv1", conv1), parts("bn1", bn1);
    for (std::size_t s = 0; s < layers.size(); ++s) parts(text("layer", s + 1), layers[s]);
  }

  Conv2d<T> conv1;
  BatchNorm2d<T> bn1;
  LayerList<LayerList<Block>> layers;
  std::vector<Index> widths;
  bool small_images;

 private:
  /// The share of a width, rounded down to a multiple of the attention heads.
  static Index attention_channels(const Options& o, Index width) {
    const auto all = static_cast<Index>(o.share * static_cast<double>(width));
    return all - all % o.attention_heads;
  }
};

/// That network with global average pooling and linear heads: x (N, H, W, 3) -> the logits (N, classes) of
/// every head. The defaults are ResNet-50's.
template <Scalar T>
struct ExplicitResNet {
  struct Options {
    Index classes = 1000, heads = 1;
    typename ExplicitResNetTrunk<T>::Options trunk{};
  };

  ExplicitResNet(const Options& o, Rng& rng)
      : trunk(o.trunk, rng),
        heads(o.heads, {.channels = trunk.channels().back(), .classes = o.classes}, rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) { return heads(trunk(x).back()); }
  void visit(auto&& parts) { trunk.visit(parts), heads.visit(parts); }

  ExplicitResNetTrunk<T> trunk;
  GapHeads<T> heads;
};

}  // namespace gram
