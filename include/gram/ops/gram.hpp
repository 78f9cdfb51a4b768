// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/gram.hpp"
#include "gram/cuda/gram.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct GramOptions {
  double epsilon = 1e-12;  ///< smallest norm that is divided by
};

/// The normalised Gram vector of a feature map, x (N, H, W, g) -> (N, g (g + 1) / 2): with X the pixels as
/// rows,
///     G = (X / H)^T (X / H) / (H W),   v = upper triangle of G, row by row, diagonal included,   y = v /
///     max(|v|, epsilon).
/// The division by H alone is that of the released code; it matters only against epsilon. Throws ShapeError
/// unless x has four axes and at least one pixel. Gradient: dv = (dy - y <y, dy>) / |v|, dX = X (V + V^T) /
/// (H^2 H W) with V the upper triangular matrix of dv. Source: Ryu et al., "Gramian attention heads are
/// strong yet efficient vision learners", ICCV 2023.
template <Scalar T>
Tensor<T> gram_vector(const Tensor<T>& x, GramOptions options = {}) {
  require(x.rank() == 4, "gram_vector: x has shape ", x.shape(), "; (N, H, W, g) is expected");
  require(x.dim(1) >= 1 && x.dim(2) >= 1, "gram_vector: x has shape ", x.shape(), ", a map without pixels");
  const Index N = x.dim(0), g = x.dim(3);
  const kernels::GramShape shape{
      .images = N,
      .pixels = x.dim(1) * x.dim(2),
      .width = g,
      .scale = 1 / (double(x.dim(1)) * double(x.dim(1)) * double(x.dim(1) * x.dim(2))),
      .epsilon = options.epsilon};
  Tensor<T> y({N, g * (g + 1) / 2}, x.device());
  Tensor<double> norm({N}, x.device());
  on(x.device(), [&](auto device) { kernels::gram_vector(device, shape, x.data(), y.data(), norm.data()); });
  return record("gram_vector", y, {x}, [x, y, norm, shape, dx = x.gradient()](const Tensor<T>& dy) {
    if (const GradientSink<T> sink = dx.sink())
      on(dy.device(), [&](auto device) {
        kernels::gram_vector_grad(device, shape, x.data(), y.data(), norm.data(), dy.data(), sink.data,
                                  sink.add);
      });
  });
}

}  // namespace gram
