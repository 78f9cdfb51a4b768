// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// A row-major tensor as (outer, n, inner): element (o, r, i) lies at (o * n + r) * inner + i. What happens
/// along one axis, or along a run of neighbouring axes, happens along n.
struct AxisView {
  Index outer, n, inner;

  /// Axes [first, last) of the shape become n.
  AxisView(const Shape& shape, int first, int last)
      : outer(shape.product(0, first)),
        n(shape.product(first, last)),
        inner(shape.product(last, shape.rank())) {}
};

}  // namespace gram
