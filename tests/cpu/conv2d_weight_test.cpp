// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_weight.hpp"

#include <vector>

#include "cpu/naive_conv2d.hpp"

using namespace gram;

namespace {

/// Read in place and copied, one part and several, groups, more outputs than a strip, taps one by one.
const Conv2dShape cases[] = {{.n = 2, .h = 5, .w = 4, .c = 64, .o = 5, .kh = 1, .kw = 1},
                             {.n = 3, .h = 6, .w = 7, .c = 3, .o = 50, .kh = 3, .kw = 3},
                             {.n = 2, .h = 6, .w = 7, .c = 64, .o = 6, .kh = 3, .kw = 2, .stride = {1, 2}},
                             {.n = 2, .h = 6, .w = 7, .c = 4, .o = 6, .kh = 3, .kw = 3, .padding = 1},
                             {.n = 1,
                              .h = 9,
                              .w = 8,
                              .c = 6,
                              .o = 9,
                              .kh = 3,
                              .kw = 2,
                              .stride = {2, 3},
                              .padding = {1, 0},
                              .groups = 3},
                             {.n = 2,
                              .h = 9,
                              .w = 11,
                              .c = 8,
                              .o = 26,
                              .kh = 2,
                              .kw = 3,
                              .padding = 2,
                              .dilation = {2, 3},
                              .groups = 2},
                             {.n = 1, .h = 40, .w = 60, .c = 10, .o = 7, .kh = 3, .kw = 3, .padding = 1},
                             {.n = 0, .h = 4, .w = 4, .c = 2, .o = 3, .kh = 3, .kw = 3}};

}  // namespace

TEST_CASE(
    "the tasks of a weight gradient cover every output of every group once, for each part of the pixels") {
  for (const Conv2dShape& s : cases)
    for (const Index slices : {0, 1, 5, 1000}) {
      const auto tasks = cpu::WeightTasks::cut(s, slices, 4);
      CHECK(tasks.parts >= 1);
      CHECK(tasks.parts <= std::max<Index>(1, slices));
      CHECK(tasks.groups == s.groups);
      CHECK(tasks.count() == tasks.parts * tasks.groups * tasks.cuts);
      CHECK((tasks.cuts - 1) * tasks.outputs < s.group_out());
      CHECK(tasks.cuts * tasks.outputs >= s.group_out());
      CHECK(tasks.outputs % cpu::PixelProduct<float>::strip == 0);
    }
}

TEST_CASE_TEMPLATE("the weight gradient is the sum over all pixels", T, float, double) {
  test::for_each_isa([] {
    for (const Conv2dShape& s : cases) {
      CAPTURE(test::conv_text(s));
      const test::ConvProblem<T> problem(s);
      for (const bool add : {false, true}) {
        const auto run = [&] {
          Tensor<T> dw = problem.before(s.weight_size());
          cpu::correlate_pixels(s, problem.x.data(), problem.dy.data(), dw.data(), add);
          return std::vector{dw};
        };
        CHECK(test::close(run()[0], problem.dw(add), 10 * test::conv_tolerance<T>));
        CHECK(test::same_for_any_threads(run));
      }
    }
  });
}
