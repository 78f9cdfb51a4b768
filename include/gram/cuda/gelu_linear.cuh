// SPDX-License-Identifier: MIT
// Linear maps with a GELU behind or in front of them. In two passes h or dy W is written and read once more;
// cuDNN makes both in one, which is taken where it was measured to be faster.
#pragma once
#include "gram/cuda/elementwise.hpp"
#include "gram/cuda/gelu_cudnn.cuh"
#include "gram/cuda/gelu_linear.hpp"
#include "gram/cuda/gemm.hpp"

namespace gram::cuda {

template <class T>
void gelu_linear(Cuda device, Index rows, Index in, Index out, const T* x, const T* weight, const T* bias,
                 T* h, T* a) {
  const auto in_two = [&] {
    kernels::gemm_batched(device, one_product, {rows, out, in}, x, in, false, weight, in, true, h, out,
                          {.bias = bias});
    kernels::unary(device, kernels::Unary::gelu, h, a, rows * out, {});
    return true;
  };
  if constexpr (std::is_same_v<T, bf16>) {
    const auto in_one = [&] { return cudnn_gelu_linear(device, rows, in, out, x, weight, bias, h, a); };
    const PlanKey key{"gelu_linear in one", {rows, in, out, bias != nullptr}};
    if (first_is_faster(device, key, in_one, in_two) && in_one()) return;
  }
  in_two();
}

template <class T>
void gelu_linear_grad(Cuda device, Index rows, Index in, Index out, const T* dy, const T* weight, const T* h,
                      T* dh) {
  const auto in_two = [&] {
    kernels::gemm_batched(device, one_product, {rows, in, out}, dy, out, false, weight, in, false, dh, in,
                          {});
    kernels::unary_grad(device, kernels::Unary::gelu, h, dh, dh, false, rows * in, {});
    return true;
  };
  if constexpr (std::is_same_v<T, bf16>) {
    const auto in_one = [&] { return cudnn_gelu_linear_grad(device, rows, in, out, dy, weight, h, dh); };
    const PlanKey key{"gelu_linear_grad in one", {rows, in, out}};
    if (first_is_faster(device, key, in_one, in_two) && in_one()) return;
  }
  in_two();
}

template <class T>
void fill_in_gelu_linear_tables() {
  gelu_linear_table<T> = {gelu_linear<T>, gelu_linear_grad<T>};
}

}  // namespace gram::cuda
