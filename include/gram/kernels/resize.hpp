// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// How the positions of an output axis read an input axis. Window begins and ends never decrease along the
/// axis.
struct ResampleAxis {
  enum class Kind {
    window,           ///< mean of [o stride - padding, + kernel), of what lies inside the input
    window_with_pad,  ///< the same, padding counted as zeros
    adaptive,         ///< mean of [floor(o in / out), ceil((o + 1) in / out))
    nearest,          ///< floor(o in / out)
    bilinear,         ///< between the two nearest of (o + 1/2) in / out - 1/2
    align_corners     ///< between the two nearest of o (in - 1) / (out - 1)
  };
  Kind kind;
  Index in, out;
  Index kernel = 0, stride = 0, padding = 0;
};

}  // namespace gram
