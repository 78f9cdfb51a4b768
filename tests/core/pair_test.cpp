// SPDX-License-Identifier: MIT
#include "gram/core/pair.hpp"

#include "support.hpp"

using namespace gram;

TEST_CASE("one number stands for height and width") {
  CHECK(Pair(3) == Pair(3, 3));
  CHECK(!(Pair(3) == Pair(3, 2)));
  CHECK(Pair(2, 1).h == 2);
  CHECK(to_text(Pair(3, 5)) == "(3, 5)");
}
