// SPDX-License-Identifier: MIT
#include "gram/cpu/pointwise_loss.hpp"

#include <cmath>

#include "gram/core/gradient_sink.hpp"
#include "gram/tensor/create.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

template <class T>
constexpr double rounding = std::is_same_v<T, double>  ? 1e-12
                            : std::is_same_v<T, float> ? 2e-6
                                                       : 1e-2;

/// A loss and its derivatives with respect to both arguments.
struct Formula {
  double (*loss)(double a, double b);
  double (*da)(double a, double b);
  double (*db)(double a, double b);
};
const Formula entropy{
    [](double a, double b) { return std::max(a, 0.0) - a * b + std::log1p(std::exp(-std::abs(a))); },
    [](double a, double b) { return 1 / (1 + std::exp(-a)) - b; },
    [](double a, double) { return -a; },
};
const Formula divergence{
    [](double a, double b) { return std::exp(b) * (b - a); },
    [](double, double b) { return -std::exp(b); },
    [](double a, double b) { return std::exp(b) * (b - a + 1); },
};

template <class T>
void compare(kernels::PointwiseLoss kind, const Formula& formula) {
  for (const Index n : {0, 1, 15, 64, 4096, 9001}) {
    CAPTURE(n);
    const auto a = randn<T>({n}, 1), b = randn<T>({n}, 2), before = randn<T>({n}, 3);
    const auto each = [&](auto&& f) {
      return generate<T>({n}, [&](Index i) {
        return static_cast<T>(f(static_cast<double>(a.data()[i]), static_cast<double>(b.data()[i]),
                                static_cast<double>(before.data()[i])));
      });
    };
    double expected = 0;
    for (Index i = 0; i < n; ++i)
      expected += 0.5 * formula.loss(static_cast<double>(a.data()[i]), static_cast<double>(b.data()[i]));
    T loss = T(0);
    kernels::pointwise_loss(Cpu(), kind, a.data(), b.data(), &loss, n, 0.5);
    CHECK(static_cast<double>(loss) == doctest::Approx(expected).epsilon(rounding<T>));

    const auto da = before.clone(), db = before.clone();
    const T dy = T(2);
    kernels::pointwise_loss_grad(Cpu(), kind, a.data(), b.data(), &dy, GradientSink<T>{da.data(), true},
                                 GradientSink<T>{db.data(), false}, n, 0.5);
    CHECK(test::close(da, each([&](double x, double y, double z) { return z + formula.da(x, y); }),
                      rounding<T>));
    CHECK(test::close(db, each([&](double x, double y, double) { return formula.db(x, y); }), rounding<T>));
    kernels::pointwise_loss_grad(Cpu(), kind, a.data(), b.data(), &dy, GradientSink<T>{},
                                 GradientSink<T>{db.data(), true}, n, 0.5);
    CHECK(
        test::close(db, each([&](double x, double y, double) { return 2 * formula.db(x, y); }), rounding<T>));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("binary cross-entropy and its gradients, written, added and left out", T, float, double,
                   bf16) {
  test::for_each_isa([] { compare<T>(kernels::PointwiseLoss::binary_cross_entropy, entropy); });
}

TEST_CASE_TEMPLATE("KL divergence and its gradients, written, added and left out", T, float, double, bf16) {
  test::for_each_isa([] { compare<T>(kernels::PointwiseLoss::kl_divergence, divergence); });
}
