// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/dropout.hpp"
#include "gram/cuda/dropout.hpp"
#include "gram/tensor/checkpoint.hpp"

namespace gram {

/// Sets each element to zero with probability p and multiplies the others by 1 / (1 - p) (arXiv:1207.0580).
/// Backward makes the mask again from the random key. p = 0 returns x. Throws ArgumentError for p outside [0,
/// 1).
template <Scalar T>
Tensor<T> dropout(const Tensor<T>& x, double p, Rng& rng) {
  require<ArgumentError>(x.defined(), "dropout: x is undefined");
  require<ArgumentError>(p >= 0 && p < 1, "dropout: p is ", p, "; it must lie in [0, 1)");
  if (p == 0) return x;
  const RandomKey key = draw_key(rng);
  Tensor<T> y(x.shape(), x.device());
  on(x.device(), [&](auto device) { kernels::dropout(device, key, p, x.data(), y.data(), false, x.size()); });
  return record("dropout", y, {x}, [key, p, dx = x.gradient()](const Tensor<T>& dy) {
    const GradientSink<T> sink = dx.sink_over(dy);
    on(dy.device(),
       [&](auto device) { kernels::dropout(device, key, p, dy.data(), sink.data, sink.add, dy.size()); });
  });
}

/// Stochastic depth: sets whole samples (along the first axis) to zero with probability p and multiplies the
/// others by 1 / (1 - p) (arXiv:1603.09382). p = 0 returns x. Throws ArgumentError for p outside [0, 1),
/// ShapeError for a scalar.
template <Scalar T>
Tensor<T> drop_path(const Tensor<T>& x, double p, Rng& rng) {
  require<ArgumentError>(x.defined(), "drop_path: x is undefined");
  require<ArgumentError>(p >= 0 && p < 1, "drop_path: p is ", p, "; it must lie in [0, 1)");
  require(x.rank() >= 1, "drop_path: x has shape ", x.shape(), "; a first axis of samples is needed");
  if (p == 0) return x;
  const RandomKey key = draw_key(rng);
  const Index samples = x.dim(0), size = x.shape().product(1, x.rank());
  Tensor<T> y(x.shape(), x.device());
  on(x.device(),
     [&](auto device) { kernels::drop_path(device, key, p, x.data(), y.data(), false, samples, size); });
  return record("drop_path", y, {x}, [key, p, samples, size, dx = x.gradient()](const Tensor<T>& dy) {
    const GradientSink<T> sink = dx.sink_over(dy);
    on(dy.device(), [&](auto device) {
      kernels::drop_path(device, key, p, dy.data(), sink.data, sink.add, samples, size);
    });
  });
}

}  // namespace gram
