// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_weight_bf16.hpp"

#include "naive_conv2d.hpp"

using namespace gram;

namespace {

Tensor<float> gradient(const test::ConvProblem<float>& p, bool add) {
  Tensor<float> dw = p.before(p.s.weight_size());
  cpu::correlate_pixels_rounded(p.s, p.x.data(), p.dy.data(), dw.data(), add);
  return dw;
}

void check(const Conv2dShape& s) {
  CAPTURE(test::conv_text(s));
  const test::ConvProblem<float> p(s);
  const auto oracle = test::rounded(p);
  const auto fresh = oracle.dw(false), added = oracle.dw(true);
  test::for_each_isa([&] {
    CHECK(test::close(gradient(p, false), fresh, test::conv_tolerance<float>));
    CHECK(test::close(gradient(p, true), added, test::conv_tolerance<float>));
  });
}

/// Odd and even rows, taps that see nothing, one part and several, several images to a slice, panels of all
/// widths, groups.
const Conv2dShape cases[] = {
    {.n = 3, .h = 6, .w = 7, .c = 4, .o = 18, .kh = 3, .kw = 3},
    {.n = 40, .h = 7, .w = 7, .c = 20, .o = 50, .kh = 3, .kw = 3, .padding = 1},
    {.n = 2, .h = 28, .w = 29, .c = 70, .o = 60, .kh = 3, .kw = 3, .stride = 2, .padding = 1},
    {.n = 1, .h = 3, .w = 2, .c = 130, .o = 7, .kh = 5, .kw = 5, .padding = 4},
    {.n = 2, .h = 9, .w = 11, .c = 8, .o = 40, .kh = 2, .kw = 3, .padding = 5, .dilation = {2, 3}},
    {.n = 2, .h = 11, .w = 10, .c = 48, .o = 32, .kh = 3, .kw = 3, .stride = {1, 3}, .groups = 4},
    {.n = 0, .h = 11, .w = 10, .c = 8, .o = 32, .kh = 3, .kw = 3},
    {.n = 2, .h = 10, .w = 10, .c = 600, .o = 500, .kh = 3, .kw = 3, .stride = 3}};

}  // namespace

TEST_CASE("weight gradients of rounded operands agree with their definition") {
  for (const Conv2dShape& s : cases) check(s);
}

TEST_CASE("weight gradients of rounded operands agree with their definition for many random shapes") {
  test::for_random_convolutions(5, check);
}

TEST_CASE("weight gradients of rounded operands have the same bits for any number of threads") {
  for (const Conv2dShape& s : cases) {
    const test::ConvProblem<float> p(s);
    CHECK(test::same_for_any_threads([&] { return std::vector{gradient(p, true)}; }));
  }
}
