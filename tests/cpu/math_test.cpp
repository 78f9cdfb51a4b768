// SPDX-License-Identifier: MIT
// Vector functions of every instruction set against libm in double, in units in the last place.
#include <limits>
#include <numbers>
#include <vector>

#include "gram/cpu/elementwise.hpp"
#include "isa_and_threads.hpp"

using namespace gram;
using kernels::Unary;

namespace {

/// |a - b| in units in the last place of b rounded to float; denormal numbers count as the smallest normal
/// one.
double ulps(float a, double b) {
  if (a == static_cast<float>(b)) return 0;
  const double size = std::max(std::abs(b), 0x1p-126);
  return std::abs(static_cast<double>(a) - b) / std::exp2(std::floor(std::log2(size)) - 23);
}

std::vector<float> line(double low, double high, int n) {
  std::vector<float> x;
  for (int i = 0; i <= n; ++i) x.push_back(static_cast<float>(low + (high - low) * i / n));
  return x;
}

std::vector<float> apply(Unary op, const std::vector<float>& x) {
  std::vector<float> y(x.size());
  kernels::unary(Cpu{}, op, x.data(), y.data(), static_cast<Index>(x.size()));
  return y;
}

/// The largest error of op over the points, in the instruction set that is set.
double worst(Unary op, double (*exact)(double), const std::vector<float>& x) {
  const std::vector<float> y = apply(op, x);
  double error = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    error = std::max(error, ulps(y[i], exact(static_cast<double>(x[i]))));
  return error;
}

double exact_gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
double exact_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double exact_silu(double x) { return x * exact_sigmoid(x); }
double exact_softplus(double x) { return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0); }
double exact_gelu_tanh(double x) {
  return x * exact_sigmoid(2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x));
}

constexpr float infinity = std::numeric_limits<float>::infinity();
const float nan_value = std::numeric_limits<float>::quiet_NaN();

}  // namespace

TEST_CASE("exp of floats is exact to 2 units in the last place over the whole range") {
  test::for_each_isa([] {
    CHECK(worst(Unary::exp, std::exp, line(-87.3, 88.7, 200000)) < 2);
    CHECK(worst(Unary::exp, std::exp, line(-1e-3, 1e-3, 20000)) < 2);
    const auto y = apply(Unary::exp, {0, -infinity, infinity, 88.8F, -200, nan_value});
    CHECK(y[0] == 1);
    CHECK(y[1] == 0);
    CHECK(y[2] == infinity);
    CHECK(y[3] == infinity);
    CHECK(y[4] == 0);
    CHECK(std::isnan(y[5]));
  });
}

TEST_CASE("log of floats is exact to 2 units in the last place, denormal numbers included") {
  test::for_each_isa([] {
    CHECK(worst(Unary::log, std::log, line(1e-3, 4, 200000)) < 2);
    CHECK(worst(Unary::log, std::log, line(0.99, 1.01, 20000)) < 2);
    std::vector<float> powers;
    for (int e = -149; e < 128; ++e) powers.push_back(std::ldexp(1.3F, e));
    CHECK(worst(Unary::log, std::log, powers) < 2);
    const auto y = apply(Unary::log, {1, 0, -1, infinity, nan_value, -infinity});
    CHECK(y[0] == 0);
    CHECK(y[1] == -infinity);
    CHECK(std::isnan(y[2]));
    CHECK(y[3] == infinity);
    CHECK(std::isnan(y[4]));
    CHECK(std::isnan(y[5]));
  });
}

TEST_CASE("tanh, sigmoid, silu and softplus of floats are exact to a few units in the last place") {
  test::for_each_isa([] {
    CHECK(worst(Unary::tanh, std::tanh, line(-12, 12, 200000)) < 3);
    CHECK(worst(Unary::tanh, std::tanh, line(-1e-3, 1e-3, 2001)) < 3);
    CHECK(worst(Unary::sigmoid, exact_sigmoid, line(-80, 80, 200000)) < 4);
    CHECK(worst(Unary::silu, exact_silu, line(-80, 80, 200000)) < 4);
    CHECK(worst(Unary::softplus, exact_softplus, line(-80, 80, 200000)) < 4);
    for (const Unary op :
         {Unary::tanh, Unary::sigmoid, Unary::silu, Unary::softplus, Unary::gelu, Unary::gelu_tanh})
      CHECK(std::isnan(apply(op, {nan_value})[0]));
    CHECK(apply(Unary::tanh, {-infinity, infinity}) == std::vector<float>{-1, 1});
    CHECK(apply(Unary::sigmoid, {-infinity, infinity}) == std::vector<float>{0, 1});
    CHECK(apply(Unary::softplus, {-infinity, infinity}) == std::vector<float>{0, infinity});
  });
}

TEST_CASE("gelu of floats has no cancellation in the tail") {
  test::for_each_isa([] {
    CHECK(worst(Unary::gelu, exact_gelu, line(0, 10, 200000)) < 3);
    CHECK(worst(Unary::gelu, exact_gelu, line(-1, 0, 100000)) < 5);
    CHECK(worst(Unary::gelu, exact_gelu, line(-3, -1, 100000)) < 20);
    CHECK(worst(Unary::gelu, exact_gelu, line(-5.5, -3, 100000)) < 70);
    double error = 0;
    const auto x = line(-1000, 1000, 200001), y = apply(Unary::gelu, x);
    for (std::size_t i = 0; i < x.size(); ++i)
      error = std::max(error, std::abs(static_cast<double>(y[i]) - exact_gelu(static_cast<double>(x[i]))) /
                                  std::max(1.0, std::abs(static_cast<double>(x[i]))));
    CHECK(error < 2.4e-7);
    CHECK(std::abs(apply(Unary::gelu, {-1e30F})[0]) < 1e-8F);
    CHECK(worst(Unary::gelu_tanh, exact_gelu_tanh, line(0, 10, 100000)) < 4);
    CHECK(worst(Unary::gelu_tanh, exact_gelu_tanh, line(-3, 0, 100000)) < 20);
  });
}

TEST_CASE("the float gradients of gelu agree with those in double") {
  test::for_each_isa([] {
    const auto x = line(-8, 8, 10001);
    const Index n = static_cast<Index>(x.size());
    std::vector<double> wide(x.begin(), x.end()), one(x.size(), 1), exact(x.size());
    std::vector<float> ones(x.size(), 1), slope(x.size());
    for (const Unary op : {Unary::gelu, Unary::gelu_tanh, Unary::silu, Unary::softplus}) {
      kernels::unary_grad(Cpu{}, op, x.data(), ones.data(), slope.data(), false, n);
      kernels::unary_grad(Cpu{}, op, wide.data(), one.data(), exact.data(), false, n);
      double error = 0;
      for (std::size_t i = 0; i < x.size(); ++i)
        error = std::max(error, std::abs(static_cast<double>(slope[i]) - exact[i]));
      CHECK(error < 5e-7);
    }
  });
}

TEST_CASE("double vectors have libm's accuracy") {
  test::for_each_isa([] {
    for (Index i = -60; i <= 60; ++i) {
      const double x = static_cast<double>(i) / 7;
      double y = 0;
      kernels::unary(Cpu{}, Unary::gelu, &x, &y, 1);
      CHECK(y == doctest::Approx(exact_gelu(x)).epsilon(1e-14));
      kernels::unary(Cpu{}, Unary::exp, &x, &y, 1);
      CHECK(y == std::exp(x));
      kernels::unary(Cpu{}, Unary::tanh, &x, &y, 1);
      CHECK(y == std::tanh(x));
    }
  });
}
