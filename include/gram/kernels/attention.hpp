// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram::kernels {

/// q (images, queries, heads, width), k (images, keys, heads, width), v (images, keys, heads, value_width).
/// The values of a token lie *_stride behind those of the token before, so that q, k and v can be parts of
/// one tensor.
struct AttentionShape {
  Index images, heads, queries, keys, width, value_width;
  Index query_stride, key_stride, value_stride;
  double scale;
};

}  // namespace gram::kernels
