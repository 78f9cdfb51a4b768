// SPDX-License-Identifier: MIT
// Names of the element-wise operations.
#pragma once

namespace gram::kernels {

/// Operations of one operand. affine: a x + b; quotient: a / x; pow: x^a; clamp: to [a, b].
enum class Unary {
  affine,
  quotient,
  exp,
  log,
  sqrt,
  abs,
  pow,
  clamp,
  relu,
  relu6,
  gelu,
  gelu_tanh,
  silu,
  sigmoid,
  tanh,
  hardswish,
  softplus
};
/// The numbers a and b of an operation. -0.0 is the addend that changes nothing, not even the sign of zero.
struct Constants {
  double a = 0, b = -0.0;
};
/// What the gradient of an operation reads besides dy.
enum class Kept { nothing, x, y };
constexpr Kept kept_by(Unary op) {
  switch (op) {
    case Unary::affine:
      return Kept::nothing;
    case Unary::exp:
    case Unary::sqrt:
    case Unary::relu:
    case Unary::relu6:
    case Unary::sigmoid:
    case Unary::tanh:
      return Kept::y;
    default:
      return Kept::x;
  }
}

enum class Binary { add, sub, mul, div, minimum, maximum };
/// The gradient with respect to one operand ("mine") of a binary operation:
/// pass dy; negate -dy; times dy other; over dy / other; under -dy other / mine^2 (mine is the divisor);
/// minimum, maximum: dy where mine is the result, dy / 2 where both are. pass and negate do not read the
/// operands.
enum class BinaryGrad { pass, negate, times, over, under, minimum, maximum };

}  // namespace gram::kernels
