// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/pointwise.hpp"
#include "gram/ops/activation.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// fc2(shuffle(gelu(fc1(x)))) with both layers in groups; the shuffle between them mixes the groups, in the
/// order of the Gramian heads: hidden channel i G + j becomes j (hidden/G) + i. x (..., C); both layers are
/// 1x1 convolutions in files.
template <Scalar T>
struct GroupedMlp {
  struct Options {
    Index channels = 0, hidden = 0;
    Index groups = 1;
    Init init = Init::pytorch;
  };

  GroupedMlp(const Options& o, Rng& rng)
      : fc1({.in = o.channels, .out = o.hidden, .groups = o.groups, .init = o.init}, rng),
        fc2({.in = o.hidden, .out = o.channels, .groups = o.groups, .init = o.init}, rng) {}

  /// layer(x) [+ residual], the sum made where the second product is; residual (..., C) or {}.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    return fc2(channel_shuffle(gelu(fc1(x)), fc1.groups, ShuffleOrder::gram_head), residual);
  }
  void visit(auto&& parts) { parts("fc1", fc1), parts("fc2", fc2); }

  Pointwise<T> fc1, fc2;
};

}  // namespace gram
