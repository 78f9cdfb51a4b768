// SPDX-License-Identifier: MIT
#pragma once
#include "gram/ops/resize.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// Position embeddings (1, 1 + from.h from.w, D) for a grid of another size, (1, 1 + to.h to.w, D): the class
/// token's entry, which comes first, stays, the others are interpolated bilinearly, corners on corners.
/// Differentiable; as LoadOptions::resize it adapts the weights of a file. Throws ShapeError unless the
/// values are those of a grid of size `from`.
template <Scalar T>
Tensor<T> resize_position_embedding(const Tensor<T>& values, Pair from, Pair to) {
  require(values.rank() == 3 && values.dim(0) == 1 && values.dim(1) == 1 + from.h * from.w,
          "resize_position_embedding: values have shape ", values.shape(), ", but a grid of ", from,
          " patches and a class token need (1, ", 1 + from.h * from.w, ", D)");
  if (from == to) return values;
  const Index D = values.dim(2);
  const Tensor<T> grid = reshape(slice(values, 1, 1, values.dim(1)), {1, from.h, from.w, D});
  const Tensor<T> resized = resize(grid, to, {.mode = ResizeMode::bilinear, .align_corners = true});
  return concat<T>({slice(values, 1, 0, 1), reshape(resized, {1, to.h * to.w, D})}, 1);
}

}  // namespace gram
