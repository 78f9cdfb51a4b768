// SPDX-License-Identifier: MIT
// Operations that only move elements. reshape and rows, which do not even do that, are in tensor/views.hpp.
#pragma once
#include <algorithm>
#include <array>

#include "gram/cpu/panel.hpp"
#include "gram/cpu/transpose.hpp"
#include "gram/cuda/permute.hpp"
#include "gram/tensor/views.hpp"

namespace gram {
namespace detail {

using AxisOrder = std::array<int, Shape::max_rank>;

/// Axis k of the result is axis order[k] of x.
template <Scalar T>
Tensor<T> permuted(const char* name, const Tensor<T>& x, const AxisOrder& order) {
  require<ArgumentError>(x.defined(), name, ": x is undefined");
  Shape shape;
  AxisOrder inverse{};
  for (int k = 0; k < x.rank(); ++k) {
    const int axis = order[static_cast<std::size_t>(k)];
    shape.append(x.dim(axis));
    inverse[static_cast<std::size_t>(axis)] = k;
  }
  Tensor<T> y(shape, x.device());
  on(x.device(),
     [&](auto device) { kernels::permute(device, x.data(), y.data(), x.shape(), order.data(), false); });
  return record(name, y, {x}, [dx = x.gradient(), shape, inverse](const Tensor<T>& dy) {
    if (const GradientSink<T> sink = dx.sink())
      on(dy.device(), [&](auto device) {
        kernels::permute(device, dy.data(), sink.data, shape, inverse.data(), sink.add);
      });
  });
}

}  // namespace detail

/// The axes in another order: axis k of the result is axis order[k] of x. Throws ShapeError unless every axis
/// is named once.
template <Scalar T>
Tensor<T> permute(const Tensor<T>& x, std::initializer_list<int> order) {
  detail::AxisOrder axes{};
  std::array<bool, Shape::max_rank> seen{};
  bool once = static_cast<int>(order.size()) == x.rank();
  for (std::size_t k = 0; once && k < order.size(); ++k) {
    int axis = order.begin()[k];
    axis += axis < 0 ? x.rank() : 0;
    once = axis >= 0 && axis < x.rank() && !std::exchange(seen[static_cast<std::size_t>(axis)], true);
    axes[k] = axis;
  }
  require(once, "permute: x has shape ", x.shape(), ", but the order does not name each of its axes once");
  return detail::permuted("permute", x, axes);
}

/// Axes a and b exchanged.
template <Scalar T>
Tensor<T> transpose(const Tensor<T>& x, int a, int b) {
  for (const int axis : {a, b})
    require(axis >= -x.rank() && axis < x.rank(), "transpose: x has shape ", x.shape(), ", but no axis ",
            axis);
  detail::AxisOrder order{};
  for (int k = 0; k < x.rank(); ++k) order[static_cast<std::size_t>(k)] = k;
  std::swap(order[static_cast<std::size_t>(x.shape().axis(a))],
            order[static_cast<std::size_t>(x.shape().axis(b))]);
  return detail::permuted("transpose", x, order);
}

/// The tensors one after another along an axis. Throws ShapeError unless there is one and all other extents
/// agree.
template <Scalar T>
Tensor<T> concat(const std::vector<Tensor<T>>& parts, int axis) {
  require(!parts.empty(), "concat: no tensors; at least one is needed");
  const Shape& first = parts[0].shape();
  require(axis >= -first.rank() && axis < first.rank(), "concat: parts[0] has shape ", first,
          ", but no axis ", axis);
  const int along = first.axis(axis);
  Index total = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const Shape& shape = parts[i].shape();
    require(shape.rank() == first.rank() && shape.with(along, first[along]) == first, "concat: parts[", i,
            "] has shape ", shape, ", but parts[0] has ", first, "; they may differ in axis ", along,
            " only");
    require_one_device("concat", {&parts[0], &parts[i]});
    total += shape[along];
  }
  Tensor<T> y(first.with(along, total), parts[0].device());
  const AxisView v(y.shape(), along, along + 1);
  std::vector<Gradient<T>> gradients;
  Index begin = 0;
  for (const Tensor<T>& x : parts) {
    const Index length = x.dim(along) * v.inner;
    on(x.device(), [&](auto device) {
      kernels::copy_runs(device, v.outer, length, x.data(), length, y.data() + begin, v.n * v.inner, false);
    });
    begin += length;
    gradients.push_back(x.gradient());
  }
  return record("concat", y, std::vector<AnyTensor>(parts.begin(), parts.end()),
                [gradients = std::move(gradients), v, along](const Tensor<T>& dy) {
                  Index start = 0;
                  for (const Gradient<T>& dx : gradients) {
                    const Index length = dx.shape()[along] * v.inner;
                    if (const GradientSink<T> sink = dx.sink())
                      on(dy.device(), [&](auto device) {
                        kernels::copy_runs(device, v.outer, length, dy.data() + start, v.n * v.inner,
                                           sink.data, length, sink.add);
                      });
                    start += length;
                  }
                });
}

/// Positions [begin, end) of an axis. Along the first axis (or when all axes before are 1) the result shares
/// x's memory.
template <Scalar T>
Tensor<T> slice(const Tensor<T>& x, int axis, Index begin, Index end) {
  require(axis >= -x.rank() && axis < x.rank(), "slice: x has shape ", x.shape(), ", but no axis ", axis);
  const int along = x.shape().axis(axis);
  require(0 <= begin && begin <= end && end <= x.dim(along), "slice: x has shape ", x.shape(),
          ", but positions ", begin, " to ", end, " of axis ", along, " are asked for");
  const AxisView v(x.shape(), along, along + 1);
  const Shape shape = x.shape().with(along, end - begin);
  if (v.outer == 1) return reshape(rows(reshape(x, Shape{v.n, v.inner}), begin, end), shape);
  Tensor<T> y(shape, x.device());
  const Index length = (end - begin) * v.inner, stride = v.n * v.inner, start = begin * v.inner;
  on(x.device(), [&](auto device) {
    kernels::copy_runs(device, v.outer, length, x.data() + start, stride, y.data(), length, false);
  });
  return record("slice", y, {x}, [dx = x.gradient(), v, length, stride, start](const Tensor<T>& dy) {
    if (const GradientSink<T> sink = dx.sink())
      on(dy.device(), [&](auto device) {
        if (!sink.add) kernels::fill(device, sink.data, T(0.0F), v.outer * stride);
        kernels::copy_runs(device, v.outer, length, dy.data(), length, sink.data + start, stride, sink.add);
      });
  });
}

/// Consecutive pieces of the given sizes along an axis. Throws ShapeError unless the sizes add up to the
/// axis.
template <Scalar T>
std::vector<Tensor<T>> split(const Tensor<T>& x, const std::vector<Index>& sizes, int axis) {
  require(axis >= -x.rank() && axis < x.rank(), "split: x has shape ", x.shape(), ", but no axis ", axis);
  Index total = 0;
  for (const Index size : sizes) {
    require(size >= 0, "split: size ", size, " is negative");
    total += size;
  }
  require(total == x.dim(axis), "split: x has shape ", x.shape(), ", but the sizes add up to ", total,
          " along axis ", x.shape().axis(axis));
  std::vector<Tensor<T>> pieces;
  Index begin = 0;
  for (const Index size : sizes) {
    pieces.push_back(slice(x, axis, begin, begin + size));
    begin += size;
  }
  return pieces;
}

/// How channel_shuffle reads C channels as a matrix, whose transpose it writes.
enum class ShuffleOrder {
  shufflenet,  ///< (groups, C / groups), arXiv:1707.01083: out[j groups + i] = in[i C/groups + j]
  gram_head,   ///< (C / groups, groups), the Gramian heads: out[j C/groups + i] = in[i groups + j]
};

/// Mixes the groups of a grouped convolution over the last axis. Throws ShapeError unless groups divide the
/// channels.
template <Scalar T>
Tensor<T> channel_shuffle(const Tensor<T>& x, Index groups, ShuffleOrder order) {
  require(x.rank() >= 1 && groups >= 1 && x.dim(-1) % groups == 0, "channel_shuffle: x has shape ", x.shape(),
          ", but ", groups, " groups must divide its last axis");
  const Index each = x.dim(-1) / groups, positions = x.shape().product(0, x.rank() - 1);
  const Shape matrix =
      order == ShuffleOrder::shufflenet ? Shape{positions, groups, each} : Shape{positions, each, groups};
  return reshape(transpose(reshape(x, matrix), 1, 2), x.shape());
}

}  // namespace gram
