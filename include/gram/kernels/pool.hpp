// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// Windows over a map: output (o, p) covers rows [o stride_h - pad_h, + kernel_h) and columns alike; each
/// holds at least one position of the map.
struct PoolWindows {
  Index h, w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;

  /// The first window along an axis that covers a position, counted from the start of the padding.
  static constexpr Index first_window(Index position, Index kernel, Index stride) {
    return position < kernel ? 0 : (position - kernel) / stride + 1;
  }
};

}  // namespace gram
