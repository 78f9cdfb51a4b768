// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// A map over H x W pixels.
struct DistanceMap {
  Index H, W;
  bool gaussian;   ///< or exponential
  bool normalize;  ///< each row of the map sums to one
  bool self;       ///< a pixel sees itself

  constexpr Index pixels() const { return H * W; }
};

namespace kernels {

/// Images (N, H, W, heads, width).
struct GaussianAttentionShape {
  Index images, H, W, heads, width;
  bool normalize;

  constexpr Index channels() const { return heads * width; }
  constexpr Index pixels() const { return H * W; }
};

}  // namespace kernels

}  // namespace gram
