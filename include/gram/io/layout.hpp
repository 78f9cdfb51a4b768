// SPDX-License-Identifier: MIT
// Between PyTorch's layouts, which files have, and channels last, which memory has. Nothing outside io/
// converts.
#pragma once
#include "gram/nn/parameter.hpp"

namespace gram {
namespace detail {

/// y[n][j][i] = x[n][i][j], x (N, I, J)
template <Element T>
void swap_inner(const T* x, T* y, Index n, Index rows, Index columns) {
  parallel_blocks(n, [=](Index b, int) {
    const T* from = x + b * rows * columns;
    T* to = y + b * rows * columns;
    for (Index j = 0; j < columns; ++j)
      for (Index i = 0; i < rows; ++i) *to++ = from[i * columns + j];
  });
}

}  // namespace detail

/// (N, C, H, W) -> (N, H, W, C); also the weights of a convolution, (O, I, Kh, Kw) -> (O, Kh, Kw, I). On
/// the CPU, off the tape.
template <Element T>
Tensor<T> channels_last(const Tensor<T>& x) {
  require(x.rank() == 4, "channels_last: shape ", x.shape(), "; (N, C, H, W) is needed");
  Tensor<T> y({x.dim(0), x.dim(2), x.dim(3), x.dim(1)});
  if (x.size()) detail::swap_inner<T>(x.span().data(), y.data(), x.dim(0), x.dim(1), x.dim(2) * x.dim(3));
  return y;
}

/// (N, H, W, C) -> (N, C, H, W); also (O, Kh, Kw, I) -> (O, I, Kh, Kw). On the CPU, off the
/// tape.
template <Element T>
Tensor<T> channels_first(const Tensor<T>& x) {
  require(x.rank() == 4, "channels_first: shape ", x.shape(), "; (N, H, W, C) is needed");
  Tensor<T> y({x.dim(0), x.dim(3), x.dim(1), x.dim(2)});
  if (x.size()) detail::swap_inner<T>(x.span().data(), y.data(), x.dim(0), x.dim(1) * x.dim(2), x.dim(3));
  return y;
}

/// The shape in a file of what has this shape in memory.
inline Shape file_shape(const Shape& shape, Layout layout) {
  switch (layout) {
    case Layout::conv:
      return {shape[0], shape[3], shape[1], shape[2]};
    case Layout::pointwise:
      return {shape[0], shape[1], 1, 1};
    case Layout::plain:
      break;
  }
  return shape;
}

/// Values as they lie in a file. They may share x's memory. Off the tape.
template <Element T>
Tensor<T> to_file_layout(const Tensor<T>& x, Layout layout) {
  return layout == Layout::conv ? channels_first(x) : x.alias(file_shape(x.shape(), layout));
}

/// The reverse, for values that become a tensor of `shape`; throws ShapeError when they do not have its size.
template <Element T>
Tensor<T> from_file_layout(const Tensor<T>& x, const Shape& shape, Layout layout) {
  return layout == Layout::conv ? channels_last(x).alias(shape) : x.alias(shape);
}

}  // namespace gram
