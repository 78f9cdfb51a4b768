// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/elementwise.hpp"
#include "gram/cpu/gemm.hpp"

namespace gram::kernels {

/// h = x W^T + b and a = gelu(h), the exact form. x (rows, in), W (out, in), b (out) or null; h and a (rows,
/// out).
template <class T>
void gelu_linear(Cpu device, Index rows, Index in, Index out, const T* x, const T* weight, const T* bias,
                 T* h, T* a) {
  gemm_batched(device, {1, 0, 0, 0}, {rows, out, in}, x, in, false, weight, in, true, h, out, {.bias = bias});
  unary(device, Unary::gelu, h, a, rows * out);
}

/// dh = (dy W) gelu'(h): through a linear map with W (out, in), to what its operand's GELU was taken of. dy
/// (rows, out), h and dh (rows, in).
template <class T>
void gelu_linear_grad(Cpu device, Index rows, Index in, Index out, const T* dy, const T* weight, const T* h,
                      T* dh) {
  gemm_batched(device, {1, 0, 0, 0}, {rows, in, out}, dy, out, false, weight, in, false, dh, in, {});
  unary_grad(device, Unary::gelu, h, dh, dh, false, rows * in);
}

}  // namespace gram::kernels
