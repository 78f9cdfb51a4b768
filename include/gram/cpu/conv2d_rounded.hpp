// SPDX-License-Identifier: MIT
// Convolutions of floats whose operands are rounded to bf16, term by term: which ones pay, their kept
// weights, and the result. 1x1 convolutions are products of gemm_bf16.hpp.
#pragma once
#include "gram/cpu/conv2d_packed.hpp"
#include "gram/cpu/winograd_plan.hpp"

namespace gram::cpu {

/// Whether correlations with `taps` taps from `in` to `out` channels are long and wide enough for rounding to
/// pay. A few channels are rounded pixel by pixel, and every other product of the last would be with a zero.
inline bool worth_rounding(Index taps, Index in, Index out) {
  return in >= 8 && taps * in >= 24 && out >= 16;
}

/// With narrow groups merged as the widest vectors ask for: which operands are rounded must not depend on the
/// instruction set.
inline Conv2dShape with_wide_groups(const Conv2dShape& s) {
  return merge_groups(s, groups_of_a_vector(s, 16));
}

/// Whether a convolution of floats is computed with rounded operands: by the precision of the program, and
/// the shape. Grouped 1x1 convolutions have a form of their own, which stays in float.
inline bool rounds(const Conv2dShape& s) {
  const Conv2dShape m = with_wide_groups(s);
  return product_precision() == Precision::bf16 && !is_depthwise(s) &&
         !(is_dense_pointwise(s) && s.groups > 1) && worth_rounding(m.taps(), m.group_in(), m.group_out());
}

/// The same of the input gradient, where a phase of a strided convolution has few taps.
inline bool rounds_gradient(const Conv2dShape& s) {
  const Conv2dShape m = with_wide_groups(s);
  const Index taps = std::max<Index>(1, s.taps() / (s.stride.h * s.stride.w));
  return product_precision() == Precision::bf16 && worth_rounding(taps, m.group_out(), m.group_in());
}

/// The same of the weight gradient: narrow panels of channels cost more to round than they save.
inline bool rounds_weight(const Conv2dShape& s) { return rounds(s) && s.group_in() >= 32; }

/// Winograd's form of the result, or of the input gradient, where it is faster than the direct one, which
/// rounded operands make twice as fast.
inline WinogradPlan forward_plan(const Conv2dShape& s, WinogradWeights weights) {
  return allowed(winograd_plan(s, weights, rounds(s) ? 2 : 1));
}
inline WinogradPlan gradient_plan(const Conv2dShape& s) {
  return allowed(
      winograd_plan(winograd_gradient_shape(s), WinogradWeights::made, rounds_gradient(s) ? 2 : 1));
}

}  // namespace gram::cpu

namespace gram::kernels {

/// Words of the rounded weights of a convolution.
inline Index conv2d_rounded_size(const Conv2dShape& s) {
  return cpu::rounded_weights_size(cpu::forward_correlation(cpu::computed_shape<float>(s)));
}

/// Rounds weight (O, Kh, Kw, C/G).
inline void conv2d_round(Cpu, const Conv2dShape& s, const float* weight, cpu::Pair16* rounded) {
  const Index count = cpu::groups_of_a_vector(s, cpu::tile_table<float>().lanes);
  Scratch<float> wide(count > 1 ? s.weight_size() * count : 0);
  if (count > 1) cpu::spread_groups(s, count, weight, wide.data());
  cpu::round_forward(cpu::merge_groups(s, count), count > 1 ? wide.data() : weight, rounded);
}

/// y = epilogue(convolution of x with rounded weights).
inline void conv2d_with_rounded(Cpu, const Conv2dShape& s, const float* x, const cpu::Pair16* rounded,
                                const Conv2dEpilogue<float>& epilogue, float* y) {
  const Conv2dShape computed = cpu::computed_shape<float>(s);
  const cpu::TileEpilogue<float> e = cpu::tile_epilogue(epilogue, y);
  if (cpu::is_dense_pointwise(s) && s.groups == 1)
    return cpu::gemm_bf16_packed({s.n * s.h * s.w, s.o, s.c}, x, s.c, rounded, y, s.o, e);
  const cpu::Correlation c = cpu::forward_correlation(computed);
  cpu::correlate<cpu::RoundedWords, float>(std::span(&c, 1), x, rounded, e, y);
}

}  // namespace gram::kernels
