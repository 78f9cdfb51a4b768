// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram::kernels {

/// Offsets of the parts of one scratch block, each part 64-byte aligned.
struct Layout {
  Index size = 0;
  constexpr Index take(Index count) {
    const Index at = size;
    size += round_up(count, 16);
    return at;
  }
};

}  // namespace gram::kernels
