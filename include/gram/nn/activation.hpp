// SPDX-License-Identifier: MIT
#pragma once
#include "gram/ops/activation.hpp"

namespace gram {

/// Element-wise non-linearities by name, for options of layers.
enum class Activation { none, relu, relu6, gelu, gelu_tanh, silu, sigmoid, tanh, hardswish, softplus };

/// The non-linearity of that name applied to x.
template <Scalar T>
Tensor<T> activate(Activation kind, const Tensor<T>& x) {
  switch (kind) {
    case Activation::none:
      break;
    case Activation::relu:
      return relu(x);
    case Activation::relu6:
      return relu6(x);
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh:
      return gelu_tanh(x);
    case Activation::silu:
      return silu(x);
    case Activation::sigmoid:
      return sigmoid(x);
    case Activation::tanh:
      return tanh(x);
    case Activation::hardswish:
      return hardswish(x);
    case Activation::softplus:
      return softplus(x);
  }
  return x;
}

/// A non-linearity as a layer.
template <Scalar T>
struct Activate {
  Tensor<T> operator()(const Tensor<T>& x) const { return activate(kind, x); }
  void visit(auto&&) {}

  Activation kind = Activation::relu;
};

}  // namespace gram
