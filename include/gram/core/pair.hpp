// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// A value for height and width; one number stands for both: {.stride = 2}, {.stride = {2, 1}}.
struct Pair {
  Index h, w;

  constexpr Pair(Index both) : h(both), w(both) {}
  constexpr Pair(Index height, Index width) : h(height), w(width) {}
  bool operator==(const Pair&) const = default;
};

/// "(3, 5)"
inline std::string to_text(Pair pair) { return text("(", pair.h, ", ", pair.w, ")"); }

}  // namespace gram
