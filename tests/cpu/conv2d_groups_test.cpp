// SPDX-License-Identifier: MIT
#include "gram/cpu/conv2d_groups.hpp"

#include <vector>

#include "cpu/naive_conv2d.hpp"

using namespace gram;

TEST_CASE("groups share a vector as long as they fit and divide") {
  const auto count = [](Index c, Index o, Index groups, Index lanes) {
    return cpu::groups_of_a_vector(
        {.n = 1, .h = 1, .w = 1, .c = c, .o = o, .kh = 1, .kw = 1, .groups = groups}, lanes);
  };
  CHECK(count(32, 32, 8, 16) == 4);
  CHECK(count(32, 64, 8, 16) == 2);  // the wider side decides
  CHECK(count(24, 24, 6, 16) == 3);  // 4 would fit, but do not divide 6
  CHECK(count(10, 10, 5, 16) == 5);  // there are no more
  CHECK(count(64, 64, 2, 16) == 1);
  CHECK(count(64, 64, 1, 16) == 1);
}

TEST_CASE("merged groups have the outputs and gradients of the single ones") {
  for (const Conv2dShape& s :
       {Conv2dShape{.n = 1, .h = 4, .w = 3, .c = 12, .o = 24, .kh = 2, .kw = 3, .padding = 1, .groups = 6},
        Conv2dShape{.n = 2, .h = 3, .w = 3, .c = 8, .o = 8, .kh = 1, .kw = 1, .groups = 4}})
    for (const Index count : {1, 2, 3, 4, 6}) {
      if (s.groups % count != 0) continue;
      const test::ConvProblem<double> problem(s);
      const Conv2dShape merged = cpu::merge_groups(s, count);
      CHECK(merged.groups * count == s.groups);
      REQUIRE(merged.weight_size() == s.weight_size() * count);
      test::ConvProblem<double> wide(merged);  // same x and dy
      wide.weight = full<double>({merged.weight_size()}, 7);
      cpu::spread_groups(s, count, problem.weight.data(), wide.weight.data());
      CHECK(test::close(wide.y(true, false), problem.y(true, false), 1e-13));
      CHECK(test::close(wide.dx(false), problem.dx(false), 1e-13));

      const auto wide_dw = wide.dw(false);
      for (const bool add : {false, true}) {
        const Tensor<double> dw = problem.before(s.weight_size());
        cpu::collect_groups(s, count, wide_dw.data(), dw.data(), add);
        CHECK(test::close(dw, problem.dw(add), 1e-13));
      }
    }
}
