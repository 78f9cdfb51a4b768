// SPDX-License-Identifier: MIT
// Formulas of the element-wise operations for one value of A = float or double: value(x) is f(x); grad(x, dy)
// or grad(y, dy) is dy f'(x), written with what kernels::kept_by names. They are those of
// cpu/elementwise.inl, and read nothing of CUDA: host code can call them.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "gram/cuda/qualifier.hpp"

namespace gram::cuda {

template <class A>
GRAM_DEVICE A sigmoid(A x) {
  return 1 / (1 + std::exp(-x));
}
/// Also 1 - sigmoid(x), without cancellation.
template <class A>
GRAM_DEVICE A sigmoid(A x, A& complement) {
  const A limit = std::is_same_v<A, float> ? A(80) : A(700);  // keeps e^-x finite
  const A e = std::exp(-x > limit ? limit : -x), s = 1 / (1 + e);
  complement = e * s;
  return s;
}

/// Phi(-a), the tail of the standard normal distribution, for a in [0, 6]: 2 to a polynomial fitted to log2
/// Phi(-a), without branches and without cancellation; see cpu/math.inl.
GRAM_DEVICE float normal_tail(float a) {
  const float a2 = a * a, magic = 12582912;
  const float q0 =
      std::fma(std::fma(a, -6.982418169e-3F, 5.247554400e-2F), a2, std::fma(a, 0.4592075599F, 1.151105748F));
  const float q1 = std::fma(std::fma(a, 1.366967524e-5F, -8.360772864e-5F), a2,
                            std::fma(a, 2.862742551e-4F, 1.137716506e-5F));
  const float q2 = std::fma(a2, -2.086194412e-9F, std::fma(a, 8.070609836e-8F, -1.382237875e-6F));
  const float z = -a * std::fma(std::fma(q2, a2 * a2, q1), a2 * a2, q0);
  const float shifted = z + magic, f = z - (shifted - magic), f2 = f * f;
  const float low =
      std::fma(std::fma(f, 5.550328998e-2F / 2, 0.2402264661F / 2), f2, std::fma(f, 0.6931472056F / 2, 0.5F));
  const float high = std::fma(f2, 1.533757676e-4F / 2, std::fma(f, 1.339986036e-3F / 2, 9.618519535e-3F / 2));
  const auto power = std::bit_cast<std::uint32_t>(std::fma(high, f2 * f2, low));
  return std::bit_cast<float>(power + (std::bit_cast<std::uint32_t>(shifted) << 23U));
}
GRAM_DEVICE float normal_tail_of(float x) {
  const float a = std::fabs(x);
  return normal_tail(a < 6 ? a : 6);
}

/// x Phi(x), Phi the standard normal distribution.
GRAM_DEVICE float gelu(float x) {
  const float a = std::fabs(x);
  return std::fma(a < 6 ? -a : -6, normal_tail_of(x), x < 0 ? 0 : x);
}
GRAM_DEVICE double gelu(double x) { return x * 0.5 * std::erfc(-0.70710678118654752440 * x); }
/// Phi(x) + x phi(x)
GRAM_DEVICE float gelu_slope(float x) {
  const float t = normal_tail_of(x), density = 0.3989422804F * std::exp(-0.5F * x * x);
  return std::fma(x, density, x < 0 ? t : 1 - t);
}
GRAM_DEVICE double gelu_slope(double x) {
  return 0.5 * std::erfc(-0.70710678118654752440 * x) + 0.39894228040143267794 * x * std::exp(-0.5 * x * x);
}

/// The constants of an operation.
template <class A>
struct Formula {
  A a, b;
};

template <class A>
struct Affine : Formula<A> {
  GRAM_DEVICE A value(A x) const { return std::fma(x, this->a, this->b); }
  GRAM_DEVICE A grad(A, A dy) const { return dy * this->a; }
};
template <class A>
struct Quotient : Formula<A> {
  GRAM_DEVICE A value(A x) const { return this->a / x; }
  GRAM_DEVICE A grad(A x, A dy) const { return -dy * this->a / (x * x); }
};
template <class A>
struct Exp : Formula<A> {
  GRAM_DEVICE static A value(A x) { return std::exp(x); }
  GRAM_DEVICE static A grad(A y, A dy) { return dy * y; }
};
template <class A>
struct Log : Formula<A> {
  GRAM_DEVICE static A value(A x) { return std::log(x); }
  GRAM_DEVICE static A grad(A x, A dy) { return dy / x; }
};
template <class A>
struct Sqrt : Formula<A> {
  GRAM_DEVICE static A value(A x) { return std::sqrt(x); }
  GRAM_DEVICE static A grad(A y, A dy) { return A(0.5) * dy / y; }
};
template <class A>
struct Abs : Formula<A> {
  GRAM_DEVICE static A value(A x) { return x < 0 ? -x : x; }
  GRAM_DEVICE static A grad(A x, A dy) { return x > 0 ? dy : x < 0 ? -dy : A(0); }
};
template <class A>
struct Pow : Formula<A> {
  GRAM_DEVICE A value(A x) const { return std::pow(x, this->a); }
  // x^0 is 1 everywhere: its gradient is 0, also where 0 x^-1 has no value
  GRAM_DEVICE A grad(A x, A dy) const {
    return this->a == 0 ? A(0) : dy * this->a * std::pow(x, this->a - 1);
  }
};
template <class A>
struct Clamp : Formula<A> {
  GRAM_DEVICE A value(A x) const { return x < this->a ? this->a : x > this->b ? this->b : x; }
  GRAM_DEVICE A grad(A x, A dy) const { return x < this->a || x > this->b ? A(0) : dy; }
};
template <class A>
struct Relu : Formula<A> {
  GRAM_DEVICE static A value(A x) { return x < 0 ? A(0) : x; }
  GRAM_DEVICE static A grad(A y, A dy) { return y <= 0 ? A(0) : dy; }
};
template <class A>
struct Relu6 : Formula<A> {
  GRAM_DEVICE static A value(A x) { return x < 0 ? A(0) : x > 6 ? A(6) : x; }
  GRAM_DEVICE static A grad(A y, A dy) { return y <= 0 || y >= 6 ? A(0) : dy; }
};
template <class A>
struct Gelu : Formula<A> {
  GRAM_DEVICE static A value(A x) { return gelu(x); }
  GRAM_DEVICE static A grad(A x, A dy) { return dy * gelu_slope(x); }
};
template <class A>
struct GeluTanh : Formula<A> {  // (1 + tanh u) / 2 = sigmoid(2 u), which does not cancel
  static constexpr A p = A(1.59576912160573071176), q = A(0.044715 * 1.59576912160573071176);
  GRAM_DEVICE static A twice_u(A x) { return x * std::fma(x * x, q, p); }  // p = sqrt(8 / pi)
  GRAM_DEVICE static A value(A x) { return x * sigmoid(twice_u(x)); }
  GRAM_DEVICE static A grad(A x, A dy) {
    A complement;
    const A s = sigmoid(twice_u(x), complement);
    return dy * std::fma(x * s * complement, std::fma(x * x, 3 * q, p), s);
  }
};
template <class A>
struct Silu : Formula<A> {
  GRAM_DEVICE static A value(A x) { return x * sigmoid(x); }
  GRAM_DEVICE static A grad(A x, A dy) {
    A complement;
    const A s = sigmoid(x, complement);
    return dy * s * std::fma(x, complement, A(1));
  }
};
template <class A>
struct Sigmoid : Formula<A> {
  GRAM_DEVICE static A value(A x) { return sigmoid(x); }
  GRAM_DEVICE static A grad(A y, A dy) { return dy * y * (1 - y); }
};
template <class A>
struct Tanh : Formula<A> {
  GRAM_DEVICE static A value(A x) { return std::tanh(x); }
  GRAM_DEVICE static A grad(A y, A dy) { return dy * (1 - y * y); }
};
template <class A>
struct Hardswish : Formula<A> {
  GRAM_DEVICE static A value(A x) {
    const A t = x + 3;
    return x * (t < 0 ? A(0) : t > 6 ? A(6) : t) / 6;
  }
  GRAM_DEVICE static A grad(A x, A dy) { return x < -3 ? A(0) : x > 3 ? dy : dy * (x / 3 + A(0.5)); }
};
template <class A>
struct Softplus : Formula<A> {
  GRAM_DEVICE static A value(A x) { return (x < 0 ? A(0) : x) + std::log1p(std::exp(x < 0 ? x : -x)); }
  GRAM_DEVICE static A grad(A x, A dy) { return dy * sigmoid(x); }
};

template <class A>
struct Add {
  GRAM_DEVICE static A value(A a, A b) { return a + b; }
};
template <class A>
struct Sub {
  GRAM_DEVICE static A value(A a, A b) { return a - b; }
};
template <class A>
struct Mul {
  GRAM_DEVICE static A value(A a, A b) { return a * b; }
};
template <class A>
struct Div {
  GRAM_DEVICE static A value(A a, A b) { return a / b; }
};
template <class A>
struct Minimum {  // NaN when one operand is
  GRAM_DEVICE static A value(A a, A b) { return a < b || a != a ? a : b; }
};
template <class A>
struct Maximum {
  GRAM_DEVICE static A value(A a, A b) { return a > b || a != a ? a : b; }
};

template <class A>
struct Pass {
  GRAM_DEVICE static A grad(A, A, A dy) { return dy; }
};
template <class A>
struct Negate {
  GRAM_DEVICE static A grad(A, A, A dy) { return -dy; }
};
template <class A>
struct Times {
  GRAM_DEVICE static A grad(A, A other, A dy) { return dy * other; }
};
template <class A>
struct Over {
  GRAM_DEVICE static A grad(A, A other, A dy) { return dy / other; }
};
template <class A>
struct Under {
  GRAM_DEVICE static A grad(A mine, A other, A dy) { return -dy * other / (mine * mine); }
};
template <class A>
struct MinimumGrad {
  GRAM_DEVICE static A grad(A mine, A other, A dy) {
    return mine < other ? dy : mine == other ? A(0.5) * dy : A(0);
  }
};
template <class A>
struct MaximumGrad {
  GRAM_DEVICE static A grad(A mine, A other, A dy) {
    return mine > other ? dy : mine == other ? A(0.5) * dy : A(0);
  }
};

}  // namespace gram::cuda
