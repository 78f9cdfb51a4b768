// SPDX-License-Identifier: MIT
#include "gram/ops/reduce.hpp"

#include "isa_and_threads.hpp"
#include "support.hpp"

using namespace gram;
using test::close;
using test::error_of;

namespace {

/// A plain loop: f(group, element) for every element of x, group numbering the elements of the reduced
/// tensor.
template <class T, class F>
void for_each_element(const Tensor<T>& x, const std::vector<bool>& reduced, F&& f) {
  for (Index i = 0; i < x.size(); ++i) {
    Index rest = i, group = 0, stride = 1;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      const Index position = rest % x.dim(axis);
      rest /= x.dim(axis);
      if (reduced[static_cast<std::size_t>(axis)]) continue;
      group += position * stride;
      stride *= x.dim(axis);
    }
    f(group, i);
  }
}

template <class T>
Tensor<T> naive_sum(const Tensor<T>& x, const std::vector<bool>& reduced, const Shape& shape) {
  std::vector<double> total(static_cast<std::size_t>(shape.size()));
  for_each_element(x, reduced, [&](Index group, Index i) {
    total[static_cast<std::size_t>(group)] += static_cast<double>(x.data()[i]);
  });
  return generate<T>(shape, [&](Index i) { return total[static_cast<std::size_t>(i)]; });
}

template <class T>
void compare_with_plain_loops(double tolerance) {
  const auto x = randn<T>({3, 5, 7, 19}, 1);
  CHECK(close(sum(x, {3}), naive_sum(x, {false, false, false, true}, {3, 5, 7}), tolerance));
  CHECK(close(sum(x, {1, 2}), naive_sum(x, {false, true, true, false}, {3, 19}), tolerance));
  CHECK(close(sum(x, {0, -1}), naive_sum(x, {true, false, false, true}, {5, 7}), tolerance));
  CHECK(close(sum(x, {0, 2}, {.keep = true}),
              naive_sum(x, {true, false, true, false}, {5, 19}).alias({1, 5, 1, 19}), tolerance));
  CHECK(close(sum(x), naive_sum(x, {true, true, true, true}, {}), tolerance));
  const auto tall = randn<T>({3000, 70}, 2);
  CHECK(close(sum(tall, {0}), naive_sum(tall, {true, false}, {70}), tolerance));
  const auto longest = randn<T>({2, 70001}, 3);
  CHECK(close(sum(longest, {1}), naive_sum(longest, {false, true}, {2}), tolerance));
}

}  // namespace

TEST_CASE("sum agrees with a plain loop over any axes") {
  test::for_each_isa([] {
    compare_with_plain_loops<float>(2e-6);
    compare_with_plain_loops<double>(1e-14);
    compare_with_plain_loops<bf16>(0.01);
  });
}

TEST_CASE("mean divides by the number of elements") {
  const Tensor<double> x({2, 3}, {1, 2, 3, 4, 5, 9});
  CHECK(close(mean(x, {1}), {2.0, 6.0}, 1e-15));
  CHECK(close(mean(x, {0}, {.keep = true}), {2.5, 3.5, 6.0}, 1e-15));
  CHECK(close(mean(x), {4.0}, 1e-15));
  CHECK(mean(x, {0, 1}, {.keep = true}).shape() == Shape{1, 1});
  CHECK(mean(x, {}).shape() == x.shape());
}

TEST_CASE("a float sum of many equal values does not drift") {
  const auto x = full<float>({1000, 1000}, 0.1F);
  CHECK(sum(x).item() == doctest::Approx(100000).epsilon(3e-6));
  CHECK(sum(full<float>({300000, 2}, 0.1F), {0}).data()[1] == doctest::Approx(30000).epsilon(1e-5));
}

TEST_CASE("max and argmax find the first largest value") {
  test::for_each_isa([] {
    for (const Index n : {1, 2, 7, 16, 31, 70001}) {
      const auto x = generate<float>({3, n}, [](Index i) { return (i * 7919) % 101; });
      const auto largest = max(x, {1});
      const auto at = argmax(x);
      const auto columns =
          max(generate<float>({n, 3}, [&](Index i) { return x.data()[i % 3 * n + i / 3]; }), {0});
      for (Index row = 0; row < 3; ++row) {
        const float* first = x.data() + row * n;
        const float* expected = std::max_element(first, first + n);
        CHECK(largest.data()[row] == *expected);
        CHECK(columns.data()[row] == *expected);
        CHECK(at.data()[row] == expected - first);
      }
    }
    CHECK(argmax(full<double>({40}, -HUGE_VAL)).item() == 0);
    auto x = randn<double>({40}, 1);
    x.data()[21] = x.data()[33] = std::nan("");
    CHECK(argmax(x).item() == 21);
    CHECK(std::isnan(max(x).item()));
  });
}

TEST_CASE("the gradient of max goes to the first of equal values in row-major order") {
  Tensor<float> x({2, 2, 2}, {1, 5, 0, 5, 5, 5, 2, 1});
  x.set_requires_grad();
  backward(max(x, {0, 2}), Tensor<float>({2}, {1, 10}));
  CHECK(close(x.grad(), {0.F, 1.F, 0.F, 10.F, 0.F, 0.F, 0.F, 0.F}, 0));
  backward(max(x));
  CHECK(close(x.grad(), {0.F, 2.F, 0.F, 10.F, 0.F, 0.F, 0.F, 0.F}, 0));
}

TEST_CASE("gradients of reductions agree with central differences") {
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{3, 5, 2}, Shape{2, 1, 33}}) {
    const auto x = randn<double>(shape, 5);
    CHECK(gradcheck([](const auto& t) { return sum(t, {1}); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return sum(t, {0, 2}); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return mean(t, {-1}, {.keep = true}); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return mean(t, {0, 1}); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return sum(t); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return mean(t); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return max(t, {1}); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return max(t, {0, 2}, {.keep = true}); }, x) < 1e-6);
    CHECK(gradcheck([](const auto& t) { return max(t); }, x) < 1e-6);
    CHECK(gradcheck(
              [](const auto& t) {
                return std::vector{sum(t, {0}), max(t, {0}), mean(t, {2})};
              },
              x) < 1e-6);
  }
}

TEST_CASE("reductions do not depend on the number of threads") {
  const auto x = randn<float>({2, 3000, 70}, 1);
  CHECK(test::same_for_any_threads([&] {
    return std::vector{sum(x), sum(x, {0, 1}), mean(x, {2}), max(x, {1}),
                       test::gradient_of(
                           [](const auto& t) {
                             return mean(t, {0, 1});
                           },
                           x)};
  }));
}

TEST_CASE("reductions of nothing") {
  CHECK(close(sum(Tensor<float>(Shape{0, 3}), {0}), {0.F, 0.F, 0.F}, 0));
  CHECK(sum(Tensor<float>(Shape{0, 3}), {1}).shape() == Shape{0});
  CHECK(std::isnan(mean(Tensor<float>(Shape{0})).item()));
  CHECK(error_of([] {
          max(Tensor<float>(Shape{2, 0}), {1});
        }) == "max: x has shape (2, 0), but nothing has no largest value");
  CHECK(max(Tensor<float>(Shape{0, 2}), {1}).shape() == Shape{0});
  const Tensor<float> none;
  CHECK(error_of([&] { sum(none); }) == "sum: x is undefined");
  CHECK(error_of([&] { mean(none); }) == "mean: x is undefined");
  CHECK(error_of([&] { max(none); }) == "max: x is undefined");
}

TEST_CASE("reductions name a wrong axis") {
  const Tensor<float> x(Shape{2, 3});
  CHECK(error_of([&] { sum(x, {2}); }) == "sum: x has shape (2, 3), but no axis 2");
  CHECK(error_of([&] { mean(x, {1, -1}); }) == "mean: axis -1 is given twice");
  CHECK(error_of([&] {
          argmax(Tensor<float>(Shape{2, 0}));
        }) == "argmax: x has shape (2, 0), but its last axis must hold a value");
}
