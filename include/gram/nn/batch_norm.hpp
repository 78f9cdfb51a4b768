// SPDX-License-Identifier: MIT
#pragma once
#include "gram/nn/module.hpp"
#include "gram/nn/trace.hpp"
#include "gram/ops/activation.hpp"
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/batch_norm.hpp"
#include "gram/ops/folded_pointwise_norm.hpp"
#include "gram/tensor/create.hpp"

namespace gram {

namespace detail {

/// folded_pointwise_norm<T>, once fold_batch_norms() was called: programs that never do so do not compile it.
template <Scalar T>
inline decltype(&folded_pointwise_norm<T>) folded_norm = nullptr;

}  // namespace detail

/// Batch normalisation over all axes but the last (arXiv:1502.03167), x (..., C): with the batch's mean and
/// variance in training, which also move the running statistics as in PyTorch, and with the running
/// statistics in evaluation. Names and defaults are those of torch.nn.BatchNorm2d. In bf16 networks
/// parameters and statistics are float. share_batch_statistics() takes them over the batches of all
/// processes.
template <Scalar T>
struct BatchNorm2d {
  struct Options {
    Index channels = 0;
    double epsilon = 1e-5, momentum = 0.1;
    double weight =
        1;  ///< first value of the weight; 0 in the last norm of a residual branch starts it as the identity
  };

  explicit BatchNorm2d(const Options& o) : epsilon(o.epsilon), momentum(o.momentum) {
    require<ArgumentError>(o.channels > 0, "BatchNorm2d: ", o.channels, " channels; at least one is needed");
    require<ArgumentError>(o.epsilon >= 0 && o.momentum >= 0 && o.momentum <= 1, "BatchNorm2d: epsilon is ",
                           o.epsilon, " and momentum ", o.momentum,
                           "; epsilon must not be negative, momentum must be between 0 and 1");
    const Shape shape{o.channels};
    weight = Parameter<accum_t<T>>(full(shape, static_cast<accum_t<T>>(o.weight)));
    bias = Parameter<accum_t<T>>(zeros<accum_t<T>>(shape));
    running_mean = Buffer<accum_t<T>>(zeros<accum_t<T>>(shape));
    running_var = Buffer<accum_t<T>>(ones<accum_t<T>>(shape));
  }

  /// (x - mean) / sqrt(variance + epsilon) weight + bias, + residual, in one pass.
  Tensor<T> operator()(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    return apply(x, residual, false);
  }
  /// max(0, norm(x) + residual) in one pass.
  Tensor<T> relu(const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    return apply(x, residual, true);
  }
  /// min(6, max(0, norm(x))) in one pass.
  Tensor<T> relu6(const Tensor<T>& x) const {
    if (x.device() != Device::cpu()) return gram::relu6((*this)(x));
    return apply(x, Tensor<T>{}, true, 6);
  }

  /// The same on layer(x). After fuse_for_inference(), a convolution computes all of it in one pass; after
  /// fold_batch_norms(), a 1x1 convolution in training.
  template <LayerOn<T> Layer>
  Tensor<T> operator()(Layer& layer, const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    return apply(layer, x, residual, false);
  }
  template <LayerOn<T> Layer>
  Tensor<T> relu(Layer& layer, const Tensor<T>& x, const Tensor<T>& residual = {}) const {
    return apply(layer, x, residual, true);
  }
  /// The norm in evaluation as x scale + shift, each (C): scale = weight / sqrt(running_var + epsilon), shift
  /// = bias - running_mean scale.
  std::pair<Tensor<accum_t<T>>, Tensor<accum_t<T>>> scale_and_shift() const {
    const auto scale = div(weight.detach(), sqrt(add(running_var, epsilon)));
    return {scale, sub(bias.detach(), mul(running_mean, scale))};
  }

  /// Writes a call with this output into the open log, if any: for forms that compute several of these layers
  /// at once.
  void log(const Shape& output) const {
    if (CallLog* calls = CallLog::open())
      calls->add({.path = layer_path(weight.name),
                  .kind = "BatchNorm2d",
                  .output = output,
                  .parameters = weight.size() + bias.size(),
                  .norms = 2 * output.size()});
  }
  void visit(auto&& parts) {
    parts("weight", weight), parts("bias", bias);
    parts("running_mean", running_mean), parts("running_var", running_var);
    parts("mode", mode);
  }

  Parameter<accum_t<T>> weight, bias;
  Buffer<accum_t<T>> running_mean, running_var;
  double epsilon, momentum;
  Mode mode;

 private:
  template <class Layer>
  Tensor<T> apply(Layer& layer, const Tensor<T>& x, const Tensor<T>& residual, bool with_relu) const {
    if constexpr (requires { layer.inference(x, this, residual, with_relu); })
      if (!mode.training && layer.prepared()) {
        const Tensor<T> y = layer.inference(x, this, residual, with_relu);
        log(y.shape());
        return y;
      }
    if constexpr (requires { layer.folds(x); })
      if (mode.training && mode.folded && detail::folded_norm<T> && !mode.communicator && layer.folds(x)) {
        const Tensor<T> y = located(layer.weight, [&] {
          return detail::folded_norm<T>(
              x, layer.weight, weight, bias, running_mean, running_var,
              {.training = true, .momentum = momentum, .epsilon = epsilon, .relu = with_relu}, residual);
        });
        layer.log(x, y), log(y.shape());
        return y;
      }
    return apply(layer(x), residual, with_relu);
  }
  Tensor<T> apply(const Tensor<T>& x, const Tensor<T>& residual, bool with_relu,
                  double ceiling = BatchNormOptions{}.ceiling) const {
    const Tensor<T> y = located(weight, [&] {
      return batch_norm(x, weight, bias, running_mean, running_var,
                        {.training = mode.training,
                         .momentum = momentum,
                         .epsilon = epsilon,
                         .relu = with_relu,
                         .communicator = mode.communicator,
                         .ceiling = ceiling},
                        residual);
    });
    log(y.shape());
    return y;
  }
};

/// Batch norms in training take in the 1x1 convolutions in front of them where that saves time
/// (folding_pays()): the convolution's result is neither written nor kept for the backward pass. What is
/// computed is the same but for rounding; ops/folded_pointwise_norm.hpp tells how exact it is and what it
/// costs. Norms with statistics over several processes stay as they are.
template <class Model>
void fold_batch_norms(Model& model, bool on = true) {
  detail::folded_norm<float> = folded_pointwise_norm<float>;
  detail::folded_norm<double> = folded_pointwise_norm<double>;
  detail::folded_norm<bf16> = folded_pointwise_norm<bf16>;
  detail::fold_listed(parts_of(model), on);
}

}  // namespace gram
