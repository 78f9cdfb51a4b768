// SPDX-License-Identifier: MIT
#pragma once
#include <vector>

#include "gram/cpu/optimizer.hpp"
#include "gram/cuda/optimizer.hpp"
#include "gram/optim/parameters.hpp"

namespace gram {

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), where norm is the root of the sum of all their
/// squares, and returns norm, as torch.nn.utils.clip_grad_norm_ does (arXiv:1211.5063), as a scalar on the
/// device of the gradients: nothing waits for it. Parameters without a gradient do not count. Throws
/// ArgumentError unless max_norm is positive and all gradients are on one device.
template <Scalar T>
Tensor<double> clip_gradients(const ParameterList<T>& parameters, double max_norm) {
  require<ArgumentError>(max_norm > 0, "clip_gradients: max_norm is ", max_norm, ", but it must be positive");
  std::vector<kernels::GradientSpan<T>> gradients;
  std::vector<kernels::GradientSpan<accum_t<T>>> wide;
  Device where = Device::cpu();
  parameters.for_each([&]<Scalar P>(const NamedParameter<P>& p) {
    if (!p.value.grad().defined()) return;
    require<ArgumentError>((gradients.empty() && wide.empty()) || where == p.value.device(),
                           "clip_gradients: gradients are on ", to_text(where), " and on ",
                           to_text(p.value.device()), "; one device is needed");
    where = p.value.device();
    // a gradient that other tensors share is copied first
    const kernels::GradientSpan<P> span{p.value.gradient().sink().data, p.value.size()};
    if constexpr (std::same_as<P, T>)
      gradients.push_back(span);
    else
      wide.push_back(span);
  });
  const Tensor<double> norm(Shape{}, where);
  on(where, [&](auto device) { kernels::clip_gradients<T>(device, gradients, wide, max_norm, norm.data()); });
  return norm;
}

/// clip_gradients() that returns the number; waits for the device.
template <Scalar T>
double clip_grad_norm(const ParameterList<T>& parameters, double max_norm) {
  return clip_gradients(parameters, max_norm).item();
}
template <Scalar T>
double clip_grad_norm(const std::vector<NamedParameter<T>>& parameters, double max_norm) {
  return clip_grad_norm(ParameterList<T>(parameters), max_norm);
}

}  // namespace gram
