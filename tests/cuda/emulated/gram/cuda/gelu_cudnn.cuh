// SPDX-License-Identifier: MIT
// The stand-in device has no cuDNN: no plan for anything, so that products and GELU are two passes. An
// observer is told what cuDNN would do instead.
#pragma once
#include <array>
#include <string_view>

#include "gram/core/scalar.hpp"
#include "gram/cuda/context.cuh"

namespace gram::cuda {

struct PlanKey {
  std::string_view operation;
  std::array<Index, 22> sizes{};
};

template <class First, class Second>
bool first_is_faster(Cuda, const PlanKey&, const First&, const Second&) {
  return emulated::observer != nullptr;
}

/// `maps` results (rows, out) beside the operands of a product.
inline bool observed_gelu(Index rows, Index in, Index out, double maps) {
  if (!emulated::observer) return false;
  const auto m = static_cast<double>(rows), k = static_cast<double>(in), n = static_cast<double>(out);
  emulated::observer->library({"cuDNN product with GELU", 2 * (m * k + k * n + maps * m * n), 2 * m * n * k});
  return true;
}
inline bool cudnn_gelu_linear(Cuda, Index rows, Index in, Index out, const bf16*, const bf16*, const bf16*,
                              bf16* h, bf16*) {
  return observed_gelu(rows, in, out, h ? 2 : 1);
}
inline bool cudnn_gelu_linear_grad(Cuda, Index rows, Index in, Index out, const bf16*, const bf16*,
                                   const bf16*, bf16*) {
  return observed_gelu(rows, out, in, 2);
}

}  // namespace gram::cuda
