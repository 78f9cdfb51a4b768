// SPDX-License-Identifier: MIT
// When Winograd's convolutions pay, and how their tiles lie on the maps.
#pragma once
#include "gram/cpu/conv2d_method.hpp"
#include "gram/cpu/conv2d_shape.hpp"
#include "gram/cpu/winograd_tile.hpp"

namespace gram::cpu {

/// A convolution in tiles of tile x tile output pixels: 2, 4, or 0 for the direct form.
struct WinogradPlan {
  Conv2dShape shape;
  Index tile = 0;

  explicit operator bool() const { return tile != 0; }
  /// Matrix products, (m + 2)^2.
  Index products() const { return (tile + 2) * (tile + 2); }
  Index rows() const { return ceil_div(shape.out_h(), tile); }
  Index columns() const { return ceil_div(shape.out_w(), tile); }
  Index tiles() const { return shape.n * rows() * columns(); }
  WinogradGrid x_grid() const {
    return {shape.h, shape.w, shape.c, rows(), columns(), -shape.padding.h, -shape.padding.w};
  }
  WinogradGrid y_grid() const { return {shape.out_h(), shape.out_w(), shape.o, rows(), columns(), 0, 0}; }
  template <class T>
  const WinogradTransforms<T>& transforms() const {
    return tile == 2 ? winograd_table<T>().two : winograd_table<T>().four;
  }
};

/// Whether the formulas hold: 3x3 neighbouring taps, stride 1, padding that the input gradient can mirror.
inline bool winograd_possible(const Conv2dShape& s) {
  const auto fits = [](Index padding) { return padding >= 0 && padding <= 2; };
  return s.kh == 3 && s.kw == 3 && s.stride == Pair(1) && s.dilation == Pair(1) && s.groups == 1 &&
         fits(s.padding.h) && fits(s.padding.w);
}

/// The convolution over dy that gives the input gradient of s.
inline Conv2dShape winograd_gradient_shape(Conv2dShape s) {
  const Index h = s.out_h(), w = s.out_w();
  std::swap(s.c, s.o);
  s.h = h, s.w = w;
  s.padding = Pair(2 - s.padding.h, 2 - s.padding.w);
  return s;
}

/// Whether transformed weights are made for one use or have been kept.
enum class WinogradWeights { made, kept };

/// The fastest form of a convolution by a count of multiplications: those of its products, 20 (C + O) for the
/// transforms of a tile and product, and `each_weight` for every transformed weight. The direct form makes
/// `direct_rate` of them in the time of one.
inline WinogradPlan winograd_cheapest(const Conv2dShape& s, Index each_weight, Index direct_rate = 1) {
  constexpr Index least = Index{1} << 23;  // shorter ones are over in a tenth of a millisecond
  const Index pixels = s.n * s.out_h() * s.out_w(), weights = round_up(s.c, 16) * round_up(s.o, 16);
  WinogradPlan best{s, 0};
  if (!winograd_possible(s) || std::min(s.c, s.o) < 16 || pixels * 9 * s.c * s.o < least) return best;
  // Of the direct form: 9 taps, and its own preparations.
  Index cost = 10 * weights * (pixels + each_weight) / direct_rate;
  for (const Index tile : {4, 2}) {
    const WinogradPlan plan{s, tile};
    const Index tiles = round_up(plan.tiles(), 6);
    const Index now = plan.products() * (tiles * (weights + 20 * (s.c + s.o)) + each_weight * weights);
    if (now < cost) best = plan, cost = now;
  }
  return best;
}

/// How to compute a convolution of floats; the input gradient through its winograd_gradient_shape. Depends on
/// the shape alone. A weight that is transformed takes as long to write and read again as 92 multiplications,
/// and a kept matrix as long to read as 10.
inline WinogradPlan winograd_plan(const Conv2dShape& s, WinogradWeights weights = WinogradWeights::made,
                                  Index direct_rate = 1) {
  return winograd_cheapest(s, weights == WinogradWeights::made ? 92 : 10, direct_rate);
}
/// How to compute the weight gradient. With few channels the transforms of both maps cost what is saved;
/// a sum that is transformed back takes as long as 45 multiplications.
inline WinogradPlan winograd_weight_plan(const Conv2dShape& s) {
  return std::min(s.c, s.o) >= 32 ? winograd_cheapest(s, 45) : WinogradPlan{s, 0};
}

/// The plan, or the direct form where that is asked for.
inline WinogradPlan allowed(const WinogradPlan& plan) {
  return convolution_method() == ConvolutionMethod::automatic ? plan : WinogradPlan{plan.shape, 0};
}

}  // namespace gram::cpu
