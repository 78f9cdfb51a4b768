// SPDX-License-Identifier: MIT
// Every order of axes is compared with a plain loop in tests/ops/shape_test.cpp.
#include "gram/cpu/transpose.hpp"

#include "isa_and_threads.hpp"

using namespace gram;

TEST_CASE("neighbours that stay together are one axis, axes of extent 1 are none") {
  const auto extents = [](const Shape& shape, std::initializer_list<int> order) {
    const kernels::Permuted p(shape, order.begin());
    std::string all;
    for (int k = 0; k < p.rank; ++k) all += text(p.extent[k], " by ", p.stride[k], ", ");
    return all;
  };
  CHECK(extents({2, 3, 4}, {0, 1, 2}) == "24 by 1, ");
  CHECK(extents({2, 3, 4}, {2, 0, 1}) == "4 by 1, 6 by 4, ");
  CHECK(extents({2, 3, 4}, {1, 2, 0}) == "12 by 1, 2 by 12, ");
  CHECK(extents({2, 3, 4}, {1, 0, 2}) == "3 by 4, 2 by 12, 4 by 1, ");
  CHECK(extents({2, 1, 4, 1}, {3, 0, 1, 2}) == "8 by 1, ");
  CHECK(extents({1, 1}, {1, 0}).empty());
}

TEST_CASE_TEMPLATE("other orders of axes can be added to what is there", T, float, double, bf16) {
  struct Case {
    Shape shape;
    int order[3];
  };
  test::for_each_isa([] {
    for (const auto& [shape, order] :
         {Case{{3, 40, 70}, {0, 2, 1}}, Case{{33, 5, 65}, {2, 1, 0}}, Case{{4, 9, 6}, {1, 0, 2}},
          Case{{4, 9, 6}, {0, 1, 2}}, Case{{70, 2, 31}, {1, 2, 0}}}) {
      const auto x = randn<T>(shape, 1), before = randn<T>({shape.size()}, 2);
      const auto y = before.clone();
      kernels::permute(Cpu{}, x.data(), y.data(), shape, order, true);
      Index at[3], i = 0;
      bool right = true;
      for (Index a = 0; a < shape[order[0]]; ++a)
        for (Index b = 0; b < shape[order[1]]; ++b)
          for (Index c = 0; c < shape[order[2]]; ++c, ++i) {
            at[order[0]] = a, at[order[1]] = b, at[order[2]] = c;
            right =
                right && y.data()[i] == static_cast<T>(static_cast<accum_t<T>>(before.data()[i]) +
                                                       static_cast<accum_t<T>>(x.at({at[0], at[1], at[2]})));
          }
      CHECK(right);
    }
  });
}

TEST_CASE("runs are copied or added from one distance to another, long ones in pieces") {
  for (const Index length : {Index{0}, Index{1}, Index{37}, kernels::grain + 3})
    for (const bool add : {false, true}) {
      const Index runs = 3, from = length + 2, to = length + 5;
      const auto x = randn<double>({runs, from}, 1), before = randn<double>({runs, to}, 2);
      const auto y = before.clone();
      kernels::copy_runs(Cpu{}, runs, length, x.data(), from, y.data(), to, add);
      bool right = true;
      for (Index r = 0; r < runs; ++r)
        for (Index i = 0; i < to; ++i) {
          const double old = before.at({r, i}), value = i < length ? x.at({r, i}) + (add ? old : 0) : old;
          right = right && y.at({r, i}) == value;
        }
      CHECK(right);
    }
}
