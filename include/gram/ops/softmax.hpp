// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/softmax.hpp"
#include "gram/cuda/softmax.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {
namespace detail {

template <Scalar T>
Tensor<T> softmax_along(const char* name, bool logarithm, const Tensor<T>& x, int axis) {
  require(axis >= -x.rank() && axis < x.rank(), name, ": x has shape ", x.shape(), ", but no axis ", axis);
  const int first = x.shape().axis(axis);
  const AxisView v(x.shape(), first, first + 1);
  Tensor<T> y(x.shape(), x.device());
  on(x.device(), [&](auto device) { kernels::softmax(device, logarithm, x.data(), y.data(), v); });
  return record(name, y, {x}, [logarithm, y, dx = x.gradient(), v](const Tensor<T>& dy) {
    // softmax: y (dy - sum y dy); log_softmax: dy - exp(y) sum dy
    if (const GradientSink<T> sink = dx.sink_over(dy))
      on(dy.device(), [&](auto device) {
        kernels::softmax_grad(device, logarithm, y.data(), dy.data(), sink.data, sink.add, v);
      });
  });
}

}  // namespace detail

/// y = exp(x) / sum exp(x) along one axis, the last one by default. Throws ShapeError for an axis that x does
/// not have.
template <Scalar T>
Tensor<T> softmax(const Tensor<T>& x, int axis = -1) {
  return detail::softmax_along("softmax", false, x, axis);
}

/// y = x - log sum exp(x) along one axis, the last one by default. Throws ShapeError for an axis that x does
/// not have.
template <Scalar T>
Tensor<T> log_softmax(const Tensor<T>& x, int axis = -1) {
  return detail::softmax_along("log_softmax", true, x, axis);
}

}  // namespace gram
