// SPDX-License-Identifier: MIT
#pragma once
#include <array>

#include "gram/cpu/reduce.hpp"
#include "gram/cuda/reduce.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct ReduceOptions {
  bool keep = false;  ///< reduced axes stay, with extent 1
};

namespace detail {

inline std::array<bool, Shape::max_rank> reduced_axes(const char* name, const Shape& shape,
                                                      std::span<const int> axes) {
  std::array<bool, Shape::max_rank> reduced{};
  for (const int axis : axes) {
    require(axis >= -shape.rank() && axis < shape.rank(), name, ": x has shape ", shape, ", but no axis ",
            axis);
    bool& flag = reduced[static_cast<std::size_t>(axis < 0 ? axis + shape.rank() : axis)];
    require<ArgumentError>(!flag, name, ": axis ", axis, " is given twice");
    flag = true;
  }
  return reduced;
}

/// Calls step(x, view, shape of the result) for each run of neighbouring reduced axes, the last run first.
/// Most reductions are one run: (H, W) of a feature map, everything but C.
template <Scalar T, class Step>
Tensor<T> reduce_runs(const char* name, Tensor<T> x, std::span<const int> axes, ReduceOptions options,
                      Step step) {
  const auto reduced = reduced_axes(name, x.shape(), axes);
  for (int last = x.rank(), first = last; last > 0; last = first - 1) {
    first = last;
    while (first > 0 && reduced[static_cast<std::size_t>(first - 1)]) --first;
    if (first == last) continue;
    Shape shape;
    for (int i = 0; i < x.rank(); ++i) {
      const bool inside = i >= first && i < last;
      if (!inside || options.keep) shape.append(inside ? 1 : x.dim(i));
    }
    x = step(x, AxisView(x.shape(), first, last), shape);
  }
  return x;
}

template <Scalar T>
Tensor<T> scaled_sum(const char* name, const Tensor<T>& x, const AxisView& v, const Shape& shape,
                     double scale) {
  require<ArgumentError>(x.defined(), name, ": x is undefined");
  Tensor<T> y(shape, x.device());
  on(x.device(), [&](auto device) { kernels::reduce_sum(device, x.data(), y.data(), v, scale); });
  return record(name, y, {x}, [dx = x.gradient(), v, scale](const Tensor<T>& dy) {  // dx = scale dy
    if (const GradientSink<T> sink = dx.sink())
      on(dy.device(),
         [&](auto device) { kernels::reduce_sum_grad(device, dy.data(), sink.data, sink.add, v, scale); });
  });
}

template <Scalar T>
Tensor<T> largest(const Tensor<T>& x, const AxisView& v, const Shape& shape) {
  require<ArgumentError>(x.defined(), "max: x is undefined");
  require(v.n > 0 || v.outer * v.inner == 0, "max: x has shape ", x.shape(),
          ", but nothing has no largest value");
  Tensor<T> y(shape, x.device());
  Tensor<std::int64_t> at(shape, x.device());
  on(x.device(), [&](auto device) { kernels::reduce_max(device, x.data(), y.data(), at.data(), v); });
  return record("max", y, {x}, [dx = x.gradient(), at, v](const Tensor<T>& dy) {
    if (const GradientSink<T> sink = dx.sink())
      on(dy.device(), [&](auto device) {
        kernels::reduce_max_grad(device, dy.data(), at.data(), sink.data, sink.add, v);
      });
  });
}

template <Scalar T>
AxisView everything(const Tensor<T>& x) {
  return {x.shape(), 0, x.rank()};
}

}  // namespace detail

/// Sum over the given axes; negative ones count from the end, no axes leave x as it is. Partial sums are
/// added in double. Throws ShapeError for an axis that x does not have, ArgumentError for one given twice.
template <Scalar T>
Tensor<T> sum(const Tensor<T>& x, std::initializer_list<int> axes, ReduceOptions options = {}) {
  return detail::reduce_runs("sum", x, std::span(axes.begin(), axes.size()), options,
                             [](const Tensor<T>& t, const AxisView& v, const Shape& shape) {
                               return detail::scaled_sum("sum", t, v, shape, 1);
                             });
}
/// Sum of all elements, a tensor of shape ().
template <Scalar T>
Tensor<T> sum(const Tensor<T>& x) {
  return detail::scaled_sum("sum", x, detail::everything(x), {}, 1);
}

/// Mean over the given axes, as sum; NaN where nothing is averaged.
template <Scalar T>
Tensor<T> mean(const Tensor<T>& x, std::initializer_list<int> axes, ReduceOptions options = {}) {
  return detail::reduce_runs("mean", x, std::span(axes.begin(), axes.size()), options,
                             [](const Tensor<T>& t, const AxisView& v, const Shape& shape) {
                               return detail::scaled_sum("mean", t, v, shape, 1 / static_cast<double>(v.n));
                             });
}
/// Mean of all elements, a tensor of shape ().
template <Scalar T>
Tensor<T> mean(const Tensor<T>& x) {
  return detail::scaled_sum("mean", x, detail::everything(x), {}, 1 / static_cast<double>(x.size()));
}

/// Largest value over the given axes; NaN counts as largest. The gradient goes to the first element, in
/// row-major order, that holds the largest value (as torch.max does along one axis; torch.amax divides it
/// among equals). Throws ShapeError where there is nothing to choose from.
template <Scalar T>
Tensor<T> max(const Tensor<T>& x, std::initializer_list<int> axes, ReduceOptions options = {}) {
  return detail::reduce_runs(
      "max", x, std::span(axes.begin(), axes.size()), options,
      [](const Tensor<T>& t, const AxisView& v, const Shape& shape) { return detail::largest(t, v, shape); });
}
/// Largest of all elements, a tensor of shape ().
template <Scalar T>
Tensor<T> max(const Tensor<T>& x) {
  return detail::largest(x, detail::everything(x), {});
}

/// Position of the largest value along the last axis (the first one of equals; NaN counts as largest). x (..,
/// C) -> (..).
template <Scalar T>
Tensor<std::int64_t> argmax(const Tensor<T>& x) {
  require(x.rank() >= 1 && x.dim(-1) >= 1, "argmax: x has shape ", x.shape(),
          ", but its last axis must hold a value");
  const AxisView v(x.shape(), x.rank() - 1, x.rank());
  Tensor<std::int64_t> at(Shape(std::span(x.shape().begin(), static_cast<std::size_t>(x.rank() - 1))),
                          x.device());
  const Tensor<T> values(at.shape(), x.device());
  on(x.device(), [&](auto device) { kernels::reduce_max(device, x.data(), values.data(), at.data(), v); });
  return at;
}

}  // namespace gram
