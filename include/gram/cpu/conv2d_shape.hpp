// SPDX-License-Identifier: MIT
// The arithmetic of convolutions: which input position meets which tap at which output position, forward and
// backward.
#pragma once
#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "gram/core/pair.hpp"
#include "gram/kernels/conv2d.hpp"

namespace gram {

namespace cpu {

/// One axis of a correlation:  y[y_first + i y_step] = sum_t x[first + i stride + t dilation] w[w_first + t
/// w_step] for i < out, t < taps, where x is zero outside [0, in).
struct Axis {
  Index in, out, taps;
  Index first, stride, dilation;
  Index w_first = 0, w_step = 1;
  Index y_first = 0, y_step = 1;

  /// Positions of x that `count` outputs reach over.
  Index span(Index count) const { return (count - 1) * stride + (taps - 1) * dilation + 1; }
  /// True when no output looks beyond the ends of x.
  bool inside() const { return first >= 0 && first + span(out) <= in; }
};

/// The axis of the forward pass.
inline Axis forward_axis(Index in, Index out, Index kernel, Index stride, Index padding, Index dilation) {
  return {.in = in, .out = out, .taps = kernel, .first = -padding, .stride = stride, .dilation = dilation};
}

/// The input gradient of an axis with stride s falls into s phases: the inputs u = phase + q s, q = 0, 1, ..
/// meet only taps k with phase + padding - k dilation a multiple of s, and then the outputs q + (phase +
/// padding - k dilation) / s. Each phase is a correlation of stride 1 over dy with its own taps, in reverse;
/// no zeros are inserted. phase < in.
inline Axis backward_axis(Index in, Index out, Index kernel, Index stride, Index padding, Index dilation,
                          Index phase) {
  const Index common = std::gcd(stride, dilation), step = stride / common;
  Index tap = 0;
  while (tap < std::min(step, kernel) && (phase + padding - tap * dilation) % stride != 0) ++tap;
  const Index taps = tap < std::min(step, kernel) ? ceil_div(kernel - tap, step) : 0;
  const Index last = tap + (taps - 1) * step;
  return {.in = out,
          .out = ceil_div(in - phase, stride),
          .taps = taps,
          .first = taps ? (phase + padding - last * dilation) / stride : 0,
          .stride = 1,
          .dilation = dilation / common,
          .w_first = last,
          .w_step = -step,
          .y_first = phase,
          .y_step = stride};
}

/// A correlation of maps x (n, h.in, w.in, groups * in) to pixels of maps y (n, y_h, y_w, groups * out).
struct Correlation {
  Index n, groups, in, out;
  Axis h, w;
  Index y_h, y_w;

  Index taps() const { return h.taps * w.taps; }
  bool inside() const { return taps() == 0 || (h.inside() && w.inside()); }
};

inline Correlation forward_correlation(const Conv2dShape& s) {
  return {.n = s.n,
          .groups = s.groups,
          .in = s.group_in(),
          .out = s.group_out(),
          .h = forward_axis(s.h, s.out_h(), s.kh, s.stride.h, s.padding.h, s.dilation.h),
          .w = forward_axis(s.w, s.out_w(), s.kw, s.stride.w, s.padding.w, s.dilation.w),
          .y_h = s.out_h(),
          .y_w = s.out_w()};
}

/// A correlation that looks at all that some correlations of one input look at, as far as an axis goes: its
/// outputs are as many as those of the largest, its taps stand for the positions that any of them meets.
inline Correlation cover(std::span<const Correlation> phases) {
  const auto along = [&](Axis Correlation::*axis) {
    Axis all = phases[0].*axis;
    all.taps = 0;
    all.dilation = 1;
    for (const Correlation& phase : phases) {
      const Axis& a = phase.*axis;
      all.out = std::max(all.out, a.out);
      if (phase.taps() == 0) continue;
      const Index end =
          std::max(all.taps ? all.first + all.taps : a.first, a.first + (a.taps - 1) * a.dilation + 1);
      all.first = all.taps ? std::min(all.first, a.first) : a.first;
      all.taps = end - all.first;
    }
    return all;
  };
  Correlation c = phases[0];
  c.h = along(&Correlation::h);
  c.w = along(&Correlation::w);
  return c;
}

/// The phases of the input gradient: dy takes the place of x, dx that of y, and together they write every
/// pixel of dx once (with no taps: a zero).
inline std::vector<Correlation> backward_correlations(const Conv2dShape& s) {
  std::vector<Correlation> phases;
  for (Index i = 0; i < std::min(s.stride.h, s.h); ++i)
    for (Index j = 0; j < std::min(s.stride.w, s.w); ++j)
      phases.push_back({.n = s.n,
                        .groups = s.groups,
                        .in = s.group_out(),
                        .out = s.group_in(),
                        .h = backward_axis(s.h, s.out_h(), s.kh, s.stride.h, s.padding.h, s.dilation.h, i),
                        .w = backward_axis(s.w, s.out_w(), s.kw, s.stride.w, s.padding.w, s.dilation.w, j),
                        .y_h = s.h,
                        .y_w = s.w});
  return phases;
}

}  // namespace cpu
}  // namespace gram
