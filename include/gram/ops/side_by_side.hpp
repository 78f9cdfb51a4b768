// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "gram/ops/pool.hpp"
#include "gram/ops/resize.hpp"
#include "gram/ops/shape.hpp"

namespace gram {

/// Maps side by side, each brought to one size: larger ones by adaptive averages, smaller ones by bilinear
/// interpolation (half-pixel centres). On the CPU a map is written where it will stay as soon as it is added,
/// so there is no copy, and in the backward pass its gradient arrives after the operations behind it have
/// run: add maps as they are made, and no two gradients of large maps are held at a time.
template <Scalar T>
class SideBySide {
 public:
  /// For maps that fill the shape (N, H, W, C). Throws ShapeError unless that has pixels.
  explicit SideBySide(const Shape& shape, Device device = Device::cpu()) : shape_(shape) {
    require(shape.rank() == 4 && shape[1] > 0 && shape[2] > 0, "SideBySide: the shape is ", shape,
            ", but (N, H, W, C) with at least one pixel is needed");
    if (device == Device::cpu()) all_ = Tensor<T>(shape);
  }

  /// Puts x (N, h, w, c) behind the channels that are there. Throws ShapeError when it does not fit,
  /// DeviceError when it is elsewhere.
  void add(const Tensor<T>& x) {
    require(x.rank() == 4 && x.dim(0) == shape_[0] && x.dim(1) > 0 && x.dim(2) > 0 &&
                filled_ + x.dim(3) <= shape_[3],
            "SideBySide: x has shape ", x.shape(), ", but it goes to channels from ", filled_, " of ",
            shape_);
    require_one_device("SideBySide", {&all_, &x});
    const bool larger = x.dim(1) >= shape_[1] && x.dim(2) >= shape_[2];
    if (all_.defined()) {
      all_ = written(x, larger ? ResampleAxis::Kind::adaptive : ResampleAxis::Kind::bilinear);
    } else {
      const Pair size(shape_[1], shape_[2]);
      parts_.push_back(larger ? adaptive_avg_pool2d(x, size) : resize(x, size));
    }
    filled_ += x.dim(3);
  }
  /// (N, H, W, C). Throws ShapeError while channels are missing.
  Tensor<T> result() const {
    require(filled_ == shape_[3], "SideBySide: ", filled_, " channels of ", shape_, " are there");
    return all_.defined() ? all_ : concat(parts_, 3);
  }

 private:
  Tensor<T> written(const Tensor<T>& x, ResampleAxis::Kind kind) const {
    const Index N = x.dim(0), C = x.dim(3), step = shape_[3], first = filled_;
    const ResampleAxis rows{kind, x.dim(1), shape_[1]}, columns{kind, x.dim(2), shape_[2]};
    kernels::resample_into(Cpu{}, x.data(), N, C, rows, columns, all_.data() + first, step);
    return record("side_by_side", all_.detach(), {all_, x},
                  [=, dx = x.gradient(), dall = all_.gradient()](const Tensor<T>& dy) {
                    if (const GradientSink<T> sink = dx.sink())  // the transposed weights, gathered
                      kernels::resample_into_grad(Cpu{}, dy.data() + first, step, N, C, rows, columns, sink);
                    dall.add(dy);  // where nobody reads the channels of x again
                  });
  }

  Shape shape_;
  Index filled_ = 0;
  Tensor<T> all_;
  std::vector<Tensor<T>> parts_;
};

}  // namespace gram
