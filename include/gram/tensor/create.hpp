// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/parallel.hpp"
#include "gram/core/random.hpp"
#include "gram/tensor/tensor.hpp"

namespace gram {

/// A tensor filled with one value.
template <Element T>
Tensor<T> full(const Shape& shape, T value, Device device = Device::cpu()) {
  Tensor<T> y(shape, device);
  on(device, [&](auto tag) { kernels::fill(tag, y.data(), value, y.size()); });
  return y;
}
template <Element T>
Tensor<T> zeros(const Shape& shape, Device device = Device::cpu()) {
  return full(shape, T(0), device);
}
template <Element T>
Tensor<T> ones(const Shape& shape, Device device = Device::cpu()) {
  return full(shape, T(1), device);
}

/// Element i is f(i), which is called by several threads at once.
template <Element T, class F>
Tensor<T> generate(const Shape& shape, F&& f) {
  Tensor<T> y(shape);
  parallel_for(y.size(), 4096, [&, data = y.data()](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) data[i] = static_cast<T>(f(i));
  });
  return y;
}

/// 0, 1, 2, .. n - 1.
template <Element T>
Tensor<T> arange(Index n) {
  return generate<T>({n}, [](Index i) { return i; });
}
/// Independent samples of the standard normal distribution.
template <Scalar T>
Tensor<T> randn(const Shape& shape, RandomKey key) {
  return generate<T>(shape, [&](Index i) { return key.normal(static_cast<std::uint64_t>(i)); });
}
template <Scalar T>
Tensor<T> randn(const Shape& shape, std::uint64_t seed) {
  return randn<T>(shape, RandomKey{seed, 0});
}
/// Independent samples, uniform in [low, high); high itself can come of rounding to T.
template <Scalar T>
Tensor<T> rand(const Shape& shape, double low, double high, RandomKey key) {
  return generate<T>(
      shape, [&](Index i) { return low + (high - low) * key.uniform(static_cast<std::uint64_t>(i)); });
}
template <Scalar T>
Tensor<T> rand(const Shape& shape, double low, double high, std::uint64_t seed) {
  return rand<T>(shape, low, high, RandomKey{seed, 0});
}

/// The values converted to another element type, off the tape. cast() in ops is the recorded form.
template <Element To, Element From>
Tensor<To> converted(const Tensor<From>& x) {
  if (!x.defined()) return {};
  Tensor<To> y(x.shape(), x.device());
  on(x.device(), [&](auto tag) { kernels::convert(tag, x.data(), y.data(), x.size()); });
  return y;
}

}  // namespace gram
