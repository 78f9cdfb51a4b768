// SPDX-License-Identifier: MIT
#pragma once
#include "gram/ops/elementwise.hpp"

namespace gram {

// Operations of two tensors broadcast as in numpy: (N, H, W, C) with (C), (N, 1, 1, C), () and so on. All
// throw ShapeError when the shapes do not broadcast. Gradients are summed over the repeated axes, in an order
// that does not depend on threads.

/// y = a + b
template <Scalar T>
Tensor<T> add(const Tensor<T>& a, const Tensor<T>& b) {  // da = dy, db = dy
  return detail::binary("add", kernels::Binary::add, kernels::BinaryGrad::pass, kernels::BinaryGrad::pass, a,
                        b);
}
/// y = a - b
template <Scalar T>
Tensor<T> sub(const Tensor<T>& a, const Tensor<T>& b) {  // da = dy, db = -dy
  return detail::binary("sub", kernels::Binary::sub, kernels::BinaryGrad::pass, kernels::BinaryGrad::negate,
                        a, b);
}
/// y = a b
template <Scalar T>
Tensor<T> mul(const Tensor<T>& a, const Tensor<T>& b) {  // da = dy b, db = dy a
  return detail::binary("mul", kernels::Binary::mul, kernels::BinaryGrad::times, kernels::BinaryGrad::times,
                        a, b);
}
/// y = a / b
template <Scalar T>
Tensor<T> div(const Tensor<T>& a, const Tensor<T>& b) {  // da = dy / b, db = -dy a / b^2
  return detail::binary("div", kernels::Binary::div, kernels::BinaryGrad::over, kernels::BinaryGrad::under, a,
                        b);
}
/// y = min(a, b), NaN where either is. Where a = b, half of the gradient goes to each.
template <Scalar T>
Tensor<T> minimum(const Tensor<T>& a, const Tensor<T>& b) {
  constexpr auto grad = kernels::BinaryGrad::minimum;
  return detail::binary("minimum", kernels::Binary::minimum, grad, grad, a, b);
}
/// y = max(a, b), NaN where either is. Where a = b, half of the gradient goes to each.
template <Scalar T>
Tensor<T> maximum(const Tensor<T>& a, const Tensor<T>& b) {
  constexpr auto grad = kernels::BinaryGrad::maximum;
  return detail::binary("maximum", kernels::Binary::maximum, grad, grad, a, b);
}

/// y = x + c
template <Scalar T>
Tensor<T> add(const Tensor<T>& x, double c) {
  return detail::unary("add", kernels::Unary::affine, x, {1, c});
}
/// y = c x
template <Scalar T>
Tensor<T> mul(const Tensor<T>& x, double c) {
  return detail::unary("mul", kernels::Unary::affine, x, {c});
}
/// y = -x
template <Scalar T>
Tensor<T> neg(const Tensor<T>& x) {
  return detail::unary("neg", kernels::Unary::affine, x, {-1});
}
/// y = e^x
template <Scalar T>
Tensor<T> exp(const Tensor<T>& x) {  // dx = dy y
  return detail::unary("exp", kernels::Unary::exp, x);
}
/// y = log x, the natural logarithm; -inf at 0, NaN below.
template <Scalar T>
Tensor<T> log(const Tensor<T>& x) {  // dx = dy / x
  return detail::unary("log", kernels::Unary::log, x);
}
/// y = sqrt x; the gradient at 0 is infinite.
template <Scalar T>
Tensor<T> sqrt(const Tensor<T>& x) {  // dx = dy / (2 y)
  return detail::unary("sqrt", kernels::Unary::sqrt, x);
}
/// y = |x|, with gradient 0 at 0.
template <Scalar T>
Tensor<T> abs(const Tensor<T>& x) {  // dx = dy sign(x)
  return detail::unary("abs", kernels::Unary::abs, x);
}
/// y = x^p
template <Scalar T>
Tensor<T> pow(const Tensor<T>& x, double p) {  // dx = dy p x^(p-1)
  return detail::unary("pow", kernels::Unary::pow, x, {p});
}
/// y = x kept inside [low, high]. The gradient passes inside the closed interval. Throws ArgumentError unless
/// low <= high.
template <Scalar T>
Tensor<T> clamp(const Tensor<T>& x, double low, double high) {
  require<ArgumentError>(low <= high, "clamp: low is ", low, ", but high is ", high,
                         "; low <= high is needed");
  return detail::unary("clamp", kernels::Unary::clamp, x, {low, high});
}

template <Scalar T>
Tensor<T> operator+(const Tensor<T>& a, const Tensor<T>& b) {
  return add(a, b);
}
template <Scalar T>
Tensor<T> operator-(const Tensor<T>& a, const Tensor<T>& b) {
  return sub(a, b);
}
template <Scalar T>
Tensor<T> operator*(const Tensor<T>& a, const Tensor<T>& b) {
  return mul(a, b);
}
template <Scalar T>
Tensor<T> operator/(const Tensor<T>& a, const Tensor<T>& b) {
  return div(a, b);
}
template <Scalar T>
Tensor<T> operator-(const Tensor<T>& x) {
  return neg(x);
}

template <Scalar T>
Tensor<T> operator+(const Tensor<T>& x, double c) {
  return add(x, c);
}
template <Scalar T>
Tensor<T> operator+(double c, const Tensor<T>& x) {
  return add(x, c);
}
template <Scalar T>
Tensor<T> operator-(const Tensor<T>& x, double c) {
  return add(x, -c);
}
template <Scalar T>
Tensor<T> operator-(double c, const Tensor<T>& x) {
  return detail::unary("sub", kernels::Unary::affine, x, {-1, c});
}
template <Scalar T>
Tensor<T> operator*(const Tensor<T>& x, double c) {
  return mul(x, c);
}
template <Scalar T>
Tensor<T> operator*(double c, const Tensor<T>& x) {
  return mul(x, c);
}
template <Scalar T>
Tensor<T> operator/(const Tensor<T>& x, double c) {
  return mul(x, 1 / c);
}
template <Scalar T>
Tensor<T> operator/(double c, const Tensor<T>& x) {  // dx = -dy c / x^2
  return detail::unary("div", kernels::Unary::quotient, x, {c});
}

}  // namespace gram
