// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram::kernels {

/// A permutation as the reading order of x: y is contiguous with these extents, and x has these strides. Axes
/// of extent 1 are left out, and neighbours that stay together are one axis.
struct Permuted {
  int rank = 0;
  Index extent[Shape::max_rank] = {}, stride[Shape::max_rank] = {};

  Permuted(const Shape& x, const int* order) {
    for (int k = 0; k < x.rank(); ++k) {
      const Index n = x[order[k]], step = x.product(order[k] + 1, x.rank());
      if (n == 1) continue;
      if (rank && stride[rank - 1] == n * step) {
        extent[rank - 1] *= n;
        stride[rank - 1] = step;
      } else {
        extent[rank] = n;
        stride[rank++] = step;
      }
    }
  }
};

/// Offset in x of number i in row-major order over the extents.
constexpr Index strided_offset(Index i, int rank, const Index* extent, const Index* stride) {
  Index offset = 0;
  for (int k = rank - 1; k >= 0; i /= extent[k--]) offset += i % extent[k] * stride[k];
  return offset;
}

}  // namespace gram::kernels
