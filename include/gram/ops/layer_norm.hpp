// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/layer_norm.hpp"
#include "gram/cuda/layer_norm.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

/// y = (x - mean) / sqrt(variance + epsilon) weight + bias, mean and biased variance of each row of the last
/// axis (arXiv:1607.06450). x (..., C); weight, bias (C) or undefined (1 and 0). Keeps x and two numbers to a
/// row. Throws ShapeError when the extents differ.
template <Scalar T>
Tensor<T> layer_norm(const Tensor<T>& x, const Tensor<accum_t<T>>& weight, const Tensor<accum_t<T>>& bias,
                     double epsilon) {
  using A = accum_t<T>;
  require(x.rank() >= 1 && x.dim(-1) >= 1, "layer_norm: x has shape ", x.shape(),
          ", but (..., C) with C >= 1 is needed");
  const Index C = x.dim(-1), rows = x.size() / C;
  const auto check = [&](const char* name, const Tensor<A>& t) {
    require(!t.defined() || t.shape() == Shape{C}, "layer_norm: ", name, " has shape ", t.shape(),
            ", but x has shape ", x.shape(), "; one value per channel is needed");
  };
  check("weight", weight), check("bias", bias);
  require_one_device("layer_norm", {&x, &weight, &bias});
  Tensor<T> y(x.shape(), x.device());
  const Tensor<A> mean({rows}, x.device()), rstd({rows}, x.device());
  on(x.device(), [&](auto device) {
    kernels::layer_norm(device, x.data(), rows, C, weight.data(), bias.data(), epsilon, y.data(), mean.data(),
                        rstd.data());
  });
  return record("layer_norm", y, {x, weight, bias},
                [=, x = x.detach(), weight = weight.detach(), dx = x.gradient(), dweight = weight.gradient(),
                 dbias = bias.gradient()](const Tensor<T>& dy) {
                  // In the order in which they are written: weight and bias may be one tensor.
                  const GradientSink<T> to_x = dx.sink_over(dy);
                  const GradientSink<A> to_weight = dweight.sink(), to_bias = dbias.sink();
                  on(dy.device(), [&](auto device) {
                    kernels::layer_norm_grad(device, x.data(), dy.data(), rows, C, weight.data(), mean.data(),
                                             rstd.data(), to_x, to_weight, to_bias);
                  });
                });
}

}  // namespace gram
