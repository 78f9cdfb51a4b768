// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/pair.hpp"

namespace gram {

/// A map (n, h, w, c) cut into windows, which hold some of its channels: the map's are `parts` blocks of one
/// width, and of each block the windows hold channels [begin, begin + width).
struct WindowShape {
  Index n, h, w, c;
  Pair window;
  Index parts, begin, width;

  constexpr Index channels() const { return parts * width; }
  constexpr Index tokens() const { return window.h * window.w; }
  constexpr Index windows() const { return n * (h / window.h) * (w / window.w); }
};

}  // namespace gram
