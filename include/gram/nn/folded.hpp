// SPDX-License-Identifier: MIT
// What fuse_for_inference() makes of layers with weights.
#pragma once
#include "gram/nn/parameter.hpp"
#include "gram/ops/conv2d_inference.hpp"

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
/// norm has scale_and_shift(); null: none.
template <Scalar T, class Norm>
Conv2dInference<T>& prepared_conv2d(const Parameter<T>& weight, const Tensor<T>& kernel,
                                    const Tensor<T>& bias, const Conv2dOptions& options, const Norm* norm) {
  auto* kept = static_cast<detail::PreparedConv2d<T>*>(weight.prepared.get());
  if (!kept || kept->has_norm != (norm != nullptr)) {
    auto [scale, shift] =
        norm ? norm->scale_and_shift() : std::pair<Tensor<accum_t<T>>, Tensor<accum_t<T>>>{};
    auto made = std::make_shared<detail::PreparedConv2d<T>>(
        Conv2dInference<T>(kernel, bias, options, scale, shift), norm != nullptr);
    kept = made.get();
    weight.prepared = std::move(made);
  }
  return kept->compute;
}

}  // namespace gram
