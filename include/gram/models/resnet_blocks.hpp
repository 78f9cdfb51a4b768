// SPDX-License-Identifier: MIT
#pragma once
#include <optional>

#include "gram/nn/batch_norm.hpp"
#include "gram/nn/conv2d.hpp"
#include "gram/nn/dropout.hpp"
#include "gram/nn/squeeze_excite.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// The shortcut of a block that changes stride or width: 1x1 convolution and batch norm, called "0" and "1".
/// With `average` (ResNet-D, arXiv:1812.01187) a stride is taken by 2x2 average pooling in front of the
/// convolution; the two are then called "1" and "2", as in timm, where the pooling is "0".
template <Scalar T>
struct Downsample {
  struct Options {
    Index in = 0, out = 0, stride = 1;
    bool average = false;
    bool bias = false;
    Init init = Init::kaiming_fan_out;
  };

  Downsample(const Options& o, Rng& rng)
      : conv({.in = o.in, .out = o.out, .stride = o.average ? 1 : o.stride, .bias = o.bias, .init = o.init},
             rng),
        norm({.channels = o.out}),
        pooled(o.average ? o.stride : 1),
        average(o.average) {}

  Tensor<T> operator()(const Tensor<T>& x) const {
    if (pooled == 1) return norm(conv, x);
    return norm(conv, avg_pool2d(x, {.kernel = pooled,
                                     .stride = pooled,
                                     .padding = 0,
                                     .ceil_mode = true,
                                     .count_include_pad = false}));
  }
  void visit(auto&& parts) { parts(average ? "1" : "0", conv), parts(average ? "2" : "1", norm); }

  Conv2d<T> conv;
  BatchNorm2d<T> norm;
  Index pooled;
  bool average;
};

/// Bottleneck block (arXiv:1512.03385, fig. 5): 1x1 to `width`, 3x3 with the stride, squeeze-and-excitation
/// on its output when `reduced` is not 0, 1x1 to `out`, plus the shortcut; batch norm behind every
/// convolution. x (N, H, W, in) -> (N, H', W', out). Another layer, Middle, can stand for the 3x3
/// convolution.
template <Scalar T, class Middle = Conv2d<T>>
struct Bottleneck {
  struct Options {
    Index in = 0, width = 0, out = 0, stride = 1;
    Index reduced = 0;          ///< inner width of squeeze-and-excitation; 0: none
    bool average_down = false;  ///< shortcut of ResNet-D
    bool shortcut = false;      ///< a convolution on the shortcut even where shapes agree
    bool shortcut_bias = false;
    double last_norm = 0;  ///< first value of the last norm's weight: 0 starts the block as its shortcut
    double drop_path = 0;  ///< probability of skipping all but the shortcut, for each image
    Init init = Init::kaiming_fan_out;  ///< of the convolutions
    Init se_init = Init::pytorch;       ///< of squeeze-and-excitation
  };

  Bottleneck(const Options& o, Rng& rng)
      : Bottleneck(o, rng, [&](const typename Conv2d<T>::Options& three) { return Middle(three, rng); }) {}
  /// With middle(options of the 3x3 convolution) in its place.
  template <class MakeMiddle>
  Bottleneck(const Options& o, Rng& rng, MakeMiddle&& middle)
      : conv1({.in = o.in, .out = o.width, .bias = false, .init = o.init}, rng),
        bn1({.channels = o.width}),
        conv2(middle({.in = o.width,
                      .out = o.width,
                      .kernel = 3,
                      .stride = o.stride,
                      .padding = 1,
                      .bias = false,
                      .init = o.init})),
        bn2({.channels = o.width}),
        conv3({.in = o.width, .out = o.out, .bias = false, .init = o.init}, rng),
        bn3({.channels = o.out, .weight = o.last_norm}) {
    if (o.reduced)
      se.emplace(
          typename SqueezeExcite<T>::Options{.channels = o.width, .reduced = o.reduced, .init = o.se_init},
          rng);
    if (o.shortcut || o.stride != 1 || o.in != o.out)
      downsample.emplace(typename Downsample<T>::Options{.in = o.in,
                                                         .out = o.out,
                                                         .stride = o.stride,
                                                         .average = o.average_down,
                                                         .bias = o.shortcut_bias,
                                                         .init = o.init},
                         rng);
    if (o.drop_path != 0) drop_path.emplace(o.drop_path, rng);
  }

  Tensor<T> operator()(const Tensor<T>& x) {
    Tensor<T> y = bn2.relu(conv2, bn1.relu(conv1, x));
    if (se) y = (*se)(y);
    const Tensor<T> residual = downsample ? (*downsample)(x) : x;
    if (drop_path && drop_path->mode.training) return relu(add((*drop_path)(bn3(conv3, y)), residual));
    return bn3.relu(conv3, y, residual);
  }
  void visit(auto&& parts) {
    parts("conv1", conv1), parts("bn1", bn1), parts("conv2", conv2), parts("bn2", bn2), parts("se", se);
    parts("conv3", conv3), parts("bn3", bn3), parts("downsample", downsample);
    parts("drop_path", drop_path);
  }

  Conv2d<T> conv1;
  BatchNorm2d<T> bn1;
  Middle conv2;
  BatchNorm2d<T> bn2;
  std::optional<SqueezeExcite<T>> se;
  Conv2d<T> conv3;
  BatchNorm2d<T> bn3;
  std::optional<Downsample<T>> downsample;
  std::optional<DropPath<T>> drop_path;
};

/// Basic block of the CIFAR ResNets (arXiv:1512.03385, section 4.2): two 3x3 convolutions with batch norm,
/// plus a shortcut without parameters: every stride-th pixel, with zero channels added in equal parts on both
/// sides (its option A).
template <Scalar T>
struct BasicBlock {
  struct Options {
    Index in = 0, out = 0, stride = 1;
    double last_norm = 0;  ///< first value of the last norm's weight
  };

  BasicBlock(const Options& o, Rng& rng)
      : conv1({.in = o.in,
               .out = o.out,
               .kernel = 3,
               .stride = o.stride,
               .padding = 1,
               .bias = false,
               .init = Init::kaiming_fan_out},
              rng),
        bn1({.channels = o.out}),
        conv2({.in = o.out,
               .out = o.out,
               .kernel = 3,
               .padding = 1,
               .bias = false,
               .init = Init::kaiming_fan_out},
              rng),
        bn2({.channels = o.out, .weight = o.last_norm}) {
    require<ArgumentError>(o.out >= o.in, "BasicBlock: ", o.in, " channels cannot become ", o.out,
                           "; the shortcut only adds channels");
  }

  Tensor<T> operator()(const Tensor<T>& x) const { return bn2.relu(conv2, bn1.relu(conv1, x), shortcut(x)); }
  void visit(auto&& parts) {
    parts("conv1", conv1), parts("bn1", bn1), parts("conv2", conv2), parts("bn2", bn2);
  }

  Conv2d<T> conv1;
  BatchNorm2d<T> bn1;
  Conv2d<T> conv2;
  BatchNorm2d<T> bn2;

 private:
  Tensor<T> shortcut(const Tensor<T>& x) const {
    const Index stride = conv1.options.stride.h, more = conv2.weight.dim(0) - x.dim(3);
    const Tensor<T> y = stride == 1 ? x : avg_pool2d(x, {.kernel = 1, .stride = stride});
    if (more == 0) return y;
    const auto zero = [&](Index channels) { return zeros<T>(y.shape().with(3, channels), y.device()); };
    return concat<T>({zero(more / 2), y, zero(more - more / 2)}, 3);
  }
};

}  // namespace gram
