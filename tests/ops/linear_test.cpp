// SPDX-License-Identifier: MIT
#include "gram/ops/linear.hpp"

#include "gram/ops/arithmetic.hpp"
#include "isa_and_threads.hpp"

using namespace gram;

namespace {

/// The definition, three loops and a sum.
template <class T>
Tensor<T> naive(const Tensor<T>& x, const Tensor<T>& weight, const Tensor<T>& bias, Index groups) {
  const Index in = weight.dim(1), out = weight.dim(0), rows = in ? x.size() / (in * groups) : 0;
  Tensor<T> y(x.shape().with(-1, out));
  for (Index r = 0; r < rows; ++r)
    for (Index o = 0; o < out; ++o) {
      double sum = bias.defined() ? static_cast<double>(bias.at({o})) : 0;
      const Index group = o / (out / groups);
      for (Index i = 0; i < in; ++i)
        sum += static_cast<double>(x.data()[(r * groups + group) * in + i]) *
               static_cast<double>(weight.at({o, i}));
      y.data()[r * out + o] = static_cast<T>(sum);
    }
  return y;
}

}  // namespace

TEST_CASE_TEMPLATE("linear is x W^T + b", T, float, double, bf16) {
  const double tolerance = std::is_same_v<T, double> ? 1e-14 : std::is_same_v<T, float> ? 2e-6 : 1e-2;
  for (const Shape& shape :
       {Shape{7}, Shape{1, 7}, Shape{5, 7}, Shape{2, 3, 4, 7}, Shape{0, 7}, Shape{300, 7}}) {
    const auto x = randn<T>(shape, 1), weight = randn<T>({10, 7}, 2), bias = randn<T>({10}, 3);
    CHECK(test::close(linear(x, weight, bias), naive(x, weight, bias, 1), tolerance));
    CHECK(test::close(linear(x, weight, {}), naive(x, weight, {}, 1), tolerance));
  }
}

TEST_CASE_TEMPLATE("grouped linear maps each group of channels by its own weights", T, float, double, bf16) {
  const double tolerance = std::is_same_v<T, double> ? 1e-14 : std::is_same_v<T, float> ? 2e-6 : 1e-2;
  for (const Index groups : {1, 2, 6}) {
    const auto x = randn<T>({4, 5, 12}, 1), weight = randn<T>({18, 12 / groups}, 2), bias = randn<T>({18}, 3);
    CHECK(test::close(grouped_linear(x, weight, bias, groups), naive(x, weight, bias, groups), tolerance));
    CHECK(test::close(grouped_linear(x, weight, {}, groups), naive(x, weight, {}, groups), tolerance));
  }
}

TEST_CASE_TEMPLATE("a residual is added where the product is", T, float, double, bf16) {
  const double tolerance = std::is_same_v<T, double> ? 1e-14 : std::is_same_v<T, float> ? 2e-6 : 1e-2;
  for (const Shape& shape : {Shape{12}, Shape{1, 12}, Shape{2, 3, 12}, Shape{0, 12}, Shape{300, 12}})
    for (const Index groups : {1, 3}) {
      const auto x = randn<T>(shape, 1), weight = randn<T>({9, 12 / groups}, 2), bias = randn<T>({9}, 3),
                 residual = randn<T>(shape.with(-1, 9), 4);
      const auto exact = add(converted<double>(naive(x, weight, bias, groups)), converted<double>(residual));
      CHECK(test::close(converted<double>(grouped_linear(x, weight, bias, groups, residual)), exact,
                        2 * tolerance));
      if (groups == 1)
        CHECK(
            test::identical(linear(x, weight, bias, residual), grouped_linear(x, weight, bias, 1, residual)));
    }
}

TEST_CASE("linear of no input channels is the bias") {
  CHECK(test::close(linear(zeros<double>({2, 0}), zeros<double>({2, 0}), Tensor<double>({2}, {3, 4})),
                    {3.0, 4.0, 3.0, 4.0}, 0));
}

TEST_CASE("linear's gradients agree with central differences") {
  const auto with_bias = [](const auto& x, const auto& w, const auto& b) { return linear(x, w, b); };
  for (const Shape& shape : {Shape{5}, Shape{1, 5}, Shape{3, 5}, Shape{2, 3, 5}, Shape{0, 5}})
    CHECK(gradcheck(with_bias, randn<double>(shape, 1), randn<double>({4, 5}, 2), randn<double>({4}, 3)) <
          1e-6);
  CHECK(gradcheck(with_bias, randn<double>({3, 1}, 1), randn<double>({1, 1}, 2), randn<double>({1}, 3)) <
        1e-6);
  CHECK(gradcheck([](const auto& x, const auto& w) { return linear(x, w, {}); }, randn<double>({3, 5}, 1),
                  randn<double>({4, 5}, 2)) < 1e-6);
  const auto w = randn<double>({4, 5}, 2);  // only x needs a gradient, then only the weight
  CHECK(gradcheck([&](const auto& x) { return linear(x, w, {}); }, randn<double>({3, 5}, 1)) < 1e-6);
  CHECK(gradcheck([&](const auto& weight) { return linear(w, weight, {}); }, randn<double>({6, 5}, 1)) <
        1e-6);
}

TEST_CASE("grouped linear's gradients agree with central differences") {
  for (const Index groups : {1, 2, 3})
    CHECK(gradcheck(
              [&](const auto& x, const auto& w, const auto& b) { return grouped_linear(x, w, b, groups); },
              randn<double>({2, 3, 6}, 1), randn<double>({12, 6 / groups}, 2),
              randn<double>({12}, 3)) < 1e-6);
}

TEST_CASE("a residual's gradient is that of the result") {
  const auto f = [](const auto& x, const auto& w, const auto& b, const auto& r) {
    return linear(x, w, b, r);
  };
  CHECK(gradcheck(f, randn<double>({2, 3, 5}, 1), randn<double>({4, 5}, 2), randn<double>({4}, 3),
                  randn<double>({2, 3, 4}, 4)) < 1e-6);
  const auto w = randn<double>({5, 5}, 2);  // x is both, then only the residual needs a gradient
  CHECK(gradcheck([&](const auto& x) { return linear(x, w, {}, x); }, randn<double>({3, 5}, 1)) < 1e-6);
  CHECK(gradcheck([&](const auto& r) { return mul(linear(w, w, {}, r), r); }, randn<double>({5, 5}, 1)) <
        1e-6);
}

TEST_CASE("gradients of linear add up when an input is used twice") {
  CHECK(gradcheck([](const auto& x, const auto& w, const auto& b) { return linear(linear(x, w, b), w, b); },
                  randn<double>({3, 5}, 1), randn<double>({5, 5}, 2), randn<double>({5}, 3)) < 1e-6);
}

TEST_CASE("linear has the same bits for any number of threads, forward and backward") {
  CHECK(test::same_for_any_threads([] {
    auto x = randn<float>({2000, 40}, 1), w = randn<float>({30, 20}, 2), b = randn<float>({30}, 3);
    for (auto* p : {&x, &w, &b}) p->set_requires_grad();
    const auto y = grouped_linear(x, w, b, 2);
    backward(y, randn<float>(y.shape(), 4));
    return std::vector<Tensor<float>>{y.detach(), x.grad(), w.grad(), b.grad()};
  }));
}

TEST_CASE("linear says what does not fit") {
  const auto x = zeros<float>({2, 6}), w = zeros<float>({4, 6}), b = zeros<float>({4});
  CHECK(test::error_of([&] {
          linear(x, zeros<float>({4, 5}), b);
        }) == "linear: weight (4, 5) expects 5 input channels, input has shape (2, 6)");
  CHECK(test::error_of([&] { linear(x, zeros<float>({4}), b); }) ==
        "linear: weight has shape (4); (O, I / groups) is needed");
  CHECK(test::error_of([&] { linear(x, w, zeros<float>({5})); }) ==
        "linear: bias has shape (5), but weight (4, 6) has 4 output channels");
  CHECK(test::error_of([&] { linear(zeros<float>({}), w, b); }) ==
        "linear: weight (4, 6) expects 6 input channels, input has shape ()");
  CHECK(test::error_of([&] { grouped_linear(x, w, b, 2); }) ==
        "grouped_linear: weight (4, 6) in 2 groups expects 12 input channels, input has shape (2, 6)");
  CHECK(test::error_of([&] {
          grouped_linear(x, zeros<float>({4, 2}), b, 3);
        }) == "grouped_linear: weight (4, 2) has 4 output channels; they do not divide into 3 groups");
  CHECK(test::error_of([&] { linear(x, w, b, zeros<float>({4})); }) ==
        "linear: residual has shape (4), but the result has shape (2, 4); they must agree");
  CHECK(test::error_of([&] { grouped_linear(x, w, b, 0); }) ==
        "grouped_linear: groups is 0; it must be positive");
}
