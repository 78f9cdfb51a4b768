// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_patches.hpp"

#include <vector>

#include "cpu/naive_conv2d.hpp"

using namespace gram;

namespace {

/// One slice and several, small maps and rows, kernel rows shorter than a vector and longer.
const Conv2dShape cases[] = {
    {.n = 3, .h = 6, .w = 7, .c = 3, .o = 50, .kh = 3, .kw = 3, .padding = 1},
    {.n = 2, .h = 21, .w = 20, .c = 3, .o = 16, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
    {.n = 1, .h = 50, .w = 41, .c = 3, .o = 20, .kh = 7, .kw = 7, .stride = 2, .padding = 3},
    {.n = 40, .h = 8, .w = 8, .c = 1, .o = 5, .kh = 2, .kw = 4, .stride = {3, 1}, .padding = {0, 2}},
    {.n = 0, .h = 4, .w = 4, .c = 2, .o = 3, .kh = 3, .kw = 3}};

}  // namespace

TEST_CASE("patches serve kernel rows that leave vectors empty") {
  Conv2dShape s{.n = 1, .h = 8, .w = 8, .c = 3, .o = 16, .kh = 3, .kw = 3};
  CHECK(cpu::prefers_patches(s, 16));       // 9 of 16
  CHECK(cpu::prefers_patches(s, 4));        // 9 of 12
  CHECK_FALSE(cpu::prefers_patches(s, 2));  // 9 of 10
  s.kw = 7;
  CHECK(cpu::prefers_patches(s, 16));  // 21 of 32
  s.c = 16;
  CHECK_FALSE(cpu::prefers_patches(s, 16));
  s.c = 3, s.kw = 3, s.dilation = {1, 2};
  CHECK_FALSE(cpu::prefers_patches(s, 16));
}

TEST_CASE_TEMPLATE("the weight gradient through patches", T, float, double) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> problem(s);
      for (const bool add : {false, true}) {
        const auto run = [&] {
          const Tensor<T> dw = problem.before(s.weight_size());
          cpu::patch_weight(s, problem.x.data(), problem.dy.data(), dw.data(), add);
          return std::vector{dw};
        };
        CHECK(test::close(run()[0], problem.dw(add), 10 * test::conv_tolerance<T>));
        CHECK(test::same_for_any_threads(run));
      }
    }
  });
}
