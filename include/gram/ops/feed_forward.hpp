// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/gelu_linear.hpp"
#include "gram/cuda/gelu_linear.hpp"
#include "gram/ops/linear.hpp"

namespace gram {

/// Parameters of feed_forward: I inputs, H hidden channels, O outputs. Biases may be undefined.
template <Scalar T>
struct FeedForwardWeights {
  Tensor<T> weight1, bias1;  ///< (H, I), (H)
  Tensor<T> weight2, bias2;  ///< (O, H), (O)
};

/// y = a W2^T + b2 [+ residual],  a = gelu(h),  h = x W1^T + b1, with the exact GELU (arXiv:1606.08415).
/// x (..., I), residual (..., O) or {}  ->  (..., O). It is linear(gelu(linear(x))) as one operation, so that
/// a device may take the GELU where h and the gradient of a are made. Keeps x, h and a. Throws ShapeError
/// when the sizes do not fit.
template <Scalar T>
Tensor<T> feed_forward(const Tensor<T>& x, const FeedForwardWeights<T>& weights,
                       const std::type_identity_t<Tensor<T>>& residual = {}) {
  constexpr const char* name = "feed_forward";
  const Tensor<T>&w1 = weights.weight1, &b1 = weights.bias1, &w2 = weights.weight2, &b2 = weights.bias2;
  const detail::LinearShape s(name, x, w1, b1, 1);
  const Shape hidden = x.shape().with(-1, s.out);
  Tensor<T> h(hidden, x.device()), a(hidden, x.device());
  const detail::LinearShape t(name, a, w2, b2, 1);
  const Tensor<T> y(hidden.with(-1, t.out), x.device());
  detail::require_residual(name, residual, y);
  on(x.device(), [&](auto device) {
    kernels::gelu_linear(device, s.rows, s.in, s.out, x.data(), w1.data(), b1.data(), h.data(), a.data());
    kernels::gemm_batched(device, {1, 0, 0, 0}, {t.rows, t.out, t.in}, a.data(), t.in, false, w2.data(), t.in,
                          true, y.data(), t.out, {.bias = b2.data(), .residual = residual.data()});
  });
  return record(
      name, y, {x, w1, b1, w2, b2, residual},
      [s, t, h, a, x = x.detach(), w1 = w1.detach(), w2 = w2.detach(), dx = x.gradient(), dw1 = w1.gradient(),
       db1 = b1.gradient(), dw2 = w2.gradient(), db2 = b2.gradient(),
       dresidual = residual.gradient()](const Tensor<T>& dy) mutable {
        on(dy.device(), [&](auto device) {
          kernels::linear_grad_weight(device, t.rows, t.in, t.out, Index{1}, dy.data(), a.data(), dw2.sink(),
                                      db2.sink());
          if (!detail::retaining) a = {};
          if (!dx && !dw1 && !db1) return;
          const Tensor<T> dh(h.shape(), h.device());
          kernels::gelu_linear_grad(device, t.rows, t.in, t.out, dy.data(), w2.data(), h.data(), dh.data());
          if (!detail::retaining) h = {};
          kernels::linear_grad_weight(device, s.rows, s.in, s.out, Index{1}, dh.data(), x.data(), dw1.sink(),
                                      db1.sink());
          if (const GradientSink<T> sink = dx.sink())
            kernels::gemm_batched(device, {1, 0, 0, 0}, {s.rows, s.in, s.out}, dh.data(), s.out, false,
                                  w1.data(), s.in, false, sink.data, s.in, {.add = sink.add});
        });
        dresidual.add(dy);
      });
}

}  // namespace gram
