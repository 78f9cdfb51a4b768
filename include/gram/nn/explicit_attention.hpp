// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <optional>

#include "gram/nn/conv2d.hpp"
#include "gram/nn/module.hpp"
#include "gram/nn/pointwise.hpp"
#include "gram/ops/explicit_attention.hpp"
#include "gram/ops/pool.hpp"

namespace gram {

/// Self-attention without queries and keys: proj(A value(x)), where the map A depends on the distance of
/// pixels alone and has one parameter for each attention head, its radius exp(log_radius) (arXiv:2006.07872).
/// x (N, H, W, in) -> (N, H, W, out); value and proj are 1x1 convolutions without bias. Throws ArgumentError
/// when heads does not divide out or the first radius is not positive. Stated by the paper's abstract: the
/// map, one learned radius, no content. Inferred: value and output convolutions, the parametrisation by the
/// logarithm, rows that sum to one.
template <Scalar T>
struct ExplicitAttention {
  struct Options {
    Index in = 0, out = 0, heads = 1;
    double radius = 1;  ///< at the start, in pixels
    ExplicitAttentionOptions map{};
    Init init = Init::kaiming_fan_out;
  };

  ExplicitAttention(const Options& o, Rng& rng)
      : value({.in = o.in, .out = o.out, .bias = false, .init = o.init}, rng),
        proj({.in = o.out, .out = o.out, .bias = false, .init = o.init}, rng),
        map(o.map) {
    require<ArgumentError>(o.heads > 0 && o.out % o.heads == 0, "ExplicitAttention: ", o.heads,
                           " heads; they must divide ", o.out, " channels");
    require<ArgumentError>(o.radius > 0 && std::isfinite(o.radius), "ExplicitAttention: radius is ", o.radius,
                           "; it must be positive");
    log_radius =
        Parameter<accum_t<T>>(full<accum_t<T>>({o.heads}, static_cast<accum_t<T>>(std::log(o.radius))));
  }

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Tensor<T> v = value(x);
    const Tensor<T> y = located(log_radius, [&] { return explicit_attention(v, log_radius, map); });
    if (CallLog* log = CallLog::open())
      log->add({.path = layer_path(log_radius.name),
                .kind = "ExplicitAttention",
                .output = y.shape(),
                .parameters = log_radius.size(),
                .matmuls = y.size() * y.dim(1) * y.dim(2),
                .executed = map.separable() ? y.size() * (y.dim(1) + y.dim(2)) : 0});
    return proj(y);
  }
  void visit(auto&& parts) { parts("value", value), parts("log_radius", log_radius), parts("proj", proj); }

  Pointwise<T> value, proj;
  Parameter<accum_t<T>> log_radius;
  ExplicitAttentionOptions map;
};

/// A 3x3 convolution (padding 1) that leaves `attention` of its output channels to explicit attention on the
/// same input: [conv(x) | att(x)], x (N, H, W, in) -> (N, H', W', out). With a stride, the attention's output
/// passes 3x3 average pooling of that stride (padding 1, counted as zeros). Parts are called "conv" and
/// "att"; without attention the layer is a Conv2d and has its names. Throws ArgumentError unless 0 <=
/// attention < out. Inferred from attention-augmented convolution (arXiv:1904.09925), whose layout
/// arXiv:2006.07872 compares with.
template <Scalar T>
struct AttentionAugmentedConv2d {
  struct Options {
    Index in = 0, out = 0, stride = 1;
    Index attention = 0;  ///< channels, of out
    Index heads = 1;      ///< of the attention
    double radius = 1;
    ExplicitAttentionOptions map{};
    Init init = Init::kaiming_fan_out;
  };

  AttentionAugmentedConv2d(const Options& o, Rng& rng)
      : conv({.in = o.in,
              .out = convolved(o),
              .kernel = 3,
              .stride = o.stride,
              .padding = 1,
              .bias = false,
              .init = o.init},
             rng) {
    if (o.attention)
      att.emplace(typename ExplicitAttention<T>::Options{.in = o.in,
                                                         .out = o.attention,
                                                         .heads = o.heads,
                                                         .radius = o.radius,
                                                         .map = o.map,
                                                         .init = o.init},
                  rng);
  }

  Tensor<T> operator()(const Tensor<T>& x) const {
    if (!att) return conv(x);
    const Tensor<T> y = (*att)(x);
    const Pair stride = conv.options.stride;
    return concat<T>(
        {conv(x), stride.h == 1 ? y : avg_pool2d(y, {.kernel = 3, .stride = stride, .padding = 1})}, 3);
  }
  void visit(auto&& parts) {
    if (att)
      parts("conv", conv), parts("att", att);
    else
      conv.visit(parts);
  }

  Conv2d<T> conv;
  std::optional<ExplicitAttention<T>> att;

 private:
  static Index convolved(const Options& o) {
    require<ArgumentError>(o.attention >= 0 && o.attention < o.out,
                           "AttentionAugmentedConv2d: attention has ", o.attention, " of ", o.out,
                           " channels; the convolution must keep some");
    return o.out - o.attention;
  }
};

/// The radii of one explicit attention in a network, in pixels.
struct AttentionRadii {
  std::string layer;          ///< "layer2.0.conv2.att"
  std::vector<double> radii;  ///< of its attention heads
};

/// What the explicit attention layers of a network have learned: their radii, in the order of the layers.
template <class Model>
std::vector<AttentionRadii> radii(Model& model) {
  std::vector<AttentionRadii> all;
  for_each_parameter(model, [&](const std::string& name, const auto& parameter) {
    if (name != "log_radius" && !name.ends_with(".log_radius")) return;
    AttentionRadii found{layer_path(name), {}};
    const auto values = parameter.detach().to(Device::cpu());
    for (Index h = 0; h < values.size(); ++h)
      found.radii.push_back(std::exp(static_cast<double>(values.data()[h])));
    all.push_back(std::move(found));
  });
  return all;
}

}  // namespace gram
