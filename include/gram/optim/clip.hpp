// SPDX-License-Identifier: MIT
#pragma once
#include <algorithm>
#include <cmath>

#include "gram/cpu/optimizer.hpp"
#include "gram/cuda/optimizer.hpp"
#include "gram/optim/parameters.hpp"

namespace gram {

/// Scales all gradients by min(1, max_norm / (norm + 1e-6)), where norm is the root of the sum of all their
/// squares, and returns norm, as torch.nn.utils.clip_grad_norm_ does (arXiv:1211.5063). Parameters without a
/// gradient do not count. Throws ArgumentError unless max_norm is positive.
template <Scalar T>
double clip_grad_norm(const ParameterList<T>& parameters, double max_norm) {
  require<ArgumentError>(max_norm > 0, "clip_grad_norm: max_norm is ", max_norm, ", but it must be positive");
  double squares = 0;
  parameters.for_each([&](const auto& p) {
    if (const auto g = p.value.grad(); g.defined())
      on(g.device(), [&](auto device) { squares += kernels::sum_squares(device, g.data(), g.size()); });
  });
  const double norm = std::sqrt(squares), factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  parameters.for_each([&](const auto& p) {
    if (!p.value.grad().defined()) return;
    const auto sink = p.value.gradient().sink();  // a gradient that other tensors share is copied first
    on(p.value.device(), [&](auto device) { kernels::scale(device, sink.data, factor, p.value.size()); });
  });
  return norm;
}
template <Scalar T>
double clip_grad_norm(const std::vector<NamedParameter<T>>& parameters, double max_norm) {
  return clip_grad_norm(ParameterList<T>(parameters), max_norm);
}

}  // namespace gram
