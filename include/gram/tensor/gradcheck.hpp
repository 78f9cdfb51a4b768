// SPDX-License-Identifier: MIT
#pragma once
#include <cmath>
#include <tuple>

#include "gram/tensor/create.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {
namespace detail {

inline std::vector<Tensor<double>> as_list(const Tensor<double>& y) { return {y}; }
inline std::vector<Tensor<double>> as_list(std::vector<Tensor<double>> y) { return y; }

/// sum <y, weights> over all outputs: the objective of a gradient check.
inline double weighted_sum(const std::vector<Tensor<double>>& outputs,
                           const std::vector<Root<double>>& weights) {
  double sum = 0;
  for (std::size_t k = 0; k < outputs.size(); ++k)
    for (Index i = 0; i < outputs[k].size(); ++i) sum += outputs[k].data()[i] * weights[k].dy.data()[i];
  return sum;
}

}  // namespace detail

/// Compares the gradients of f with central differences, in double: the largest |analytic - numeric| over all
/// elements, divided by the largest |numeric| of the same input (or by 1e-3 where that is smaller). f takes
/// the inputs as tensors and returns a tensor or a vector of tensors; its values near the inputs must be
/// smooth. Infinite where either is not a number. The inputs are not changed.
///     gradcheck([](const auto& x, const auto& w) { return linear(x, w, {}); }, randn<double>({4, 7}, 1),
///     ...) < 1e-6
template <class F, class... Inputs>
double gradcheck(F&& f, const Inputs&... inputs) {
  constexpr double step = 1e-5;
  std::tuple<Inputs...> leaves{inputs.clone()...};
  const auto outputs = [&] { return detail::as_list(std::apply(f, leaves)); };

  std::apply([](auto&... x) { (x.set_requires_grad(), ...); }, leaves);
  std::vector<Root<double>> roots;
  std::uint64_t stream = 0;
  for (const auto& y : outputs()) roots.push_back({y, randn<double>(y.shape(), RandomKey{7, stream++})});
  backward(roots);

  const NoGrad off;
  const auto objective = [&] { return detail::weighted_sum(outputs(), roots); };
  double worst = 0;
  const auto check = [&](const Tensor<double>& x) {
    double difference = 0, largest = 1e-3;
    for (Index i = 0; i < x.size(); ++i) {
      const double before = x.data()[i];
      x.data()[i] = before + step;
      const double above = objective();
      x.data()[i] = before - step;
      const double below = objective();
      x.data()[i] = before;
      const double numeric = (above - below) / (2 * step);
      const double analytic = x.grad().defined() ? x.grad().data()[i] : 0;
      const double apart = std::abs(analytic - numeric);
      difference = std::isfinite(apart) ? std::max(difference, apart) : HUGE_VAL;
      largest = std::max(largest, std::abs(numeric));
    }
    worst = std::max(worst, difference / largest);
  };
  std::apply([&](const auto&... x) { (check(x), ...); }, leaves);
  return worst;
}

}  // namespace gram
