// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram::kernels {

struct GramShape {
  Index images, pixels, width;  // x (images, pixels, width)
  double scale;                 // G = scale X^T X
  double epsilon;               // smallest norm that is divided by
};

}  // namespace gram::kernels
