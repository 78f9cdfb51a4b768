// SPDX-License-Identifier: MIT
// The same operation on the CPU and on CUDA. Where a GPU is, tests run on it; elsewhere the same sources run
// on the stand-in of emulated/cuda_runtime.h.
#pragma once
#include <vector>

#include "gram/gram.hpp"
#include "support.hpp"

namespace gram::test {

/// How far results on the two devices may be apart, as distance() measures.
template <class T>
inline constexpr double device_tolerance = std::is_same_v<T, double> ? 1e-12
                                           : std::is_same_v<T, bf16> ? 1e-2
                                                                     : 1e-5;

/// f(inputs) and the gradients of <f(inputs), random> with respect to every input, on one device; results on
/// the CPU.
template <Scalar T, class F>
std::vector<Tensor<T>> results_on(Device device, const F& f, const std::vector<Tensor<T>>& inputs) {
  std::vector<Tensor<T>> there;
  for (const Tensor<T>& x : inputs) there.push_back(x.to(device).clone().set_requires_grad());
  const Tensor<T> y = f(there);
  const auto dy = converted<T>(randn<float>(y.shape(), 4711));
  std::vector<Tensor<T>> results{y.to(Device::cpu())};
  if (!y.requires_grad()) return results;
  backward(y, dy.to(device));
  for (const Tensor<T>& x : there) results.push_back(x.grad().to(Device::cpu()));
  return results;
}

/// The largest distance between what f and its gradients are on the CPU and on CUDA. f takes and returns
/// tensors of one device: a std::vector<Tensor<T>> to a Tensor<T>. Infinite where one device has a gradient
/// and the other has none.
template <Scalar T, class F>
double device_distance(const F& f, const std::vector<Tensor<T>>& inputs) {
  const auto expected = results_on<T>(Device::cpu(), f, inputs),
             found = results_on<T>(Device::cuda(), f, inputs);
  double largest = expected.size() == found.size() ? 0 : HUGE_VAL;
  for (std::size_t i = 0; i < expected.size() && i < found.size(); ++i) {
    if (expected[i].defined() != found[i].defined()) return HUGE_VAL;
    if (expected[i].defined()) largest = std::max(largest, distance(found[i], expected[i]));
  }
  return largest;
}

/// The same for the gradient with respect to x after two backward passes, the second of which adds to the
/// first.
template <Scalar T, class F>
double added_gradient_distance(const F& f, const Tensor<T>& x) {
  const auto gradient = [&](Device device) {
    Tensor<T> there = x.to(device).clone();
    there.set_requires_grad();
    for (std::uint64_t pass = 0; pass < 2; ++pass) {
      const Tensor<T> y = f(there);
      backward(y, converted<T>(randn<float>(y.shape(), pass)).to(device));
    }
    return there.grad().to(Device::cpu());
  };
  return distance(gradient(Device::cuda()), gradient(Device::cpu()));
}

/// Random inputs of the given shapes.
template <Scalar T>
std::vector<Tensor<T>> random_inputs(std::initializer_list<Shape> shapes, std::uint64_t seed = 1) {
  std::vector<Tensor<T>> inputs;
  for (const Shape& shape : shapes) inputs.push_back(converted<T>(randn<float>(shape, seed++)));
  return inputs;
}

}  // namespace gram::test
