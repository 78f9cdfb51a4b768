// SPDX-License-Identifier: MIT
#pragma once
#include "gram/ops/elementwise.hpp"

namespace gram {

/// y = max(x, 0), with gradient 0 at 0. Keeps y for the backward pass.
template <Scalar T>
Tensor<T> relu(const Tensor<T>& x) {  // dx = dy where y > 0
  return detail::unary("relu", kernels::Unary::relu, x);
}
/// y = min(max(x, 0), 6), with gradient 0 at 0 and 6 (arXiv:1801.04381).
template <Scalar T>
Tensor<T> relu6(const Tensor<T>& x) {  // dx = dy where 0 < y < 6
  return detail::unary("relu6", kernels::Unary::relu6, x);
}
/// Exact GELU, y = x Phi(x), Phi the standard normal distribution (arXiv:1606.08415).
template <Scalar T>
Tensor<T> gelu(const Tensor<T>& x) {  // dx = dy (Phi(x) + x phi(x))
  return detail::unary("gelu", kernels::Unary::gelu, x);
}
/// GELU with Phi(x) replaced by (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 (arXiv:1606.08415).
template <Scalar T>
Tensor<T> gelu_tanh(const Tensor<T>& x) {
  return detail::unary("gelu_tanh", kernels::Unary::gelu_tanh, x);
}
/// y = x sigmoid(x), also called swish (arXiv:1606.08415, arXiv:1710.05941).
template <Scalar T>
Tensor<T> silu(const Tensor<T>& x) {  // dx = dy s (1 + x (1 - s)), s = sigmoid(x)
  return detail::unary("silu", kernels::Unary::silu, x);
}
/// y = 1 / (1 + e^-x)
template <Scalar T>
Tensor<T> sigmoid(const Tensor<T>& x) {  // dx = dy y (1 - y)
  return detail::unary("sigmoid", kernels::Unary::sigmoid, x);
}
/// y = tanh(x)
template <Scalar T>
Tensor<T> tanh(const Tensor<T>& x) {  // dx = dy (1 - y^2)
  return detail::unary("tanh", kernels::Unary::tanh, x);
}
/// y = x min(max(x + 3, 0), 6) / 6 (arXiv:1905.02244).
template <Scalar T>
Tensor<T> hardswish(const Tensor<T>& x) {  // dx = dy (x / 3 + 1 / 2) for |x| <= 3, else 0 or dy
  return detail::unary("hardswish", kernels::Unary::hardswish, x);
}
/// y = log(1 + e^x)
template <Scalar T>
Tensor<T> softplus(const Tensor<T>& x) {  // dx = dy sigmoid(x)
  return detail::unary("softplus", kernels::Unary::softplus, x);
}

}  // namespace gram
