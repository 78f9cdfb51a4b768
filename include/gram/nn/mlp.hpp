// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/activation.hpp"
#include "gram/nn/linear.hpp"
#include "gram/ops/feed_forward.hpp"

namespace gram {

/// fc2(activation(fc1(x))), the feed-forward part of transformers. x (..., C), hidden width `hidden`.
template <Scalar T>
struct Mlp {
  struct Options {
    Index channels = 0, hidden = 0;
    Activation activation = Activation::gelu;
    Init init = Init::pytorch;
  };

  Mlp(const Options& o, Rng& rng)
      : fc1({.in = o.channels, .out = o.hidden, .init = o.init}, rng),
        fc2({.in = o.hidden, .out = o.channels, .init = o.init}, rng),
        activation(o.activation) {}

  /// layer(x) [+ residual], the sum made where the second product is; residual (..., C) or {}.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    if (activation != Activation::gelu) return fc2(activate(activation, fc1(x)), residual);
    if (fc1.prepared()) return fc2(fc1.inference(x, {}, true), residual);
    const Tensor<T> y = located(fc1.weight, [&] {
      return feed_forward(x, {fc1.weight, fc1.bias, fc2.weight, fc2.bias}, residual);
    });
    fc1.log(x.shape().with(-1, fc1.weight.dim(0))), fc2.log(y.shape());
    return y;
  }
  void visit(auto&& parts) { parts("fc1", fc1), parts("fc2", fc2); }

  Linear<T> fc1, fc2;
  Activation activation;
};

}  // namespace gram
