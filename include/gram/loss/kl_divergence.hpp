// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/pointwise_loss.hpp"
#include "gram/cuda/loss.hpp"
#include "gram/loss/labels.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct KlDivergenceOptions {
  Reduction reduction = Reduction::element_mean;
};

/// KL(target || input) = sum e^target (target - input), both log-probabilities of one shape, divided as the
/// reduction says: torch.nn.functional.kl_div(input, target, log_target=True). Gradients flow into both.
/// Throws ShapeError for shapes that differ and where there is nothing to average.
template <Scalar T>
Tensor<T> kl_divergence(const Tensor<T>& input, const Tensor<T>& target, KlDivergenceOptions options = {}) {
  require(target.shape() == input.shape(), "kl_divergence: target has shape ", target.shape(),
          ", but input has ", input.shape());
  require(input.size() > 0, "kl_divergence: input has shape ", input.shape(),
          ", but at least one element is needed");
  require_one_device("kl_divergence", {&input, &target});
  const double scale = detail::reduction_scale(options.reduction, input.shape());
  Tensor<T> loss(Shape{}, input.device());
  on(input.device(), [&](auto device) {
    kernels::pointwise_loss(device, kernels::PointwiseLoss::kl_divergence, input.data(), target.data(),
                            loss.data(), input.size(), scale);
  });
  return record("kl_divergence", loss, {input, target},
                [p = input.detach(), q = target.detach(), dp = input.gradient(), dq = target.gradient(),
                 scale](const Tensor<T>& dy) {  // dp = -e^q / n, dq = e^q (q - p + 1) / n
                  const GradientSink<T> input_sink = dp.sink(), target_sink = dq.sink();
                  on(dy.device(), [&](auto device) {
                    kernels::pointwise_loss_grad(device, kernels::PointwiseLoss::kl_divergence, p.data(),
                                                 q.data(), dy.data(), input_sink, target_sink, p.size(),
                                                 scale);
                  });
                });
}

}  // namespace gram
