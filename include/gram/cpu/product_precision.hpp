// SPDX-License-Identifier: MIT
// What matrix products of float multiply with: floats, or operands rounded to bf16.
//
// Mixed precision: everything stays float in memory (activations, weights, gradients, statistics). Only on
// its way into a product is an operand rounded to bf16, 8 significant bits, and the sums of the products are
// made in float. A product's relative error grows from 1e-7 to about 2^-9 / sqrt(k) of what its terms add up
// to in absolute value; processors with AVX512-BF16 make twice as many such multiplications in a cycle.
// Elsewhere the same rounding is followed by float arithmetic: the same accuracy, and no gain in speed.
#pragma once
#include "gram/cpu/simd.hpp"
#include "gram/kernels/gemm.hpp"

namespace gram {

/// What products of float operands multiply with; sums are float in both.
enum class Precision {
  float32,
  bf16,  ///< operands rounded to nearest, ties to even; numbers below 2^-126 may count as zero
};

namespace cpu {

inline Precision& product_precision_setting() {
  static Precision precision = Precision::float32;
  return precision;
}

}  // namespace cpu

/// How large products of float operands multiply; at first float32.
inline Precision product_precision() {
  return detail::full_precision_scopes ? Precision::float32 : cpu::product_precision_setting();
}

/// Chooses how large products of float operands multiply, in the whole program: linear layers, matmul and
/// direct convolutions, forward and backward. Small ones (see cpu::worth_rounding) and everything else stay
/// float32; weights kept for inference are rounded whatever the number of rows they meet. Works on every
/// machine; has_bf16_products() says where bf16 is faster. Not while another thread computes.
inline void set_product_precision(Precision precision) { cpu::product_precision_setting() = precision; }

/// Whether this machine multiplies bf16 pairs in one instruction (AVX512-BF16).
inline bool has_bf16_products() {
#if defined(__x86_64__)
  static const bool has = cpu::best_isa() == Isa::avx512 && __builtin_cpu_supports("avx512bf16");
  return has;
#else
  return false;
#endif
}

}  // namespace gram
