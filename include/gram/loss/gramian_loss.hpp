// SPDX-License-Identifier: MIT
// The training loss of Gramian attention networks (Ryu, Han and Lim, "Gramian Attention Heads are Strong yet
// Efficient Vision Learners", ICCV 2023, arXiv:2310.16483): every head learns the task, and is pushed away
// from what all of them agree on.
#pragma once
#include "gram/cpu/decorrelation.hpp"
#include "gram/cuda/loss.hpp"
#include "gram/loss/binary_cross_entropy.hpp"
#include "gram/loss/cross_entropy.hpp"
#include "gram/ops/arithmetic.hpp"

namespace gram {

/// Sum over the heads of KL(p || softmax(z_k)), p = softmax(mean of all z_k), without gradient through p.
/// heads: logits z_k (N, C) of K heads. element_mean divides by N C, as the released code of the paper does;
/// batch_mean by N. Zero for one head. Throws ShapeError when there is none or the shapes differ.
template <Scalar T>
Tensor<T> decorrelation_loss(const std::vector<Tensor<T>>& heads,
                             Reduction reduction = Reduction::element_mean) {
  require(!heads.empty(), "decorrelation_loss: no heads; at least one is needed");
  const Shape& shape = heads[0].shape();
  detail::require_logits("decorrelation_loss", shape);
  std::vector<Tensor<T>> logits;
  std::vector<Gradient<T>> gradients;
  std::vector<const T*> z;
  for (std::size_t k = 0; k < heads.size(); ++k) {
    require(heads[k].shape() == shape, "decorrelation_loss: head ", k, " has shape ", heads[k].shape(),
            ", but head 0 has ", shape);
    require_one_device("decorrelation_loss", {&heads[0], &heads[k]});
    logits.push_back(heads[k].detach());
    gradients.push_back(heads[k].gradient());
    z.push_back(heads[k].data());
  }
  const Device device = heads[0].device();
  if (heads.size() == 1) return zeros<T>({}, device);
  const double scale = detail::reduction_scale(reduction, shape);
  const auto count = static_cast<Index>(heads.size());
  Tensor<T> loss(Shape{}, device);
  on(device,
     [&](auto tag) { kernels::decorrelation(tag, count, z.data(), loss.data(), shape[0], shape[1], scale); });
  return record("decorrelation_loss", loss, std::vector<AnyTensor>(heads.begin(), heads.end()),
                [logits = std::move(logits), gradients = std::move(gradients), z = std::move(z), shape, scale,
                 count](const Tensor<T>& dy) {  // dz_k = (softmax(z_k) - p) / (N C)
                  std::vector<GradientSink<T>> sinks;
                  for (const Gradient<T>& dz : gradients) sinks.push_back(dz.sink());
                  on(dy.device(), [&](auto tag) {
                    kernels::decorrelation_grad(tag, count, z.data(), dy.data(), sinks.data(), shape[0],
                                                shape[1], scale);
                  });
                });
}

enum class TaskLoss { cross_entropy, binary_cross_entropy };

struct GramianLossOptions {
  double lambda = -0.8;  ///< weight of the decorrelation; negative drives the heads apart
  TaskLoss task = TaskLoss::cross_entropy;
  double smoothing = 0;  ///< s: the target t of C classes becomes (1 - s) t + s / C
  Reduction decorrelation = Reduction::element_mean;
};

/// The two sums of gramian_loss, before lambda; each is a scalar on the tape.
template <Scalar T>
struct GramianLossParts {
  Tensor<T> task, decorrelation;

  Tensor<T> total(double lambda) const { return task + lambda * decorrelation; }
};

namespace detail {

/// Targets of binary cross-entropy.
template <Scalar T>
Tensor<T> smoothed(const Tensor<T>& targets, Index classes, double smoothing) {
  require_smoothing("gramian_loss", smoothing);
  return smoothing == 0 ? targets : targets * (1 - smoothing) + smoothing / static_cast<double>(classes);
}
template <Scalar T>
Tensor<T> smoothed(const Tensor<std::int64_t>& labels, Index classes, double smoothing) {
  return smooth_one_hot<T>(labels, classes, smoothing);
}

/// loss(z_1) + loss(z_2) + ...
template <Scalar T, class Loss>
Tensor<T> sum_over_heads(const std::vector<Tensor<T>>& heads, Loss&& loss) {
  Tensor<T> total = loss(heads[0]);
  for (std::size_t k = 1; k < heads.size(); ++k) total = total + loss(heads[k]);
  return total;
}

}  // namespace detail

/// The parts of gramian_loss, for logging: parts.total(lambda) is what to call backward on.
template <Scalar T, Element Target>
requires std::same_as<Target, T> || std::same_as<Target, std::int64_t> GramianLossParts<T> gramian_loss_parts(
    const std::vector<Tensor<T>>& heads, const Tensor<Target>& targets, GramianLossOptions options = {}) {
  const Tensor<T> decorrelation = decorrelation_loss(heads, options.decorrelation);
  if (options.task == TaskLoss::cross_entropy) {
    const CrossEntropyOptions smoothing{.smoothing = options.smoothing};
    return {detail::sum_over_heads(heads,
                                   [&](const Tensor<T>& z) { return cross_entropy(z, targets, smoothing); }),
            decorrelation};
  }
  const Tensor<T> smooth = detail::smoothed<T>(targets, heads[0].dim(1), options.smoothing);
  return {detail::sum_over_heads(
              heads, [&](const Tensor<T>& z) { return binary_cross_entropy_with_logits(z, smooth); }),
          decorrelation};
}

/// sum_k task(z_k, t) + lambda * decorrelation_loss(z), a scalar; equations (3) and (4) of the paper with the
/// constants of its released code: heads are summed, not averaged. heads: logits z_k (N, C); targets: labels
/// (N) or soft targets (N, C). Cross-entropy is the mean over N, binary cross-entropy the mean over N C; with
/// the former, the default divergence is C times weaker against the task. Throws ShapeError and ArgumentError
/// as the losses it is made of.
template <Scalar T, Element Target>
requires std::same_as<Target, T> || std::same_as<Target, std::int64_t> Tensor<T> gramian_loss(
    const std::vector<Tensor<T>>& heads, const Tensor<Target>& targets, GramianLossOptions options = {}) {
  return gramian_loss_parts(heads, targets, options).total(options.lambda);
}

}  // namespace gram
