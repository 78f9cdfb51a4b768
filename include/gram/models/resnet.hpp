// SPDX-License-Identifier: MIT
#pragma once
#include <array>

#include "gram/models/resnet_blocks.hpp"
#include "gram/nn/gap_heads.hpp"
#include "gram/nn/module.hpp"

namespace gram {

/// The stem of ResNet-D (arXiv:1812.01187, fig. 2c): three 3x3 convolutions, the first with stride 2. The
/// norm behind the last one belongs to the network ("bn1"), as in timm.
template <Scalar T>
struct DeepStem {
  struct Options {
    Index in = 3, width = 32, out = 64;
  };

  DeepStem(const Options& o, Rng& rng)
      : conv0(three(o.in, o.width, 2), rng),
        bn1({.channels = o.width}),
        conv3(three(o.width, o.width, 1), rng),
        bn4({.channels = o.width}),
        conv6(three(o.width, o.out, 1), rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const { return conv6(inner(x)); }
  bool prepared() const { return conv6.prepared(); }
  Tensor<T> inference(const Tensor<T>& x, const BatchNorm2d<T>* norm, const Tensor<T>& residual,
                      bool relu) const {
    return conv6.inference(inner(x), norm, residual, relu);
  }
  void visit(auto&& parts) {
    parts("0", conv0), parts("1", bn1), parts("3", conv3), parts("4", bn4), parts("6", conv6);
  }

  Conv2d<T> conv0;
  BatchNorm2d<T> bn1;
  Conv2d<T> conv3;
  BatchNorm2d<T> bn4;
  Conv2d<T> conv6;

 private:
  Tensor<T> inner(const Tensor<T>& x) const { return bn4.relu(conv3, bn1.relu(conv0, x)); }
  static typename Conv2d<T>::Options three(Index in, Index out, Index stride) {
    return {.in = in,
            .out = out,
            .kernel = 3,
            .stride = stride,
            .padding = 1,
            .bias = false,
            .init = Init::kaiming_fan_out};
  }
};

/// Stem and four stages of a bottleneck ResNet, x (N, H, W, 3) -> the maps of the stages at strides 4, 8, 16
/// and 32. Weights carry timm's names: conv1, bn1, layer1.0.conv1, ... and, with the deep stem, conv1.0,
/// conv1.1, ...
template <Scalar T>
struct ResNetTrunk {
  using value_type = T;
  struct Options {
    std::array<Index, 4> blocks{3, 4, 6, 3};
    std::array<Index, 4> widths{64, 128, 256, 512};
    std::array<Index, 4> outputs{256, 512, 1024, 2048};
    bool deep = false;      ///< ResNet-D: deep stem, average pooling in the shortcuts
    Index stem_width = 32;  ///< of the deep stem's first two convolutions
    Index stem_out = 64;
    double se_ratio =
        0;  ///< inner width of squeeze-and-excitation to that of the block, rounded to 8; 0: none
  };

  ResNetTrunk(const Options& o, Rng& rng) : outputs(o.outputs), bn1({.channels = o.stem_out}) {
    if (o.deep)
      deep_stem.emplace(typename DeepStem<T>::Options{.width = o.stem_width, .out = o.stem_out}, rng);
    else
      conv1.emplace(typename Conv2d<T>::Options{.in = 3,
                                                .out = o.stem_out,
                                                .kernel = 7,
                                                .stride = 2,
                                                .padding = 3,
                                                .bias = false,
                                                .init = Init::kaiming_fan_out},
                    rng);
    Index in = o.stem_out;
    for (std::size_t s = 0; s < 4; ++s)
      for (Index b = 0; b < o.blocks[s]; ++b) {
        const Index width = o.widths[s];
        layers[s].emplace_back(
            typename Bottleneck<T>::Options{
                .in = in,
                .width = width,
                .out = o.outputs[s],
                .stride = s > 0 && b == 0 ? 2 : 1,
                .reduced = o.se_ratio > 0 ? rounded_to_eight(static_cast<double>(width) * o.se_ratio) : 0,
                .average_down = o.deep,
                .shortcut = b == 0},
            rng);
        in = o.outputs[s];
      }
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& image) {
    Tensor<T> x = deep_stem ? bn1.relu(*deep_stem, image) : bn1.relu(*conv1, image);
    x = max_pool2d(x, {.kernel = 3, .stride = 2, .padding = 1});
    std::vector<Tensor<T>> maps;
    for (LayerList<Bottleneck<T>>& stage : layers) {
      for (Bottleneck<T>& block : stage) x = block(x);
      maps.push_back(x);
    }
    return maps;
  }
  std::vector<Index> channels() const { return {outputs.begin(), outputs.end()}; }
  void visit(auto&& parts) {
    parts("conv1", deep_stem), parts("conv1", conv1), parts("bn1", bn1);
    parts("layer1", layers[0]), parts("layer2", layers[1]), parts("layer3", layers[2]),
        parts("layer4", layers[3]);
  }

  std::array<Index, 4> outputs;
  std::optional<DeepStem<T>> deep_stem;
  std::optional<Conv2d<T>> conv1;
  BatchNorm2d<T> bn1;
  std::array<LayerList<Bottleneck<T>>, 4> layers;
};

/// ResNet-50 and its kin (arXiv:1512.03385) with global average pooling and linear heads: x (N, H, W, 3) ->
/// the logits (N, classes) of every head. Names are timm's (resnet50, resnet50d).
template <Scalar T>
struct ResNet {
  struct Options {
    Index classes = 1000, heads = 1;
    typename ResNetTrunk<T>::Options trunk{};
  };

  ResNet(const Options& o, Rng& rng)
      : trunk(o.trunk, rng), heads(o.heads, {.channels = o.trunk.outputs[3], .classes = o.classes}, rng) {
    name_parameters(*this);
  }

  std::vector<Tensor<T>> operator()(const Tensor<T>& x) { return heads(trunk(x)[3]); }
  void visit(auto&& parts) { trunk.visit(parts), heads.visit(parts); }

  ResNetTrunk<T> trunk;
  GapHeads<T> heads;
};

}  // namespace gram
