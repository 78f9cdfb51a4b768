// SPDX-License-Identifier: MIT
#pragma once
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "gram/tensor/create.hpp"

namespace gram {

/// How the weights of a linear or convolutional layer start.
enum class Init {
  pytorch,           ///< weight and bias uniform(+-1/sqrt(fan_in)), as torch.nn.Linear and Conv2d
  kaiming_fan_in,    ///< normal, variance 2/fan_in (arXiv:1502.01852), bias 0
  kaiming_fan_out,   ///< normal, variance 2/fan_out, bias 0; the usual one of ResNets
  xavier,            ///< uniform(+-sqrt(6/(fan_in + fan_out))), bias 0
  truncated_normal,  ///< standard deviation 0.02, bias 0; the usual one of transformers
};

namespace init {

/// Numbers of inputs to an output and of outputs to an input, of a weight (O, ..., I).
struct Fans {
  double in, out;
};
inline Fans fans(const Shape& weight) {
  require(weight.rank() >= 2, "init: shape ", weight, " has no input and output axis");
  const auto area = static_cast<double>(weight.product(1, weight.rank() - 1));
  return {area * static_cast<double>(weight[-1]), area * static_cast<double>(weight[0])};
}

/// Uniform in [-bound, bound).
template <Scalar T>
Tensor<T> uniform(const Shape& shape, double bound, Rng& rng) {
  return rand<T>(shape, -bound, bound, rng.key());
}
/// Four standard normal numbers from one counter (Box and Muller, in float): networks start with tens of
/// millions.
[[gnu::always_inline]] inline std::array<float, 4> four_normals(RandomKey key, std::uint64_t counter) {
  const auto bits = key.bits(counter);
  const auto open_unit = [](std::uint32_t r) { return (static_cast<float>(r >> 8U) + 0.5F) * 0x1p-24F; };
  std::array<float, 4> values;
  for (std::size_t pair = 0; pair < 4; pair += 2) {
    const float radius = std::sqrt(-2 * std::log(open_unit(bits[pair])));
    const float angle = 2 * std::numbers::pi_v<float> * open_unit(bits[pair + 1]);
    values[pair] = radius * std::cos(angle), values[pair + 1] = radius * std::sin(angle);
  }
  return values;
}

/// Normal with mean 0, drawn again while outside [-cut, cut], as torch.nn.init.trunc_normal_(std, a=-cut,
/// b=cut): the cut is absolute. Pass cut = 2 deviation for the form that cuts at two standard deviations.
template <Scalar T>
Tensor<T> truncated_normal(const Shape& shape, double deviation, Rng& rng, double cut = 2) {
  require<ArgumentError>(deviation >= 0 && cut > 0, "truncated_normal: deviation is ", deviation, " and cut ",
                         cut, "; neither may be negative, cut not zero");
  Tensor<T> y(shape);
  const Index size = shape.size(), blocks = ceil_div(size, 4);
  parallel_for(blocks, 4096, [&, key = rng.key()](Index begin, Index end) {
    for (Index block = begin; block < end; ++block) {
      const auto four = four_normals(key, static_cast<std::uint64_t>(block));
      for (Index i = 4 * block; i < (std::min)(size, 4 * block + 4); ++i) {
        double value = deviation * static_cast<double>(four[static_cast<std::size_t>(i % 4)]);
        for (auto again = static_cast<std::uint64_t>(i); std::abs(value) > cut;)
          value = deviation *
                  static_cast<double>(four_normals(key, again += static_cast<std::uint64_t>(size))[0]);
        y.data()[i] = static_cast<T>(value);
      }
    }
  });
  return y;
}
/// Normal with mean 0.
template <Scalar T>
Tensor<T> normal(const Shape& shape, double deviation, Rng& rng) {
  return truncated_normal<T>(shape, deviation, rng, std::numeric_limits<double>::infinity());
}
/// Normal with variance gain^2 / fan (arXiv:1502.01852); gain sqrt(2) is that of ReLU.
template <Scalar T>
Tensor<T> kaiming_normal(const Shape& shape, double fan, Rng& rng, double gain = std::numbers::sqrt2) {
  return normal<T>(shape, gain / std::sqrt(fan), rng);
}
/// Uniform with variance gain^2 / fan.
template <Scalar T>
Tensor<T> kaiming_uniform(const Shape& shape, double fan, Rng& rng, double gain = std::numbers::sqrt2) {
  return uniform<T>(shape, gain * std::sqrt(3 / fan), rng);
}
/// Uniform with variance 2 gain^2 / (fan_in + fan_out) (Glorot and Bengio, AISTATS 2010).
template <Scalar T>
Tensor<T> xavier_uniform(const Shape& shape, Rng& rng, double gain = 1) {
  const auto [in, out] = fans(shape);
  return uniform<T>(shape, gain * std::sqrt(6 / (in + out)), rng);
}
/// Normal with that variance.
template <Scalar T>
Tensor<T> xavier_normal(const Shape& shape, Rng& rng, double gain = 1) {
  const auto [in, out] = fans(shape);
  return normal<T>(shape, gain * std::sqrt(2 / (in + out)), rng);
}

/// The weight (O, ..., I) of a layer.
template <Scalar T>
Tensor<T> weight(const Shape& shape, Init scheme, Rng& rng) {
  const auto [in, out] = fans(shape);
  switch (scheme) {
    case Init::pytorch:
      return uniform<T>(shape, 1 / std::sqrt(in), rng);
    case Init::kaiming_fan_in:
      return kaiming_normal<T>(shape, in, rng);
    case Init::kaiming_fan_out:
      return kaiming_normal<T>(shape, out, rng);
    case Init::xavier:
      return xavier_uniform<T>(shape, rng);
    case Init::truncated_normal:
      break;
  }
  return truncated_normal<T>(shape, 0.02, rng);
}
/// The bias that goes with a weight of that shape; undefined when `present` is false.
template <Scalar T>
Tensor<T> bias(bool present, const Shape& weight_shape, Init scheme, Rng& rng) {
  if (!present) return {};
  const Shape shape{weight_shape[0]};
  return scheme == Init::pytorch ? uniform<T>(shape, 1 / std::sqrt(fans(weight_shape).in), rng)
                                 : zeros<T>(shape);
}

}  // namespace init
}  // namespace gram
