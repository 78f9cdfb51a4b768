// SPDX-License-Identifier: MIT
#include "gram/cpu/winograd_weight.hpp"

#include <vector>

#include "cpu/winograd_cases.hpp"
#include "gram/cpu/conv2d_weight.hpp"

using namespace gram;

namespace {

template <class T>
Tensor<T> gradient(const Conv2dShape& s, Index tile, const test::ConvProblem<T>& problem, bool add) {
  const Tensor<T> dw = problem.before(s.weight_size());
  cpu::winograd_grad_weight({s, tile}, problem.x.data(), problem.dy.data(), dw.data(), add);
  return dw;
}

}  // namespace

TEST_CASE_TEMPLATE("the weight gradient from transformed maps is the sum over all pixels", T, float, double) {
  test::for_each_winograd_case([](const Conv2dShape& s, Index number) {
    const test::ConvProblem<T> problem(s);
    const bool add = number % 2;
    const Tensor<T> expected = problem.dw(add);
    test::for_each_isa([&] {
      for (const Index tile : {2, 4}) {
        CAPTURE(tile);
        const auto run = [&] { return std::vector{gradient(s, tile, problem, add)}; };
        CHECK(test::close(run()[0], expected, test::winograd_tolerance<T>(tile)));
        if (number % 8 == 1) CHECK(test::same_for_any_threads(run));
      }
    });
  });
}

TEST_CASE("the weight gradient in one part, in several, and product by product, in one round and in more") {
  const Conv2dShape cases[] = {{.n = 40, .h = 13, .w = 12, .c = 16, .o = 18, .kh = 3, .kw = 3, .padding = 1},
                               {.n = 2, .h = 11, .w = 12, .c = 64, .o = 145, .kh = 3, .kw = 3, .padding = 1},
                               {.n = 2, .h = 5, .w = 9, .c = 130, .o = 200, .kh = 3, .kw = 3, .padding = 1},
                               {.n = 9, .h = 23, .w = 24, .c = 96, .o = 100, .kh = 3, .kw = 3, .padding = 1}};
  for (const Conv2dShape& s : cases) {
    CAPTURE(test::conv_text(s));
    const test::ConvProblem<float> problem(s);
    Tensor<double> x = converted<double>(problem.x), dy = converted<double>(problem.dy),
                   dw = zeros<double>({s.weight_size()});
    cpu::correlate_pixels(s, x.data(), dy.data(), dw.data(), false);
    for (const Index tile : {2, 4}) {
      CAPTURE(tile);
      const auto run = [&] { return std::vector{gradient(s, tile, problem, false)}; };
      CHECK(test::close(converted<double>(run()[0]), dw, test::winograd_tolerance<float>(tile)));
      CHECK(test::same_for_any_threads(run));
    }
  }
}
