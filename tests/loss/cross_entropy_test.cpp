// SPDX-License-Identifier: MIT
#include "gram/loss/cross_entropy.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;
using Labels = Tensor<std::int64_t>;

namespace {

template <class T>
double naive(const Tensor<T>& x, const Tensor<T>& t) {
  double total = 0;
  for (Index row = 0; row < x.dim(0); ++row) {
    double top = -HUGE_VAL, sum = 0;
    for (Index c = 0; c < x.dim(1); ++c) top = std::max(top, static_cast<double>(x.at({row, c})));
    for (Index c = 0; c < x.dim(1); ++c) sum += std::exp(static_cast<double>(x.at({row, c})) - top);
    for (Index c = 0; c < x.dim(1); ++c)
      total +=
          static_cast<double>(t.at({row, c})) * (top + std::log(sum) - static_cast<double>(x.at({row, c})));
  }
  return total / static_cast<double>(x.dim(0));
}

Labels labels_of(Index rows, Index classes) {
  return generate<std::int64_t>({rows}, [=](Index i) { return i * 7 % classes; });
}

template <class T>
void compare_with_plain_loop(double tolerance) {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 10}, Shape{5, 1}, Shape{7, 19}, Shape{3, 1000}}) {
    const auto x = randn<T>(shape, 1);
    const auto labels = labels_of(shape[0], shape[1]);
    const auto value = [](const Tensor<T>& loss) { return static_cast<double>(loss.item()); };
    for (const double smoothing : {0.0, 0.1}) {
      const auto t = smooth_one_hot<T>(labels, shape[1], smoothing);
      CHECK(value(cross_entropy(x, labels, {.smoothing = smoothing})) ==
            doctest::Approx(naive(x, t)).epsilon(tolerance));
      CHECK(value(cross_entropy(x, t)) == doctest::Approx(naive(x, t)).epsilon(tolerance));
      CHECK(value(cross_entropy(x, smooth_one_hot<T>(labels, shape[1]), {.smoothing = smoothing})) ==
            doctest::Approx(naive(x, t)).epsilon(tolerance));
    }
  }
}

}  // namespace

TEST_CASE("cross_entropy agrees with a plain loop for labels and soft targets") {
  test::for_each_isa([] {
    compare_with_plain_loop<float>(2e-6);
    compare_with_plain_loop<double>(1e-13);
    compare_with_plain_loop<bf16>(0.02);
  });
}

TEST_CASE("cross_entropy agrees with reference values") {
  // python3 -c "import math; z=(1,2,4); l=math.log(sum(map(math.exp,z))); print(l-2,
  // .8*(l-2)+.2*(l-sum(z)/3))"
  const Tensor<double> z({1, 3}, {1, 2, 4});
  CHECK(close(cross_entropy(z, Labels({1}, {1})), {2.1698460195562856}, 1e-15));
  CHECK(close(cross_entropy(z, Labels({1}, {1}), {.smoothing = 0.2}), {2.1031793528896188}, 1e-15));
}

TEST_CASE("the reductions of cross_entropy differ by their divisors") {
  const auto x = randn<double>({4, 5}, 1);
  const auto labels = labels_of(4, 5);
  const double mean = cross_entropy(x, labels).item();
  CHECK(cross_entropy(x, labels, {.reduction = Reduction::sum}).item() == doctest::Approx(4 * mean));
  CHECK(cross_entropy(x, labels, {.reduction = Reduction::element_mean}).item() == doctest::Approx(mean / 5));
}

TEST_CASE("cross_entropy of huge logits stays finite and exact") {
  Tensor<float> x({2, 3}, {1e4F, 9.999e3F, -1e4F, -1e4F, 1e4F, 1e4F});
  x.set_requires_grad();
  const auto loss = cross_entropy(x, Labels({2}, {1, 1}));
  CHECK(loss.item() == doctest::Approx((1.3132617 + 0.6931472) / 2).epsilon(1e-6));
  backward(loss);
  CHECK(close(x.grad(), {0.36552929F, -0.36552929F, 0.F, 0.F, -0.25F, 0.25F}, 1e-6));
  const Tensor<float> masked({1, 3}, {0.F, -HUGE_VALF, 0.F});
  CHECK(cross_entropy(masked, Labels({1}, {0})).item() == doctest::Approx(0.6931472));
  CHECK(cross_entropy(masked, Tensor<float>({1, 3}, {1.F, 0.F, 0.F})).item() == doctest::Approx(0.6931472));
}

TEST_CASE("the gradient of a nearly certain bf16 row does not vanish by rounding") {
  Tensor<bf16> x({1, 2}, {bf16(7.0F), bf16(0.0F)});
  x.set_requires_grad();
  backward(cross_entropy(x, Labels({1}, {0})));
  CHECK(static_cast<float>(x.grad().data()[0]) / -9.11e-4F == doctest::Approx(1).epsilon(0.005));
}

TEST_CASE("gradients of cross_entropy agree with central differences") {
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 5}, Shape{4, 19}}) {
    const auto x = randn<double>(shape, 1), t = rand<double>(shape, 0.1, 1, 2);
    const auto labels = labels_of(shape[0], shape[1]);
    for (const double smoothing : {0.0, 0.1}) {
      const CrossEntropyOptions options{.smoothing = smoothing};
      CHECK(gradcheck([&](const auto& z) { return cross_entropy(z, labels, options); }, x) < 1e-6);
      CHECK(gradcheck([&](const auto& z, const auto& target) { return cross_entropy(z, target, options); }, x,
                      t) < 1e-6);
      CHECK(gradcheck(
                [&](const auto& z, const auto& target) {
                  return std::vector{cross_entropy(z, target, options), cross_entropy(z, labels, options),
                                     cross_entropy(target, z, {.reduction = Reduction::sum})};
                },
                x, t) < 1e-6);
    }
  }
}

TEST_CASE("cross_entropy does not depend on the number of threads") {
  const auto x = randn<float>({500, 100}, 1);
  const auto labels = labels_of(500, 100);
  const auto t = smooth_one_hot<float>(labels, 100, 0.1);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{cross_entropy(x, labels), cross_entropy(x, t),
                       test::gradient_of([&](const auto& z) { return cross_entropy(z, labels); }, x),
                       test::gradient_of([&](const auto& z) { return cross_entropy(z, t); }, x)};
  }));
}

TEST_CASE("smooth_one_hot puts the rest everywhere") {
  CHECK(close(smooth_one_hot<double>(Labels({2}, {1, 0}), 2, 0.1), {0.05, 0.95, 0.95, 0.05}, 1e-15));
  CHECK(error_of([] { smooth_one_hot<float>(Labels({1}, {2}), 2); }) ==
        "smooth_one_hot: the label of row 0 is 2, but the classes are 0 to 1");
}

TEST_CASE("cross_entropy names what does not fit") {
  const Tensor<float> x = zeros<float>({2, 3});
  CHECK(error_of([&] {
          cross_entropy(x, Labels({2}, {0, 3}));
        }) == "cross_entropy: the label of row 1 is 3, but the classes are 0 to 2");
  CHECK(error_of([&] {
          cross_entropy(x, Labels({2}, {-1, 0}));
        }) == "cross_entropy: the label of row 0 is -1, but the classes are 0 to 2");
  CHECK(error_of([&] {
          cross_entropy(x, Labels({3}, {0, 0, 0}));
        }) == "cross_entropy: labels have shape (3), but there are 2 rows");
  CHECK(error_of([&] {
          cross_entropy(x, zeros<float>({2, 2}));
        }) == "cross_entropy: targets have shape (2, 2), but logits have (2, 3)");
  CHECK(error_of([&] {
          cross_entropy(x, Labels({2}, {0, 0}), {.smoothing = 1.5});
        }) == "cross_entropy: smoothing is 1.5; it must lie in [0, 1]");
  CHECK(error_of([&] {
          cross_entropy(zeros<float>({0, 3}), Labels(Shape{0}));
        }) ==
        "cross_entropy: logits have shape (0, 3), but must be (N, C) with at least one row and one class");
}

TEST_CASE("smoothed soft targets of bf16 count what is there, and nothing beside it") {
  for (const Index classes : {1, 3, 17, 33}) {
    CAPTURE(classes);
    const auto x = converted<bf16>(randn<double>({4, classes}, 1)),
               t = converted<bf16>(rand<double>({4, classes}, 0, 1, 2));
    const double exact = cross_entropy(converted<double>(x), converted<double>(t), {.smoothing = 0.5}).item();
    CHECK(static_cast<float>(cross_entropy(x, t, {.smoothing = 0.5}).item()) ==
          static_cast<float>(bf16(static_cast<float>(exact))));
  }
}
