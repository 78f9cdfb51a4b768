// SPDX-License-Identifier: MIT
#include "gram/kernels/broadcast.hpp"

#include <vector>

#include "support.hpp"

using namespace gram;
using kernels::Broadcast;

namespace {

/// Offset in an operand of shape `from` of element i of the result of shape `y`.
Index source(const Shape& y, const Shape& from, Index i) {
  Index offset = 0, step = 1;
  for (int axis = 1; axis <= from.rank(); ++axis) {
    offset += from[-axis] == 1 ? 0 : i % y[-axis] * step;
    i /= y[-axis];
    step *= from[-axis];
  }
  return offset;
}

struct Case {
  Shape y, a, b;
  int outer;  ///< axes that are left beside the innermost one
};
const Case cases[] = {{{3, 5, 7}, {3, 5, 7}, {3, 5, 7}, 0},
                      {{}, {}, {}, 0},
                      {{4, 3, 3, 18}, {4, 3, 3, 18}, {18}, 1},
                      {{4, 3, 5, 18}, {4, 3, 5, 18}, {4, 1, 1, 18}, 2},
                      {{4, 6, 10}, {4, 6, 10}, {6, 1}, 2},
                      {{4, 6, 10}, {4, 6, 1}, {4, 6, 10}, 1},
                      {{5, 9}, {5, 1}, {1, 9}, 1},
                      {{1, 5, 1, 9}, {5, 1, 9}, {1, 1, 1, 1}, 0},
                      {{2, 3, 2, 3}, {2, 1, 2, 1}, {1, 3, 1, 3}, 3},
                      {{2, 3}, {}, {2, 3}, 0}};

}  // namespace

TEST_CASE("joined axes lead to the same elements as the shapes, each of the result once") {
  for (const Case& c : cases) {
    CAPTURE(text(c.y, " ", c.a, " ", c.b));
    const Broadcast broadcast(c.y, c.a, c.b);
    CHECK(broadcast.outer.count() == c.outer);
    CHECK(broadcast.outer.size() * broadcast.inner.extent == c.y.size());
    std::vector<int> seen(static_cast<std::size_t>(c.y.size()));
    bool right = true;
    for (Index i = 0; i < broadcast.outer.size(); ++i) {
      const auto at = broadcast.outer.at(i);
      for (Index k = 0; k < broadcast.inner.extent; ++k) {
        const Index y = at.y + k * broadcast.inner.y;
        ++seen[static_cast<std::size_t>(y)];
        right = right && at.a + k * broadcast.inner.a == source(c.y, c.a, y) &&
                at.b + k * broadcast.inner.b == source(c.y, c.b, y);
      }
    }
    CHECK(right);
    CHECK(seen == std::vector<int>(seen.size(), 1));
    CHECK(broadcast.repeats_a == (c.a.size() < c.y.size()));
  }
}

TEST_CASE("runs cover a range once and do not cross the end of the innermost axis") {
  const Broadcast broadcast({4, 6, 5, 10}, {4, 6, 5, 10}, {6, 1, 10});
  const auto& axes = broadcast.outer;
  REQUIRE(axes.count() == 3);
  for (const auto& [begin, end] : {std::pair<Index, Index>{0, axes.size()}, {3, 3}, {7, 48}, {11, 12}}) {
    Index next = begin;
    axes.for_runs(begin, end, [&](Index rows, const kernels::BroadcastOffset& offset) {
      REQUIRE(rows > 0);
      CHECK(next % axes.last().extent + rows <= axes.last().extent);
      for (Index r = 0; r < rows; ++r) {
        const auto expected = axes.at(next + r);
        CHECK(offset.a + r * axes.last().a == expected.a);
        CHECK(offset.b + r * axes.last().b == expected.b);
        CHECK(offset.y + r * axes.last().y == expected.y);
      }
      next += rows;
    });
    CHECK(next == end);
  }
}
