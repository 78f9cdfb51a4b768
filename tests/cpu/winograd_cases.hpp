// SPDX-License-Identifier: MIT
// The shapes that Winograd's convolutions are tried on, and how far from the definition they may be.
#pragma once
#include "cpu/naive_conv2d.hpp"

namespace gram::test {

/// f(shape, number) for shapes on all sides of the tiles: maps that end inside a tile or fit in one, every
/// padding, channels around the widths of vectors and panels, several tasks.
template <class F>
void for_each_winograd_case(F&& f) {
  const RandomKey random{7, 1};
  std::uint64_t next = 0;
  const auto pick = [&](std::initializer_list<Index> values) {
    return values.begin()[random.bits(next++)[0] % values.size()];
  };
  for (Index number = 0; number < 120; ++number) {
    Conv2dShape s{.n = pick({1, 1, 2, 3}),
                  .h = pick({1, 2, 3, 4, 5, 7, 8, 9}),
                  .w = pick({1, 2, 3, 4, 6, 7, 8, 11}),
                  .c = pick({1, 3, 8, 16, 17, 20, 33, 40}),
                  .o = pick({1, 5, 16, 18, 24, 33, 48, 70}),
                  .kh = 3,
                  .kw = 3,
                  .padding = Pair(pick({0, 1, 1, 1, 2}), pick({0, 1, 1, 1, 2}))};
    s.h = std::max(s.h, 3 - 2 * s.padding.h), s.w = std::max(s.w, 3 - 2 * s.padding.w);
    if (number % 40 == 39) s.n = 4, s.h = 19, s.w = 22;
    CAPTURE(conv_text(s));
    f(s, number);
  }
}

/// Relative to the largest element.
template <class T>
double winograd_tolerance(Index tile) {
  if (std::is_same_v<T, double>) return tile == 2 ? 1e-14 : 1e-13;
  return tile == 2 ? 5e-6 : 2e-5;
}

}  // namespace gram::test
