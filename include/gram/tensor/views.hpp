// SPDX-License-Identifier: MIT
#pragma once
#include "gram/tensor/tape.hpp"

namespace gram {

/// The same values under another shape of the same size, without a copy. Throws ShapeError when the sizes
/// differ.
template <Scalar T>
Tensor<T> reshape(const Tensor<T>& x, const Shape& shape) {
  require(shape.size() == x.size(), "reshape: ", x.shape(), " cannot become ", shape);
  return record("reshape", x.alias(shape), {x},
                [dx = x.gradient()](const Tensor<T>& dy) { dx.add(dy.alias(dx.shape())); });
}
/// The same with extents; one of them may be -1: it is what remains.
template <Scalar T>
Tensor<T> reshape(const Tensor<T>& x, std::initializer_list<Index> extents) {
  Shape shape;
  int unknown = -1;
  for (const Index extent : extents) {
    require(extent != -1 || unknown < 0, "reshape: more than one extent is -1");
    if (extent == -1) unknown = shape.rank();
    shape.append(extent == -1 ? 1 : extent);
  }
  if (unknown >= 0 && shape.size() > 0) shape = shape.with(unknown, x.size() / shape.size());
  return reshape(x, shape);
}

/// Rows [begin, end) of the first axis, without a copy.
template <Scalar T>
Tensor<T> rows(const Tensor<T>& x, Index begin, Index end) {
  const Tensor<T> y = x.alias_rows(begin, end);
  return record("rows", y, {x}, [dx = x.gradient(), begin](const Tensor<T>& dy) {
    const GradientSink<T> sink = dx.sink();
    const Index before = begin * dx.shape().product(1, dx.shape().rank());
    on(dy.device(), [&](auto device) {
      if (!sink.add) kernels::fill(device, sink.data, T(0.0F), dx.shape().size());
      kernels::accumulate(device, dy.data(), sink.data + before, dy.size());
    });
  });
}

}  // namespace gram
