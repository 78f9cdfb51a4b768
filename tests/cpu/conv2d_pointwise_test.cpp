// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_pointwise.hpp"

#include <vector>

#include "cpu/naive_conv2d.hpp"

using namespace gram;

namespace {

/// Small and large products, strides that hit and miss the last pixel, groups.
const Conv2dShape cases[] = {
    {.n = 2, .h = 5, .w = 4, .c = 3, .o = 5, .kh = 1, .kw = 1},
    {.n = 3, .h = 9, .w = 8, .c = 70, .o = 21, .kh = 1, .kw = 1},
    {.n = 2, .h = 7, .w = 6, .c = 36, .o = 60, .kh = 1, .kw = 1, .groups = 3},
    {.n = 3, .h = 8, .w = 8, .c = 20, .o = 33, .kh = 1, .kw = 1, .stride = 2},
    {.n = 1, .h = 9, .w = 7, .c = 17, .o = 4, .kh = 1, .kw = 1, .stride = {3, 2}},
    {.n = 2, .h = 5, .w = 9, .c = 8, .o = 12, .kh = 1, .kw = 1, .stride = {1, 4}, .groups = 2},
    {.n = 0, .h = 4, .w = 4, .c = 2, .o = 3, .kh = 1, .kw = 1}};

}  // namespace

TEST_CASE("a convolution is pointwise when its kernel is one tap and nothing is padded") {
  Conv2dShape s{.n = 1, .h = 4, .w = 4, .c = 2, .o = 2, .kh = 1, .kw = 1};
  CHECK(cpu::is_dense_pointwise(s));
  s.dilation = 3;
  CHECK(cpu::is_dense_pointwise(s));
  s.stride = {1, 2};
  CHECK(cpu::is_pointwise(s));
  CHECK_FALSE(cpu::is_dense_pointwise(s));
  s.padding = {0, 1};
  CHECK_FALSE(cpu::is_pointwise(s));
  s.padding = 0;
  s.kw = 2;
  CHECK_FALSE(cpu::is_pointwise(s));
}

TEST_CASE_TEMPLATE("gradients of pointwise convolutions as products", T, float, double) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> p(s);
      for (const bool add : {false, true}) {
        const auto run = [&] {
          const Tensor<T> dw = p.before(s.weight_size()), dx = p.before(s.x_size());
          cpu::pointwise_weight(s, p.x.data(), p.dy.data(), dw.data(), add);
          if (cpu::is_dense_pointwise(s))
            cpu::pointwise_input(s, p.weight.data(), p.dy.data(), dx.data(), add);
          return std::vector{dw, dx};
        };
        CHECK(test::close(run()[0], p.dw(add), 10 * test::conv_tolerance<T>));
        if (cpu::is_dense_pointwise(s)) CHECK(test::close(run()[1], p.dx(add), test::conv_tolerance<T>));
        CHECK(test::same_for_any_threads(run));
      }
    }
  });
}
