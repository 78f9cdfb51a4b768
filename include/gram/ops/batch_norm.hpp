// SPDX-License-Identifier: MIT
#pragma once
#include <limits>

#include "gram/cpu/batch_norm.hpp"
#include "gram/cuda/batch_norm.hpp"
#include "gram/tensor/checkpoint.hpp"

namespace gram {

struct BatchNormOptions {
  bool training = true;   ///< use the statistics of x and update the running ones
  double momentum = 0.1;  ///< share of the new statistics in the running ones
  double epsilon = 1e-5;
  bool relu = false;                     ///< end with max(., 0)
  Communicator* communicator = nullptr;  ///< training: statistics over the batches of all its processes
  double ceiling = std::numeric_limits<double>::infinity();  ///< and then min(., ceiling); CPU only
};

/// y = (x - mean) / sqrt(var + epsilon) weight + bias, then + residual and a ReLU when asked for, in one
/// pass (arXiv:1502.03167). x (..., C), residual as x; weight, bias, running_mean, running_var (C).
/// Statistics are those of each channel over all other axes with the biased variance in training, the running
/// ones otherwise. Training updates the running statistics in place, running = (1 - momentum) running +
/// momentum batch with the unbiased variance, as torch.nn.BatchNorm2d does, unless a checkpointed function
/// runs again. weight and bias may be undefined (1 and 0), the running statistics too when training. Keeps x,
/// and y for a ReLU behind a residual. Throws ShapeError on extents that differ and on a single value per
/// channel in training. With a communicator the statistics are those of the batches of all processes, which
/// may differ in size (on a GPU none may be empty); the gradients are those of the sum of what the processes
/// call backward on, and dweight and dbias this process's part of them.
template <Scalar T>
Tensor<T> batch_norm(const Tensor<T>& x, const Tensor<accum_t<T>>& weight, const Tensor<accum_t<T>>& bias,
                     const Tensor<accum_t<T>>& running_mean, const Tensor<accum_t<T>>& running_var,
                     const BatchNormOptions& options = {}, const Tensor<T>& residual = Tensor<T>{}) {
  using A = accum_t<T>;
  require(x.rank() >= 2, "batch_norm: x has shape ", x.shape(),
          ", but at least two axes (..., C) are needed");
  const Index channels = x.dim(-1), rows = channels ? x.size() / channels : 0;
  const auto check = [&](const char* name, const Tensor<A>& t) {
    require(!t.defined() || t.shape() == Shape{channels}, "batch_norm: ", name, " has shape ", t.shape(),
            ", but x has shape ", x.shape(), "; one value per channel is needed");
  };
  check("weight", weight), check("bias", bias), check("running_mean", running_mean),
      check("running_var", running_var);
  require(!residual.defined() || residual.shape() == x.shape(), "batch_norm: residual has shape ",
          residual.shape(), ", but x has shape ", x.shape(), "; they must agree");
  require<ArgumentError>(running_mean.defined() == running_var.defined(),
                         "batch_norm: one of running_mean and running_var is missing; give both or none");
  require<ArgumentError>(options.training || running_mean.defined(),
                         "batch_norm: the running statistics are missing; only training works without them");
  require<ArgumentError>(options.relu || !std::isfinite(options.ceiling), "batch_norm: ceiling is ",
                         options.ceiling, ", but there is no ReLU");
  require<DeviceError>(x.device() == Device::cpu() || !std::isfinite(options.ceiling),
                       "batch_norm: ceiling is ", options.ceiling, "; on ", x.device(), " there is none");
  Communicator* const communicator = options.training ? options.communicator : nullptr;
  // On a GPU the host does not learn how many values all processes have: more than one, if each has one.
  const bool there = communicator && x.device() != Device::cpu();
  require(!there || rows > 0, "batch_norm: x has shape ", x.shape(), "; on ", x.device(),
          " statistics over several processes expect a value per channel from each");
  require(!options.training || (communicator && (!there || communicator->size() > 1)) || rows > 1,
          "batch_norm: x has shape ", x.shape(), ", but training expects more than 1 value per channel");

  require_one_device("batch_norm", {&x, &weight, &bias, &running_mean, &running_var, &residual});
  Tensor<T> y(x.shape(), x.device());
  const Tensor<A> mean = options.training ? Tensor<A>({channels}, x.device()) : running_mean.clone();
  const Tensor<A> variance = options.training ? Tensor<A>({channels}, x.device()) : running_var.clone();
  const auto arguments = [=, e = options.epsilon](const Tensor<T>& input, const Tensor<A>& w,
                                                  const Tensor<A>& b) {
    return kernels::BatchNormArguments<T>{input.data(),    rows,     channels, mean.data(),
                                          variance.data(), w.data(), b.data(), e};
  };
  const Tensor<double> total_there = there ? Tensor<double>(Shape{}, x.device()) : Tensor<double>{};
  kernels::BatchNormRows total_rows{rows};
  on(x.device(), [&](auto device) {
    if (options.training) {
      if (rows > 0)
        kernels::batch_norm_statistics(device, x.data(), rows, channels, mean.data(), variance.data());
      if (communicator)
        total_rows = kernels::batch_norm_combine(device, *communicator, rows, channels, mean.data(),
                                                 variance.data(), total_there.data());
      require(there || total_rows.number > 1, "batch_norm: x has shape ", x.shape(),
              " and all processes together ", total_rows.number,
              " values per channel, but training expects more than 1");
    }
    const auto in = arguments(x, weight, bias);
    const bool moves = options.training && running_mean.defined() && !recomputing();
    if constexpr (std::is_same_v<decltype(device), Cpu>) {
      if (moves)
        kernels::batch_norm_running(device, mean.data(), variance.data(), total_rows, channels,
                                    options.momentum, running_mean.data(), running_var.data());
      kernels::batch_norm_apply(device, in, residual.data(), options.relu, y.data(), options.ceiling);
    } else {
      kernels::batch_norm_apply(device, in, residual.data(), options.relu, y.data(),
                                moves ? kernels::BatchNormRunning<A>{running_mean.data(), running_var.data(),
                                                                     options.momentum, total_rows}
                                      : kernels::BatchNormRunning<A>{});
    }
  });

  // Without a residual x tells again where the ReLU let through; with one, only y does.
  const auto mask = !options.relu        ? kernels::BatchNormMask::none
                    : residual.defined() ? kernels::BatchNormMask::y
                                         : kernels::BatchNormMask::x;
  return record("batch_norm", y, {x, weight, bias, residual},
                [=, x = x.detach(), weight = weight.detach(), bias = bias.detach(),
                 y = mask == kernels::BatchNormMask::y ? y : Tensor<T>{}, dx = x.gradient(),
                 dweight = weight.gradient(), dbias = bias.gradient(), dresidual = residual.gradient(),
                 training = options.training, ceiling = options.ceiling](const Tensor<T>& dy) {
                  const auto in = arguments(x, weight, bias);
                  // The gradient that is dy itself, or dy masked, has the first claim to its memory; the
                  // other one is written over x, if this is the last time that x is read.
                  const bool over_x = dresidual && !(dresidual == dx) && !detail::retaining;
                  const kernels::BatchNormGradients<T> out{
                      .dy = dy.data(),
                      .mask = mask,
                      .y = y.data(),
                      .training = training,
                      .dx = over_x      ? dx.sink_over(x)
                            : dresidual ? dx.sink()
                                        : dx.sink_over(dy),
                      .dresidual = y.defined() ? dresidual.sink_over(dy) : GradientSink<T>{},
                      .dweight = dweight.sink(),
                      .dbias = dbias.sink(),
                      .communicator = communicator,
                      .total_rows = {total_rows.number, total_there.data()},
                      .ceiling = ceiling};
                  on(dy.device(), [&](auto device) { kernels::batch_norm_grad(device, in, out); });
                  if (!y.defined()) dresidual.add(dy);
                });
}

}  // namespace gram
