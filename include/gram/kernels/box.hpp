// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// A rectangle of patches or pixels, rows [top, bottom) and columns [left, right); empty by default.
struct TokenBox {
  Index top = 0, left = 0, bottom = 0, right = 0;
  /// In a captured CUDA graph: device memory that the kernels take the box of each replay from.
  const TokenBox* live = nullptr;

  /// What a kernel of a GPU sees.
  constexpr TokenBox now() const { return live ? *live : *this; }

  constexpr Index area() const { return (bottom - top) * (right - left); }
  constexpr bool holds(Index row, Index column) const {
    return top <= row && row < bottom && left <= column && column < right;
  }
  bool operator==(const TokenBox&) const = default;
};

}  // namespace gram
