// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/pair.hpp"

namespace gram {

/// Sizes of a convolution: x (N, H, W, C), weight (O, Kh, Kw, C/G), y (N, out_h, out_w, O).
struct Conv2dShape {
  Index n, h, w, c;
  Index o, kh, kw;
  Pair stride = 1, padding = 0, dilation = 1;
  Index groups = 1;

  /// Pixels under a kernel, from its first tap to its last.
  constexpr Index reach_h() const { return (kh - 1) * dilation.h + 1; }
  constexpr Index reach_w() const { return (kw - 1) * dilation.w + 1; }
  constexpr Index out_h() const { return (h + 2 * padding.h - reach_h()) / stride.h + 1; }
  constexpr Index out_w() const { return (w + 2 * padding.w - reach_w()) / stride.w + 1; }
  constexpr Index group_in() const { return c / groups; }
  constexpr Index group_out() const { return o / groups; }
  constexpr Index taps() const { return kh * kw; }
  constexpr Index x_size() const { return n * h * w * c; }
  constexpr Index y_size() const { return n * out_h() * out_w() * o; }
  constexpr Index weight_size() const { return o * taps() * group_in(); }
};

/// What becomes of a finished sum s of a convolution: y = [relu or GELU](s [+ bias] [+ residual]). bias has a
/// value for each output channel, residual is laid out as y. Either may be null. NaN stays NaN under ReLU,
/// but a library of a GPU may make 0 of it.
template <class T>
struct Conv2dEpilogue {
  const T* bias = nullptr;
  const T* residual = nullptr;
  bool relu = false;
  bool gelu = false;  ///< of dense 1x1 convolutions only
};

}  // namespace gram
