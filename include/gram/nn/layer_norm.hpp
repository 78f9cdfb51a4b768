// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/trace.hpp"
#include "gram/ops/layer_norm.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

/// Layer normalisation over the last axis (arXiv:1607.06450), x (..., C). Names and defaults are those of
/// torch.nn.LayerNorm; timm's transformers use epsilon 1e-6. In bf16 networks the parameters are float.
template <Scalar T>
struct LayerNorm {
  struct Options {
    Index channels = 0;
    double epsilon = 1e-5;
  };

  explicit LayerNorm(const Options& o) : epsilon(o.epsilon) {
    require<ArgumentError>(o.channels > 0, "LayerNorm: ", o.channels, " channels; at least one is needed");
    require<ArgumentError>(o.epsilon >= 0, "LayerNorm: epsilon is ", o.epsilon, "; it must not be negative");
    weight = Parameter<accum_t<T>>(ones<accum_t<T>>({o.channels}));
    bias = Parameter<accum_t<T>>(zeros<accum_t<T>>({o.channels}));
  }

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Tensor<T> y = located(weight, [&] { return layer_norm(x, weight, bias, epsilon); });
    log(y.shape());
    return y;
  }
  /// Writes a call with this output into the open log, if any: for forms that fold the norm into what
  /// follows.
  void log(const Shape& output) const {
    if (CallLog* calls = CallLog::open())
      calls->add({.path = layer_path(weight.name),
                  .kind = "LayerNorm",
                  .output = output,
                  .parameters = weight.size() + bias.size()});
  }
  void visit(auto&& parts) { parts("weight", weight), parts("bias", bias); }

  Parameter<accum_t<T>> weight, bias;
  double epsilon;
};

}  // namespace gram
