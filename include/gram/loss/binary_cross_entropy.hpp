// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/pointwise_loss.hpp"
#include "gram/cuda/loss.hpp"
#include "gram/loss/labels.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct BinaryCrossEntropyOptions {
  Reduction reduction = Reduction::element_mean;
};

/// Mean over all elements of max(z, 0) - z t + log(1 + e^-|z|): the cross-entropy of sigmoid(z) for targets t
/// in [0, 1] of the same shape. For class labels make the targets with smooth_one_hot. Gradients flow into
/// the targets, too, if they need one. Throws ShapeError for shapes that differ and where there is nothing to
/// average.
template <Scalar T>
Tensor<T> binary_cross_entropy_with_logits(const Tensor<T>& logits, const Tensor<T>& targets,
                                           BinaryCrossEntropyOptions options = {}) {
  require(targets.shape() == logits.shape(), "binary_cross_entropy_with_logits: targets have shape ",
          targets.shape(), ", but logits have ", logits.shape());
  require(logits.size() > 0, "binary_cross_entropy_with_logits: logits have shape ", logits.shape(),
          ", but at least one element is needed");
  require_one_device("binary_cross_entropy_with_logits", {&logits, &targets});
  const double scale = detail::reduction_scale(options.reduction, logits.shape());
  Tensor<T> loss(Shape{}, logits.device());
  on(logits.device(), [&](auto device) {
    kernels::pointwise_loss(device, kernels::PointwiseLoss::binary_cross_entropy, logits.data(),
                            targets.data(), loss.data(), logits.size(), scale);
  });
  return record("binary_cross_entropy_with_logits", loss, {logits, targets},
                [z = logits.detach(), t = targets.detach(), dz = logits.gradient(), dt = targets.gradient(),
                 scale](const Tensor<T>& dy) {  // dz = (sigmoid(z) - t) / n, dt = -z / n
                  const GradientSink<T> logit_sink = dz.sink(), target_sink = dt.sink();
                  on(dy.device(), [&](auto device) {
                    kernels::pointwise_loss_grad(device, kernels::PointwiseLoss::binary_cross_entropy,
                                                 z.data(), t.data(), dy.data(), logit_sink, target_sink,
                                                 z.size(), scale);
                  });
                });
}

}  // namespace gram
