// SPDX-License-Identifier: MIT
#include "gram/core/shape.hpp"

#include "support.hpp"

using namespace gram;
using test::error_of;

TEST_CASE("a shape knows its extents, rank and size") {
  const Shape s{8, 56, 1, 32};
  CHECK(s.rank() == 4);
  CHECK(s.size() == 8 * 56 * 32);
  CHECK(s[0] == 8);
  CHECK(s[-1] == 32);
  CHECK(s.axis(-4) == 0);
  CHECK(s.product(1, 3) == 56);
  CHECK(s.product(2, 2) == 1);
  CHECK(std::vector<Index>(s.begin(), s.end()) == std::vector<Index>{8, 56, 1, 32});
  CHECK(s.with(-2, 7) == Shape{8, 56, 7, 32});
  CHECK(to_text(s) == "(8, 56, 1, 32)");
}

TEST_CASE("the shape of a scalar has one element, a shape with a zero none") {
  CHECK(Shape{}.size() == 1);
  CHECK(Shape{}.rank() == 0);
  CHECK(to_text(Shape{}) == "()");
  CHECK(Shape{3, 0}.size() == 0);
}

TEST_CASE("shapes are equal when all extents are") {
  CHECK(Shape{2, 3} == Shape{2, 3});
  CHECK(!(Shape{2, 3} == Shape{3, 2}));
  CHECK(!(Shape{2, 3} == Shape{2, 3, 1}));
  CHECK(!(Shape{} == Shape{1}));
}

TEST_CASE("impossible shapes are refused") {
  CHECK(error_of([] { Shape{2, -1}; }) == "shape: extent -1 of axis 1 is negative");
  CHECK(error_of([] { Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}; }) == "shape: 9 axes; at most 8 are supported");
  CHECK(error_of([] {
          Shape s{1, 1, 1, 1, 1, 1, 1, 1};
          s.append(1);
        }) == "shape: more than 8 axes");
  CHECK(error_of([] { Shape{Index{1} << 40, Index{1} << 40}; }) == "shape: more than 2^59 elements");
  CHECK(error_of([] { Shape{Index{1} << 61}; }) == "shape: more than 2^59 elements");  // 2^64 bytes of double
  CHECK(error_of([] { Shape({2, 3}).axis(2); }) == "shape: axis 2 of a tensor with 2 axes");
  CHECK(error_of([] { Shape({2, 3}).axis(-3); }) == "shape: axis -3 of a tensor with 2 axes");
  CHECK(error_of([] { Shape{}.axis(0); }) == "shape: axis 0 of a tensor with 0 axes");
}

TEST_CASE("rounded division") {
  CHECK(ceil_div(0, 4) == 0);
  CHECK(ceil_div(1, 4) == 1);
  CHECK(ceil_div(8, 4) == 2);
  CHECK(round_up(9, 4) == 12);
}
