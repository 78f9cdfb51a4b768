// SPDX-License-Identifier: MIT
#include "gram/ops/softmax.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;

namespace {

template <class T>
Tensor<T> naive(const Tensor<T>& x, int axis, bool logarithm) {
  const AxisView v(x.shape(), axis, axis + 1);
  return generate<T>(x.shape(), [&](Index i) {
    const Index inner = i % v.inner, outer = i / v.inner / v.n;
    const auto value = [&](Index r) {
      return static_cast<double>(x.data()[(outer * v.n + r) * v.inner + inner]);
    };
    double top = value(0), total = 0;
    for (Index r = 1; r < v.n; ++r) top = std::max(top, value(r));
    for (Index r = 0; r < v.n; ++r) total += std::exp(value(r) - top);
    const double shifted = static_cast<double>(x.data()[i]) - top - std::log(total);
    return logarithm ? shifted : std::exp(shifted);
  });
}

template <class T>
void compare_with_plain_loop(double tolerance) {
  for (const Shape& shape :
       {Shape{1, 1, 1}, Shape{3, 5, 2}, Shape{2, 37, 19}, Shape{2, 3, 64}, Shape{1, 9, 100}})
    for (const int axis : {0, 1, 2}) {
      const auto x = generate<T>(shape, [](Index i) {
        return 5 * RandomKey{1, 0}.normal(static_cast<std::uint64_t>(i));
      });
      CHECK(close(softmax(x, axis), naive(x, axis, false), tolerance));
      CHECK(close(log_softmax(x, axis), naive(x, axis, true), tolerance));
    }
}

}  // namespace

TEST_CASE("softmax and log_softmax agree with a plain loop along every axis") {
  test::for_each_isa([] {
    compare_with_plain_loop<float>(1e-6);
    compare_with_plain_loop<double>(1e-14);
    compare_with_plain_loop<bf16>(0.01);
  });
}

TEST_CASE("softmax agrees with reference values") {
  // python3 -c "import math; e=[math.exp(v) for v in (1,2,4)]; print([v/sum(e) for v in e])"
  const Tensor<double> x({3}, {1, 2, 4});
  CHECK(close(softmax(x), {0.04201006613406605, 0.11419519938459449, 0.8437947344813395}, 1e-15));
}

TEST_CASE("softmax of huge and of infinite logits does not overflow") {
  const float infinity = HUGE_VALF;
  const Tensor<float> x({4, 2}, {1e4F, 1e4F, -1e4F, 1e4F, 3e38F, -3e38F, -infinity, 0.F});
  const std::initializer_list<float> expected = {0.5F, 0.5F, 0.F, 1.F, 1.F, 0.F, 0.F, 1.F};
  CHECK(close(softmax(x), expected, 1e-7));
  CHECK(close(softmax(Tensor<float>({2, 1}, {1e4F, 1e4F}), 0), {0.5F, 0.5F}, 1e-7));
  CHECK(close(log_softmax(Tensor<float>({1, 2}, {1e4F, 9.999e3F})), {-0.3132617F, -1.3132617F}, 1e-6));
}

TEST_CASE("gradients of softmax agree with central differences") {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 2}, Shape{2, 3, 33}})
    for (const int axis : {0, 1, -1}) {
      const auto x = randn<double>(shape, 3);
      CHECK(gradcheck([=](const auto& t) { return softmax(t, axis); }, x) < 1e-6);
      CHECK(gradcheck([=](const auto& t) { return log_softmax(t, axis); }, x) < 1e-6);
      CHECK(gradcheck(
                [=](const auto& t) {
                  return std::vector{softmax(t, axis), log_softmax(t, axis)};
                },
                x) < 1e-6);
    }
}

TEST_CASE("softmax does not depend on the number of threads") {
  const auto x = randn<float>({4, 300, 200}, 1);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{softmax(x), log_softmax(x, 1),
                       test::gradient_of([](const auto& t) { return softmax(t); }, x),
                       test::gradient_of([](const auto& t) { return softmax(t, 1); }, x)};
  }));
}

TEST_CASE("softmax of nothing is nothing, and a wrong axis is named") {
  CHECK(softmax(Tensor<float>(Shape{0, 3})).shape() == Shape{0, 3});
  CHECK(softmax(Tensor<float>(Shape{3, 0})).shape() == Shape{3, 0});
  CHECK(log_softmax(Tensor<float>(Shape{3, 0, 2}), 1).shape() == Shape{3, 0, 2});
  CHECK(error_of([] {
          softmax(Tensor<float>(Shape{2, 3}), 2);
        }) == "softmax: x has shape (2, 3), but no axis 2");
}
