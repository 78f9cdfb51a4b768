// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/index.hpp"
#include "gram/cuda/index.hpp"
#include "gram/ops/shape.hpp"

namespace gram {
namespace detail {

inline void require_inside(const char* name, const Tensor<std::int64_t>& index, Index n, int axis,
                           const Shape& shape) {
  const Index at = on(index.device(), [&](auto device) {
    return kernels::first_outside(device, index.data(), index.size(), n);
  });
  if (at < 0) return;
  Shape position;
  Index before = index.size();
  for (Index rest = at; const Index extent : index.shape()) {
    before /= extent;
    position.append(rest / before);
    rest %= before;
  }
  throw ArgumentError(text(name, ": index", position, " is ", index.to(Device::cpu()).data()[at],
                           ", but axis ", axis, " of x ", shape, " has positions 0 to ", n - 1));
}

template <Scalar T>
Tensor<T> gathered(const char* name, const Tensor<T>& x, const Tensor<std::int64_t>& index,
                   const IndexView& strides, const AxisView& v, const Shape& shape) {
  require_one_device(name, {&x, &index});
  Tensor<T> y(shape, x.device());
  on(x.device(), [&](auto device) { kernels::gather(device, x.data(), strides, y.data(), v); });
  return record(
      name, y, {x}, [dx = x.gradient(), index, strides, v](const Tensor<T>& dy) {  // dx[index] += dy
        if (const GradientSink<T> sink = dx.sink())
          on(dy.device(),
             [&](auto device) { kernels::gather_grad(device, dy.data(), strides, sink.data, sink.add, v); });
      });
}

}  // namespace detail

/// y[.., k, ..] = x[.., index[.., k, ..], ..] along one axis, as torch.gather: y has the shape of index,
/// which has as many axes as x and, except along `axis`, no larger extents. Throws ShapeError otherwise,
/// ArgumentError for an index outside the axis.
template <Scalar T>
Tensor<T> gather(const Tensor<T>& x, int axis, const Tensor<std::int64_t>& index) {
  require(axis >= -x.rank() && axis < x.rank(), "gather: x has shape ", x.shape(), ", but no axis ", axis);
  const int along = x.shape().axis(axis);
  bool fits = index.rank() == x.rank();
  for (int k = 0; fits && k < x.rank(); ++k) fits = k == along || index.dim(k) <= x.dim(k);
  require(fits, "gather: index has shape ", index.shape(), ", but x has ", x.shape(),
          "; as many axes are needed, with no larger extents except along axis ", along);
  detail::require_inside("gather", index, x.dim(along), along, x.shape());
  Tensor<T> same = x;
  for (int k = 0; k < x.rank(); ++k)
    if (k != along && index.dim(k) < x.dim(k)) same = slice(same, k, 0, index.dim(k));
  const AxisView v(same.shape(), along, along + 1);
  const IndexView strides{index.data(), index.dim(along), index.dim(along) * v.inner, v.inner, 1};
  return detail::gathered("gather", same, index, strides, v, index.shape());
}

/// y[.., k, ..] = x[.., index[k], ..] along one axis, as torch.index_select; index is 1-D and may repeat
/// positions. With axis 0 this looks rows up in a table. Throws ArgumentError for an index outside the axis.
template <Scalar T>
Tensor<T> index_select(const Tensor<T>& x, int axis, const Tensor<std::int64_t>& index) {
  require(axis >= -x.rank() && axis < x.rank(), "index_select: x has shape ", x.shape(), ", but no axis ",
          axis);
  require(index.rank() == 1, "index_select: index has shape ", index.shape(), ", but must have one axis");
  const int along = x.shape().axis(axis);
  detail::require_inside("index_select", index, x.dim(along), along, x.shape());
  const AxisView v(x.shape(), along, along + 1);
  const IndexView strides{index.data(), index.size(), 0, 1, 0};
  return detail::gathered("index_select", x, index, strides, v, x.shape().with(along, index.size()));
}

}  // namespace gram
