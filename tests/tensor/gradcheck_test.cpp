// SPDX-License-Identifier: MIT
#include "gram/tensor/gradcheck.hpp"

#include "gram/ops/arithmetic.hpp"
#include "support.hpp"

using namespace gram;

namespace {

/// y = x^2 with a gradient that is `factor` times the right one.
Tensor<double> wrong_square(const Tensor<double>& x, double factor) {
  const Tensor<double> y = generate<double>(x.shape(), [&](Index i) { return x.data()[i] * x.data()[i]; });
  return record(
      "wrong_square", y, {x}, [x = x.detach(), dx = x.gradient(), factor](const Tensor<double>& dy) {
        dx.add(generate<double>(x.shape(), [&](Index i) { return factor * 2 * x.data()[i] * dy.data()[i]; }));
      });
}

}  // namespace

TEST_CASE("gradcheck accepts the right gradient and no other") {
  const auto x = randn<double>({4, 3}, 1);
  CHECK(gradcheck([](const auto& t) { return wrong_square(t, 1); }, x) < 1e-8);
  CHECK(gradcheck([](const auto& t) { return wrong_square(t, -1); }, x) > 1);
  CHECK(gradcheck([](const auto& t) { return wrong_square(t, 1.001); }, x) > 1e-4);
  CHECK(gradcheck([](const auto& t) { return wrong_square(t, NAN); }, x) == HUGE_VAL);
  CHECK(gradcheck([](const auto& t) { return t + full<double>({4, 3}, NAN); }, x) == HUGE_VAL);
}

TEST_CASE("gradcheck sees a gradient that is missing") {
  const auto x = rand<double>({3}, 1, 2, 1);
  CHECK(gradcheck([](const auto& t) { return t + t.detach() * t.detach(); }, x) > 0.1);
}

TEST_CASE("gradcheck takes several inputs and several results, and changes no input") {
  const auto a = randn<double>({3}, 1), b = randn<double>({3}, 2);
  const auto before = a.clone();
  CHECK(gradcheck(
            [](const auto& x, const auto& y) {
              return std::vector{x * y, x + y, x * x};
            },
            a, b) < 1e-8);
  CHECK(test::identical(a, before));
  CHECK(!a.requires_grad());
}
