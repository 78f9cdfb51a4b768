// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/pair.hpp"
#include "gram/cpu/resize.hpp"
#include "gram/cuda/resize.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {
namespace detail {

/// Resampling of maps along both axes, with its gradient; resize and the average pools end here.
template <Scalar T>
Tensor<T> resample(const char* name, const Tensor<T>& x, const Shape& shape, const ResampleAxis& rows,
                   const ResampleAxis& columns) {
  const Index N = x.dim(0), C = x.dim(-1);
  Tensor<T> y(shape, x.device());
  on(x.device(), [&](auto device) { kernels::resample(device, x.data(), N, C, rows, columns, y.data()); });
  return record(
      name, y, {x}, [=, dx = x.gradient()](const Tensor<T>& dy) {  // the transposed weights, gathered
        if (const GradientSink<T> sink = dx.sink())
          on(dy.device(),
             [&](auto device) { kernels::resample_grad(device, dy.data(), N, C, rows, columns, sink); });
      });
}

}  // namespace detail

enum class ResizeMode { bilinear, nearest };

struct ResizeOptions {
  ResizeMode mode = ResizeMode::bilinear;
  bool align_corners = false;  ///< corners map to corners; else pixels are areas and edges map to edges
};

/// x (N, H, W, C) -> (N, size.h, size.w, C), the values of torch.nn.functional.interpolate(x, size). Bilinear
/// reads at (o + 1/2) in / out - 1/2, not below 0, or o (in - 1) / (out - 1) with align_corners; nearest at
/// floor(o in / out). Throws ShapeError unless x is a map with at least one pixel and size is positive,
/// ArgumentError for nearest with align_corners.
template <Scalar T>
Tensor<T> resize(const Tensor<T>& x, Pair size, ResizeOptions options = {}) {
  require(x.rank() == 4 && x.dim(1) > 0 && x.dim(2) > 0, "resize: x has shape ", x.shape(),
          ", but (N, H, W, C) with at least one pixel is needed");
  require(size.h > 0 && size.w > 0, "resize: size is ", size, ", but both extents must be positive");
  require<ArgumentError>(
      options.mode == ResizeMode::bilinear || !options.align_corners,
      "resize: align_corners is set, but mode is nearest; it means something for bilinear only");
  using enum ResampleAxis::Kind;
  const auto kind = options.mode == ResizeMode::nearest ? nearest
                    : options.align_corners             ? align_corners
                                                        : bilinear;
  return detail::resample("resize", x, x.shape().with(1, size.h).with(2, size.w), {kind, x.dim(1), size.h},
                          {kind, x.dim(2), size.w});
}

}  // namespace gram
