// SPDX-License-Identifier: MIT
#include "gram/cpu/winograd.hpp"

#include <algorithm>
#include <vector>

#include "cpu/winograd_cases.hpp"

using namespace gram;
using cpu::WinogradKernel;
using cpu::WinogradPlan;

namespace {

/// y of a plan with packed weights, on top of `residual` if that is defined.
template <class T>
Tensor<T> forward(const WinogradPlan& plan, WinogradKernel kernel, const Tensor<T>& x,
                  const Tensor<T>& weight, const Conv2dEpilogue<T>& epilogue) {
  Scratch<T> u(cpu::winograd_weights_size<T>(plan));
  cpu::winograd_pack(plan, kernel, weight.data(), u.data());
  const Index size = plan.shape.y_size(), guard = 64;
  Tensor<T> y = full<T>({size + guard}, T(77));
  cpu::winograd_forward(plan, x.data(), u.data(), epilogue, y.data());
  CHECK(std::all_of(y.data() + size, y.data() + size + guard, [](T v) { return v == T(77); }));
  return generate<T>({size}, [&](Index i) { return y.data()[i]; });
}

}  // namespace

TEST_CASE_TEMPLATE("the transformed convolution is the convolution, with bias, residual and relu", T, float,
                   double) {
  test::for_each_winograd_case([](const Conv2dShape& s, Index number) {
    const test::ConvProblem<T> problem(s);
    const Tensor<T> residual = problem.before(s.y_size());
    const bool bias = number % 2, add = number / 2 % 2, relu = number / 4 % 2;
    const Tensor<T> sum = problem.y(bias, add);
    const Tensor<T> expected = generate<T>(
        {s.y_size()}, [&](Index i) { return relu ? std::max(sum.data()[i], T(0)) : sum.data()[i]; });
    const Conv2dEpilogue<T> epilogue{bias ? problem.bias.data() : nullptr, add ? residual.data() : nullptr,
                                     relu};
    test::for_each_isa([&] {
      for (const Index tile : {2, 4}) {
        CAPTURE(tile);
        const auto y = [&] {
          return std::vector{
              forward({s, tile}, WinogradKernel::forward, problem.x, problem.weight, epilogue)};
        };
        CHECK(test::close(y()[0], expected, test::winograd_tolerance<T>(tile)));
        if (number % 8 == 0) CHECK(test::same_for_any_threads(y));
      }
    });
  });
}

TEST_CASE_TEMPLATE("the input gradient is a convolution with the flipped kernel, written or added", T, float,
                   double) {
  test::for_each_winograd_case([](const Conv2dShape& s, Index number) {
    const test::ConvProblem<T> problem(s);
    const bool add = number % 2;
    const Tensor<T> expected = problem.dx(add), before = problem.before(s.x_size());
    const Conv2dShape backward = cpu::winograd_gradient_shape(s);
    CHECK(cpu::winograd_possible(backward));
    CHECK(backward.out_h() == s.h);
    CHECK(backward.out_w() == s.w);
    test::for_each_isa([&] {
      for (const Index tile : {2, 4}) {
        CAPTURE(tile);
        const Tensor<T> dx = forward({backward, tile}, WinogradKernel::flipped, problem.dy, problem.weight,
                                     {.residual = add ? before.data() : nullptr});
        CHECK(test::close(dx, expected, test::winograd_tolerance<T>(tile)));
      }
    });
  });
}

TEST_CASE("the residual may be the result itself") {
  const Conv2dShape s{.n = 2, .h = 9, .w = 7, .c = 20, .o = 18, .kh = 3, .kw = 3, .padding = 1};
  const test::ConvProblem<float> problem(s);
  for (const Index tile : {2, 4}) {
    const WinogradPlan plan{s, tile};
    Scratch<float> u(cpu::winograd_weights_size<float>(plan));
    cpu::winograd_pack(plan, WinogradKernel::forward, problem.weight.data(), u.data());
    const Tensor<float> y = problem.before(s.y_size());
    cpu::winograd_forward(plan, problem.x.data(), u.data(), {.residual = y.data()}, y.data());
    CHECK(test::close(y, problem.y(false, true), test::winograd_tolerance<float>(tile)));
  }
}
