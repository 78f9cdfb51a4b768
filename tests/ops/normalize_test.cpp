// SPDX-License-Identifier: MIT
#include "gram/ops/normalize.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;

namespace {

template <class T>
void compare_with_plain_loop(double tolerance) {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 2}, Shape{2, 37, 19}, Shape{2, 3, 64}})
    for (const int axis : {0, 1, 2}) {
      const auto x = randn<T>(shape, 1);
      const AxisView v(shape, axis, axis + 1);
      const auto expected = generate<T>(shape, [&](Index i) {
        double squares = 0;
        for (Index r = 0; r < v.n; ++r) {
          const auto value =
              static_cast<double>(x.data()[(i / v.inner / v.n * v.n + r) * v.inner + i % v.inner]);
          squares += value * value;
        }
        return static_cast<double>(x.data()[i]) / std::sqrt(squares);
      });
      CHECK(close(l2_normalize(x, axis), expected, tolerance));
    }
}

}  // namespace

TEST_CASE("l2_normalize agrees with a plain loop along every axis") {
  test::for_each_isa([] {
    compare_with_plain_loop<float>(1e-6);
    compare_with_plain_loop<double>(1e-14);
    compare_with_plain_loop<bf16>(0.01);
  });
}

TEST_CASE("gradients of l2_normalize agree with central differences") {
  for (const Shape& shape : {Shape{2, 2, 2}, Shape{3, 5, 2}, Shape{2, 3, 33}})
    for (const int axis : {0, 1, -1}) {
      const auto x = randn<double>(shape, 3);
      CHECK(gradcheck([=](const auto& t) { return l2_normalize(t, axis); }, x) < 1e-6);
      CHECK(gradcheck([=](const auto& t) { return l2_normalize(t, axis, 100); }, x) < 1e-6);
      CHECK(gradcheck(
                [=](const auto& t) {
                  return std::vector{l2_normalize(t), l2_normalize(t, axis)};
                },
                x) < 1e-6);
    }
}

TEST_CASE("a vector shorter than epsilon is divided by epsilon") {
  for (const int axis : {0, 1}) {
    Tensor<double> x(axis == 0 ? Shape{2, 1} : Shape{1, 2}, {3e-3, 4e-3});
    x.set_requires_grad();
    const auto y = l2_normalize(x, axis, 0.1);
    CHECK(close(y, {0.03, 0.04}, 1e-15));
    backward(y, ones<double>(x.shape()));
    CHECK(close(x.grad(), {10.0, 10.0}, 1e-14));
    CHECK(close(l2_normalize(zeros<double>({2, 3}), axis), zeros<double>({2, 3}), 0));
  }
}

TEST_CASE("l2_normalize does not depend on the number of threads") {
  const auto x = randn<float>({4, 300, 200}, 1);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{l2_normalize(x), l2_normalize(x, 1),
                       test::gradient_of([](const auto& t) { return l2_normalize(t); }, x),
                       test::gradient_of([](const auto& t) { return l2_normalize(t, 0); }, x)};
  }));
}

TEST_CASE("l2_normalize names a wrong axis and a wrong epsilon") {
  const Tensor<float> x(Shape{2, 3});
  CHECK(error_of([&] { l2_normalize(x, -3); }) == "l2_normalize: x has shape (2, 3), but no axis -3");
  CHECK(error_of([&] { l2_normalize(x, 0, -1); }) == "l2_normalize: epsilon is -1; it must not be negative");
  CHECK(l2_normalize(Tensor<float>(Shape{2, 0})).shape() == Shape{2, 0});
}
