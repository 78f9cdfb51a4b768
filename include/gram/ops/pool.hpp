// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/pool.hpp"
#include "gram/cuda/pool.hpp"
#include "gram/ops/resize.hpp"

namespace gram {

struct PoolOptions {
  Pair kernel = 1;
  Pair stride = 0;  ///< 0: the kernel
  Pair padding = 0;
  bool ceil_mode = false;         ///< round output extents up: a last window may stick out at the end
  bool count_include_pad = true;  ///< average pools divide by the whole window, padding included
};

namespace detail {

/// Windows along an axis, PyTorch's rule: with ceil_mode the last one must start inside the input or its left
/// padding.
inline Index pooled_extent(Index in, Index kernel, Index stride, Index padding, bool ceil_mode) {
  const Index span = in + 2 * padding - kernel;
  if (span < 0 && !(ceil_mode && span > -stride)) return 0;
  const Index out = (ceil_mode ? (span + stride - 1) / stride : span / stride) + 1;
  return ceil_mode && (out - 1) * stride >= in + padding ? out - 1 : out;
}

/// Checks the arguments of a pool and resolves its options.
inline PoolWindows pool_windows(const char* name, const Shape& x, const PoolOptions& o) {
  require(x.rank() == 4, name, ": x has shape ", x, ", but (N, H, W, C) is needed");
  const Pair stride(o.stride.h ? o.stride.h : o.kernel.h, o.stride.w ? o.stride.w : o.kernel.w);
  require<ArgumentError>(o.kernel.h > 0 && o.kernel.w > 0 && stride.h > 0 && stride.w > 0, name,
                         ": kernel is ", o.kernel, " and stride ", stride, ", but both must be positive");
  require<ArgumentError>(
      o.padding.h >= 0 && o.padding.w >= 0 && 2 * o.padding.h <= o.kernel.h && 2 * o.padding.w <= o.kernel.w,
      name, ": padding is ", o.padding, ", but kernel is ", o.kernel, "; at most half of it is allowed");
  const PoolWindows windows{.h = x[1],
                            .w = x[2],
                            .out_h = pooled_extent(x[1], o.kernel.h, stride.h, o.padding.h, o.ceil_mode),
                            .out_w = pooled_extent(x[2], o.kernel.w, stride.w, o.padding.w, o.ceil_mode),
                            .kernel_h = o.kernel.h,
                            .kernel_w = o.kernel.w,
                            .stride_h = stride.h,
                            .stride_w = stride.w,
                            .pad_h = o.padding.h,
                            .pad_w = o.padding.w};
  require(x[1] > 0 && x[2] > 0 && windows.out_h > 0 && windows.out_w > 0, name, ": x has shape ", x,
          ", but kernel is ", o.kernel, " and padding ", o.padding, "; no window fits");
  return windows;
}

}  // namespace detail

/// The maximum of every window and channel, x (N, H, W, C) -> (N, H', W', C). Padding never wins; of equal
/// values the first has the gradient. Extents as torch.nn.MaxPool2d. Keeps the place of each maximum, not x.
/// Throws ShapeError when no window fits, ArgumentError on padding of more than half the kernel.
template <Scalar T>
Tensor<T> max_pool2d(const Tensor<T>& x, const PoolOptions& options) {
  const PoolWindows windows = detail::pool_windows("max_pool2d", x.shape(), options);
  const Index N = x.dim(0), C = x.dim(3);
  Tensor<T> y({N, windows.out_h, windows.out_w, C}, x.device());
  const Tensor<std::int32_t> picks =
      needs_grad({x}) ? Tensor<std::int32_t>(y.shape(), x.device()) : Tensor<std::int32_t>{};
  on(x.device(),
     [&](auto device) { kernels::max_pool(device, x.data(), N, C, windows, y.data(), picks.data()); });
  return record("max_pool2d", y, {x},
                [=, dx = x.gradient()](const Tensor<T>& dy) {  // dx = dy where x was chosen
                  if (const GradientSink<T> sink = dx.sink())
                    on(dy.device(), [&](auto device) {
                      kernels::max_pool_grad(device, dy.data(), picks.data(), N, C, windows, sink);
                    });
                });
}

/// The mean of every window and channel, x (N, H, W, C) -> (N, H', W', C), as torch.nn.AvgPool2d: what a
/// window covers of the padding counts as zeros, or not at all without count_include_pad. Throws as
/// max_pool2d does.
template <Scalar T>
Tensor<T> avg_pool2d(const Tensor<T>& x, const PoolOptions& options) {
  const PoolWindows s = detail::pool_windows("avg_pool2d", x.shape(), options);
  using enum ResampleAxis::Kind;
  const auto kind = options.count_include_pad ? window_with_pad : window;
  return detail::resample("avg_pool2d", x, {x.dim(0), s.out_h, s.out_w, x.dim(3)},
                          {kind, s.h, s.out_h, s.kernel_h, s.stride_h, s.pad_h},
                          {kind, s.w, s.out_w, s.kernel_w, s.stride_w, s.pad_w});
}

/// Means over windows that cover the map, x (N, H, W, C) -> (N, out.h, out.w, C): output o is the mean of
/// rows floor(o H / out.h) to ceil((o + 1) H / out.h), and columns alike. Throws ShapeError unless all
/// extents are positive.
template <Scalar T>
Tensor<T> adaptive_avg_pool2d(const Tensor<T>& x, Pair out) {
  require(x.rank() == 4 && x.dim(1) > 0 && x.dim(2) > 0, "adaptive_avg_pool2d: x has shape ", x.shape(),
          ", but (N, H, W, C) with at least one pixel is needed");
  require(out.h > 0 && out.w > 0, "adaptive_avg_pool2d: output size is ", out,
          ", but both extents must be positive");
  using enum ResampleAxis::Kind;
  return detail::resample("adaptive_avg_pool2d", x, x.shape().with(1, out.h).with(2, out.w),
                          {adaptive, x.dim(1), out.h}, {adaptive, x.dim(2), out.w});
}

/// The mean over all positions, x (N, ..., C) -> (N, C): of a map over its pixels, of tokens over the
/// sequence. Throws ShapeError unless there are at least two axes and one position.
template <Scalar T>
Tensor<T> global_avg_pool(const Tensor<T>& x) {
  const Index positions = x.rank() >= 2 ? x.shape().product(1, x.rank() - 1) : 0;
  require(positions > 0, "global_avg_pool: x has shape ", x.shape(),
          ", but (N, ..., C) with at least one position is needed");
  using enum ResampleAxis::Kind;
  return detail::resample("global_avg_pool", x, {x.dim(0), x.dim(-1)}, {adaptive, positions, 1},
                          {adaptive, 1, 1});
}

}  // namespace gram
