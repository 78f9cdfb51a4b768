// SPDX-License-Identifier: MIT
// What fuse_for_inference() makes of layers with weights.
#pragma once
#include <tuple>

#include "gram/nn/parameter.hpp"
#include "gram/ops/conv2d_inference.hpp"
#include "gram/ops/linear.hpp"
#include "gram/tensor/views.hpp"

namespace gram {
namespace detail {

template <Scalar T>
struct PreparedConv2d final : Prepared {
  PreparedConv2d(Conv2dInference<T> function, bool with_norm)
      : compute(std::move(function)), has_norm(with_norm) {}
  Conv2dInference<T> compute;
  bool has_norm;
};

}  // namespace detail

/// The convolution of a layer with the norm behind it, prepared by the first call and kept with the weight. A
/// norm has scale_and_shift(); it may be null, and of type void.
template <Scalar T, class Norm>
Conv2dInference<T>& prepared_conv2d(const Parameter<T>& weight, const Tensor<T>& kernel,
                                    const Tensor<T>& bias, const Conv2dOptions& options, const Norm* norm) {
  auto* kept = static_cast<detail::PreparedConv2d<T>*>(weight.prepared.get());
  const std::uint64_t updates = weight.requires_grad() ? weight.autograd()->updates : 0;
  if (!kept || kept->has_norm != (norm != nullptr) || kept->updates != updates) {
    Tensor<accum_t<T>> scale, shift;
    if constexpr (!std::is_void_v<Norm>)
      if (norm) std::tie(scale, shift) = norm->scale_and_shift();
    auto made = std::make_shared<detail::PreparedConv2d<T>>(
        Conv2dInference<T>(kernel, bias, options, scale, shift), norm != nullptr);
    kept = made.get();
    kept->updates = updates;
    weight.prepared = std::move(made);
  }
  return kept->compute;
}

/// The same for a (grouped) linear layer, weight (O, I/G), x (..., I), residual (..., O): a 1x1 convolution.
template <Scalar T, class Norm>
Tensor<T> prepared_linear(const char* name, const Parameter<T>& weight, const Tensor<T>& bias, Index groups,
                          const Norm* norm, const Tensor<T>& x, const Tensor<T>& residual, bool relu,
                          bool gelu = false) {
  const detail::LinearShape s(name, x, weight, bias, groups);
  const Shape shape = x.shape().with(-1, s.out);
  if (s.rows == 0) return Tensor<T>(shape, x.device());
  auto& convolution = prepared_conv2d(weight, reshape(weight.detach(), {s.out, 1, 1, s.group_in()}), bias,
                                      {.groups = groups}, norm);
  const auto map = [&](const Tensor<T>& t) {
    return t.defined() ? reshape(t, {1, s.rows, 1, t.dim(-1)}) : t;
  };
  return reshape(convolution(map(x), map(residual), relu, gelu), shape);
}

}  // namespace gram
