// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/parameter.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

/// y = gamma x with a learned factor for every channel, small at first (arXiv:2103.17239). x (..., C), gamma
/// (C).
template <Scalar T>
struct LayerScale {
  struct Options {
    Index channels = 0;
    double value = 1e-4;
  };

  explicit LayerScale(const Options& o) {
    require<ArgumentError>(o.channels > 0, "LayerScale: ", o.channels, " channels; at least one is needed");
    gamma = Parameter<T>(full(Shape{o.channels}, static_cast<T>(o.value)));
  }

  Tensor<T> operator()(const Tensor<T>& x) const { return mul(x, gamma); }
  void visit(auto&& parts) { parts("gamma", gamma); }

  Parameter<T> gamma;
};

}  // namespace gram
