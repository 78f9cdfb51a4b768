// SPDX-License-Identifier: MIT
#pragma once
#include <array>

#include "gram/models/resnet_blocks.hpp"
#include "gram/nn/gap_heads.hpp"
#include "gram/nn/module.hpp"

namespace gram {

/// ResNet for 32 x 32 images (arXiv:1512.03385, section 4.2): a 3x3 convolution to 16 channels and three
/// stages of `blocks` blocks, widths 16, 32, 64, on maps of 32, 16 and 8 pixels. Bottleneck blocks have four
/// times as many output channels: depth 9 blocks + 2; basic blocks: depth 6 blocks + 2.
template <Scalar T>
struct CifarTrunk {
  struct Options {
    Index blocks = 3;
    bool bottleneck = true;
  };

  CifarTrunk(const Options& o, Rng& rng)
      : conv1({.in = 3, .out = 16, .kernel = 3, .padding = 1, .bias = false, .init = Init::kaiming_fan_out},
              rng),
        bn1({.channels = 16}) {
    require<ArgumentError>(o.blocks > 0, "CifarTrunk: ", o.blocks,
                           " blocks in a stage; at least one is needed");
    Index in = 16;
    for (std::size_t s = 0; s < 3; ++s)
      for (Index b = 0; b < o.blocks; ++b) {
        const Index width = Index{16} << s, stride = s > 0 && b == 0 ? 2 : 1;
        if (o.bottleneck)
          bottlenecks[s].emplace_back(
              typename Bottleneck<T>::Options{
                  .in = in, .width = width, .out = 4 * width, .stride = stride, .shortcut = b == 0},
              rng);
        else
          basics[s].emplace_back(typename BasicBlock<T>::Options{.in = in, .out = width, .stride = stride},
                                 rng);
        in = o.bottleneck ? 4 * width : width;
        channels += in;
      }
    last = in;
  }

  /// The output of the last block; each(y) is called with that of every block once it is there.
  template <class F>
  Tensor<T> operator()(const Tensor<T>& image, F&& each) {
    Tensor<T> x = bn1.relu(conv1, image);
    for (std::size_t s = 0; s < 3; ++s) {
      for (auto& block : bottlenecks[s]) each(x = block(x));
      for (const auto& block : basics[s]) each(x = block(x));
    }
    return x;
  }
  Tensor<T> operator()(const Tensor<T>& image) {
    return (*this)(image, [](const Tensor<T>&) {});
  }
  /// The shape of all outputs side by side, at the size of the last.
  Shape all_outputs(const Shape& image) const {
    return {image[0], ceil_div(ceil_div(image[1], Index{2}), Index{2}),
            ceil_div(ceil_div(image[2], Index{2}), Index{2}), channels};
  }
  void visit(auto&& parts) {
    parts("conv1", conv1), parts("bn1", bn1);
    for (std::size_t s = 0; s < 3; ++s) {
      const std::string name = text("layer", s + 1);
      parts(name, bottlenecks[s]), parts(name, basics[s]);
    }
  }

  Conv2d<T> conv1;
  BatchNorm2d<T> bn1;
  std::array<LayerList<Bottleneck<T>>, 3> bottlenecks;
  std::array<LayerList<BasicBlock<T>>, 3> basics;
  Index channels = 0;  ///< of all outputs together
  Index last = 0;      ///< of the last output
};

/// That network with global average pooling and linear heads: x (N, 32, 32, 3) -> the logits (N, classes) of
/// every head.
template <Scalar T>
struct CifarResNet {
  struct Options {
    Index classes = 100, heads = 1;
    typename CifarTrunk<T>::Options trunk{};
  };

  CifarResNet(const Options& o, Rng& rng)
      : trunk(o.trunk, rng), heads(o.heads, {.channels = trunk.last, .classes = o.classes}, rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) { return heads(trunk(x)); }
  void visit(auto&& parts) { trunk.visit(parts), heads.visit(parts); }

  CifarTrunk<T> trunk;
  GapHeads<T> heads;
};

}  // namespace gram
