// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/shape.hpp"

namespace gram {

/// The index of result (o, k, i), k < count, is data[o * outer + k * row + i * inner]. Strides of zero share
/// one index among all outer or inner positions.
struct IndexView {
  const Index* data;
  Index count, outer, row, inner;

  constexpr Index operator()(Index o, Index k, Index i) const {
    return data[o * outer + k * row + i * inner];
  }
};

}  // namespace gram
