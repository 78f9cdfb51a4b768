// SPDX-License-Identifier: MIT
#include "gram/cpu/depthwise.hpp"

#include <vector>

#include "cpu/naive_conv2d.hpp"

using namespace gram;

namespace {

Conv2dShape depthwise(Index n, Pair size, Index c, Pair kernel, Pair stride, Pair padding, Pair dilation) {
  return {n, size.h, size.w, c, c, kernel.h, kernel.w, stride, padding, dilation, c};
}
/// Every width that has a kernel of its own and others, vectors with a remainder, rows longer and shorter
/// than the pixels side by side, several blocks of rows.
const Conv2dShape cases[] = {
    depthwise(2, {5, 6}, 3, 3, 1, 1, 1),     depthwise(1, {7, 19}, 33, 3, 1, 1, 1),
    depthwise(3, {9, 9}, 16, 5, 1, 2, 1),    depthwise(1, {9, 17}, 5, 7, 1, 3, 1),
    depthwise(2, {8, 9}, 20, 3, 2, 1, 1),    depthwise(1, {9, 8}, 4, {2, 4}, {1, 2}, {0, 1}, 1),
    depthwise(2, {9, 11}, 18, 3, 1, 2, 2),   depthwise(2, {4, 4}, 9, 1, 3, 1, 1),
    depthwise(1, {130, 40}, 17, 3, 1, 1, 1), depthwise(5, {4, 3}, 244, 3, 1, 1, 1),
    depthwise(20, {3, 3}, 2, 3, 1, 1, 1)};

}  // namespace

TEST_CASE("a depthwise convolution has as many groups as inputs and outputs") {
  Conv2dShape s = cases[0];
  CHECK(cpu::is_depthwise(s));
  s.o *= 2;
  CHECK_FALSE(cpu::is_depthwise(s));
  s.c = s.o;
  CHECK_FALSE(cpu::is_depthwise(s));
}

TEST_CASE_TEMPLATE("depthwise correlations are the convolution and its input gradient", T, float, double) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> problem(s);
      for (const bool add : {false, true}) {
        const auto forward = [&](const T* bias) {
          Tensor<T> y = problem.before(s.y_size());
          cpu::depthwise_correlate(s, cpu::forward_correlation(s), problem.x.data(), problem.weight.data(),
                                   {.bias = bias, .add = add}, y.data());
          return y;
        };
        CHECK(test::close(forward(nullptr), problem.y(false, add), test::conv_tolerance<T>));
        CHECK(test::close(forward(problem.bias.data()), problem.y(true, add), test::conv_tolerance<T>));
        CHECK(test::same_for_any_threads([&] { return std::vector{forward(nullptr)}; }));
        const Tensor<T> y = problem.before(s.y_size());
        cpu::depthwise_correlate(s, cpu::forward_correlation(s), problem.x.data(), problem.weight.data(),
                                 {.relu = add, .residual = problem.residual.data()}, y.data());
        CHECK(test::close(y, problem.finished_y(false, true, add), test::conv_tolerance<T>));
        const Tensor<T> dx = problem.before(s.x_size());
        for (const cpu::Correlation& c : cpu::backward_correlations(s))
          cpu::depthwise_correlate<T>(s, c, problem.dy.data(), problem.weight.data(), {.add = add},
                                      dx.data());
        CHECK(test::close(dx, problem.dx(add), test::conv_tolerance<T>));
      }
    }
  });
}

TEST_CASE_TEMPLATE("the weight gradient of every channel is its own sum over images and pixels", T, float,
                   double) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> problem(s);
      for (const bool add : {false, true}) {
        const auto run = [&] {
          Tensor<T> dw = problem.before(s.weight_size());
          cpu::depthwise_weight(s, problem.x.data(), problem.dy.data(), dw.data(), add);
          return std::vector{dw};
        };
        CHECK(test::close(run()[0], problem.dw(add), 10 * test::conv_tolerance<T>));
        CHECK(test::same_for_any_threads(run));
      }
    }
  });
}
