// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/cross_entropy.hpp"
#include "gram/cuda/loss.hpp"
#include "gram/loss/labels.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct CrossEntropyOptions {
  double smoothing = 0;  ///< s: the target t of C classes becomes (1 - s) t + s / C
  Reduction reduction = Reduction::batch_mean;
};

/// Cross-entropy of softmax: mean over rows of log sum exp(z) - z[label]. logits z (N, C), labels (N) in [0,
/// C). Throws ShapeError for other shapes, ArgumentError for a label outside, naming its row.
template <Scalar T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Tensor<std::int64_t>& labels,
                        CrossEntropyOptions options = {}) {
  detail::require_logits("cross_entropy", logits.shape());
  const Index rows = logits.dim(0), n = logits.dim(1);
  require_one_device("cross_entropy", {&logits, &labels});
  detail::require_labels("cross_entropy", labels, rows, n);
  detail::require_smoothing("cross_entropy", options.smoothing);
  const double scale = detail::reduction_scale(options.reduction, logits.shape());
  Tensor<T> loss(Shape{}, logits.device());
  const Tensor<accum_t<T>> normaliser(Shape{rows, 2}, logits.device());
  on(logits.device(), [&](auto device) {
    kernels::cross_entropy(device, logits.data(), labels.data(), loss.data(), normaliser.data(), rows, n,
                           options.smoothing, scale);
  });
  return record("cross_entropy", loss, {logits},
                [x = logits.detach(), labels, normaliser, dx = logits.gradient(), s = options.smoothing,
                 scale](const Tensor<T>& dy) {  // dz = (softmax(z) - t) / N
                  if (const GradientSink<T> sink = dx.sink())
                    on(dy.device(), [&](auto device) {
                      kernels::cross_entropy_grad(device, x.data(), labels.data(), normaliser.data(),
                                                  dy.data(), sink.data, sink.add, x.dim(0), x.dim(1), s,
                                                  scale);
                    });
                });
}

/// The same for soft targets t (N, C), those of mixup or of a teacher: mean over rows of sum_c t_c (log sum
/// exp(z) - z_c). Rows of t need not add up to one. Gradients flow into the targets, too, if they need one.
template <Scalar T>
Tensor<T> cross_entropy(const Tensor<T>& logits, const Tensor<T>& targets, CrossEntropyOptions options = {}) {
  detail::require_logits("cross_entropy", logits.shape());
  require(targets.shape() == logits.shape(), "cross_entropy: targets have shape ", targets.shape(),
          ", but logits have ", logits.shape());
  require_one_device("cross_entropy", {&logits, &targets});
  detail::require_smoothing("cross_entropy", options.smoothing);
  const Index rows = logits.dim(0), n = logits.dim(1);
  const double scale = detail::reduction_scale(options.reduction, logits.shape());
  Tensor<T> loss(Shape{}, logits.device());
  const Tensor<accum_t<T>> normaliser(Shape{rows, 2}, logits.device());
  on(logits.device(), [&](auto device) {
    kernels::cross_entropy(device, logits.data(), targets.data(), loss.data(), normaliser.data(), rows, n,
                           options.smoothing, scale);
  });
  return record(
      "cross_entropy", loss, {logits, targets},
      [x = logits.detach(), t = targets.detach(), normaliser, dx = logits.gradient(), dt = targets.gradient(),
       s = options.smoothing, scale](const Tensor<T>& dy) {
        on(dy.device(), [&](auto device) {  // dz = (softmax(z) sum t - t) / N, dt = -log softmax(z) / N
          if (const GradientSink<T> sink = dx.sink())
            kernels::cross_entropy_grad(device, x.data(), t.data(), normaliser.data(), dy.data(), sink.data,
                                        sink.add, x.dim(0), x.dim(1), s, scale);
          if (const GradientSink<T> sink = dt.sink())
            kernels::cross_entropy_target_grad(device, x.data(), normaliser.data(), dy.data(), sink.data,
                                               sink.add, x.dim(0), x.dim(1), s, scale);
        });
      });
}

}  // namespace gram
