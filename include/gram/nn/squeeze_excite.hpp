// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/pointwise.hpp"
#include "gram/ops/activation.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/pool.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// The nearest multiple of 8 (halves go up), at least 8: the reduced width of squeeze-and-excitation in
/// timm's ResNets.
inline Index rounded_to_eight(double channels) {
  return (std::max)(Index{8}, static_cast<Index>((channels + 4) / 8) * 8);
}

/// Squeeze-and-excitation, y = x sigmoid(fc2(relu(fc1(mean of x over the map)))) (arXiv:1709.01507, eq. 2 to
/// 4). x (N, H, W, C); fc1 to `reduced` channels and fc2 back, both with bias, in files as 1x1 convolutions.
template <Scalar T>
struct SqueezeExcite {
  struct Options {
    Index channels = 0, reduced = 0;
    Init init = Init::pytorch;
  };

  SqueezeExcite(const Options& o, Rng& rng)
      : fc1({.in = o.channels, .out = o.reduced, .init = o.init}, rng),
        fc2({.in = o.reduced, .out = o.channels, .init = o.init}, rng) {}

  Tensor<T> operator()(const Tensor<T>& x) const {
    const Tensor<T> scale = sigmoid(fc2(relu(fc1(global_avg_pool(x)))));
    return mul(x, reshape(scale, {x.dim(0), 1, 1, x.dim(-1)}));
  }
  void visit(auto&& parts) { parts("fc1", fc1), parts("fc2", fc2); }

  Pointwise<T> fc1, fc2;
};

}  // namespace gram
