// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/activation.hpp"
#include "gram/nn/linear.hpp"

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

  Tensor<T> operator()(const Tensor<T>& x) const {
    if (prepared()) return inference(x, {});
    return fc2(activate(activation, fc1(x)));
  }
  /// True when calls run what fuse_for_inference() asked for.
  bool prepared() const { return fc1.prepared() && fc2.prepared(); }
  /// layer(x) [+ residual] without a gradient: GELU and the sum happen on the tiles of the products.
  Tensor<T> inference(const Tensor<T>& x, const Tensor<T>& residual) const {
    const bool gelu = activation == Activation::gelu;
    const Tensor<T> hidden = fc1.inference(x, {}, gelu);
    return fc2.inference(gelu ? hidden : activate(activation, hidden), residual);
  }
  void visit(auto&& parts) { parts("fc1", fc1), parts("fc2", fc2); }

  Linear<T> fc1, fc2;
  Activation activation;
};

}  // namespace gram
