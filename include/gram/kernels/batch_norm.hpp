// SPDX-License-Identifier: MIT
#pragma once
#include <limits>

#include "gram/core/gradient_sink.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"

namespace gram {
class Communicator;
}

namespace gram::kernels {

/// How the gradient learns where a ReLU let values through: there is none; from the result y; or from x
/// again, where the result is max(0, (x - mean) scale + bias).
enum class BatchNormMask { none, y, x };

/// One affine normalisation: x (rows, channels), the statistics in use, and the affine part (null: 1 and 0).
template <class T>
struct BatchNormArguments {
  const T* x;
  Index rows, channels;
  const accum_t<T>*mean, *variance, *weight, *bias;
  double epsilon;
};

/// How many rows the statistics are those of.
struct BatchNormRows {
  Index number;
  /// On a GPU, with those of several processes: device memory with their number, which the host does not
  /// know.
  const double* there = nullptr;
};

/// The running statistics, and the share of new ones in them. Null: there are none, or they stay.
template <class A>
struct BatchNormRunning {
  A *mean = nullptr, *variance = nullptr;
  double momentum = 0;
  BatchNormRows rows = {0};  ///< of the new ones
};

/// What the gradient of batch_norm_apply reads and writes. Results may be null: not wanted. dx or dresidual
/// may lie in the memory of dy, dx also in that of x.
template <class T>
struct BatchNormGradients {
  const T* dy;
  BatchNormMask mask;  ///< x only when there was no residual
  const T* y;          ///< the result of the forward pass, for mask y
  bool training;       ///< the statistics were those of x, and depend on it
  GradientSink<T> dx, dresidual;
  GradientSink<accum_t<T>> dweight, dbias;
  Communicator* communicator = nullptr;  ///< the statistics were those of `total_rows` rows of its processes
  BatchNormRows total_rows = {0};
  double ceiling = std::numeric_limits<double>::infinity();  ///< of the ReLU; finite on the CPU only
};

}  // namespace gram::kernels
