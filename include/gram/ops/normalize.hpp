// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/normalize.hpp"
#include "gram/cuda/normalize.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

/// y = x / max(|x|, epsilon) along one axis, the last one by default, |x| the Euclidean length. Names and
/// behaviour of torch.nn.functional.normalize. Throws ShapeError for an axis that x does not have.
template <Scalar T>
Tensor<T> l2_normalize(const Tensor<T>& x, int axis = -1, double epsilon = 1e-12) {
  require(axis >= -x.rank() && axis < x.rank(), "l2_normalize: x has shape ", x.shape(), ", but no axis ",
          axis);
  require<ArgumentError>(epsilon >= 0, "l2_normalize: epsilon is ", epsilon, "; it must not be negative");
  const int first = x.shape().axis(axis);
  const AxisView v(x.shape(), first, first + 1);
  Tensor<T> y(x.shape(), x.device());
  const Tensor<accum_t<T>> length(Shape{v.outer, v.inner}, x.device());
  on(x.device(),
     [&](auto device) { kernels::l2_normalize(device, x.data(), y.data(), length.data(), v, epsilon); });
  return record("l2_normalize", y, {x}, [y, length, dx = x.gradient(), v, epsilon](const Tensor<T>& dy) {
    if (const GradientSink<T> sink = dx.sink())  // (dy - y <y, dy>) / |x|
      on(dy.device(), [&](auto device) {
        kernels::l2_normalize_grad(device, y.data(), length.data(), dy.data(), sink.data, sink.add, v,
                                   epsilon);
      });
  });
}

}  // namespace gram
