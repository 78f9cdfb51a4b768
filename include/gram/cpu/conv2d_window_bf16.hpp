// SPDX-License-Identifier: MIT
// What correlations of rounded operands read: windows of the input and weights, as words of two channels. A
// pixel has pairs(channels) words; an odd number of channels is filled up with a zero, in each pixel of a
// window and in each tap of the weights.
#pragma once
#include "gram/cpu/conv2d_tile.hpp"
#include "gram/cpu/gemm_bf16.hpp"

namespace gram::cpu {

/// copy_window with rounding: `channels` channels of a map to pixels of pairs(channels) words. Writes up to a
/// vector beyond the end.
inline void round_window(const PairTileTable<bf16>& tile, const MapView<float>& map, Index y0, Index rows,
                         Index x0, Index columns, Index channels, Pair16* to) {
  const Index left = std::clamp<Index>(-x0, 0, columns), right = std::clamp(map.w - x0, left, columns);
  const Index pixel = pairs(channels);
  for (Index y = y0; y < y0 + rows; ++y, to += columns * pixel) {
    if (y < 0 || y >= map.h) {
      std::fill_n(to, columns * pixel, Pair16{0});
      continue;
    }
    std::fill_n(to, left * pixel, Pair16{0});
    if (left < right) {
      const float* const from = map.x + (y * map.w + x0 + left) * map.c;
      if (channels == map.c && channels % 2 == 0)
        tile.round_rows(1, (right - left) * channels, from, 0, to + left * pixel, 0);
      else
        tile.round_rows(right - left, channels, from, map.c, to + left * pixel, pixel);
    }
    std::fill_n(to + right * pixel, (columns - right) * pixel, Pair16{0});
  }
}

/// Words of the rounded weights of all groups: for each group a packed matrix of taps * pairs(in) rows and
/// `out` columns.
inline Index rounded_weights_size(const Correlation& c) {
  return c.groups * c.taps() * pairs(c.in) * round_up(c.out, pair_tile_table<bf16>().lanes);
}

/// Rounds weights tap by tap: tap(g, t) is the matrix (in, out) of tap t of group g.
template <class F>
void round_taps(const Correlation& c, Pair16* words, F&& tap) {
  const auto& tile = pair_tile_table<bf16>();
  const Index depth = c.taps() * pairs(c.in), group = depth * round_up(c.out, tile.lanes);
  const Index panels = ceil_div(c.out, tile.width);
  parallel_blocks(c.groups * c.taps() * panels, [&](Index b, int) {
    const Index g = b / (c.taps() * panels), t = b / panels % c.taps(), p = b % panels * tile.width;
    const Index columns = std::min(tile.width, c.out - p), w = round_up(columns, tile.lanes);
    const Operand<float> from = tap(g, t).from(0, p);
    tile.round_lanes(c.in, columns, from.data, from.row_stride, from.column_stride,
                     words + g * group + p * depth + t * pairs(c.in) * w, w);
  });
}

/// Rounds weight (O, Kh, Kw, C/G) for the forward pass.
inline void round_forward(const Conv2dShape& s, const float* weight, Pair16* words) {
  const Correlation c = forward_correlation(s);
  const Index k = s.taps() * c.in;
  round_taps(c, words, [&](Index g, Index t) {
    return Operand<float>{weight + g * c.out * k + t * c.in, 1, k};
  });
}

/// Rounds weight for one phase of the input gradient.
inline void round_backward(const Conv2dShape& s, const Correlation& c, const float* weight, Pair16* words) {
  const Index taps = s.taps();
  round_taps(c, words, [&](Index g, Index t) {
    const Index y = c.h.w_first + t / c.w.taps * c.h.w_step, x = c.w.w_first + t % c.w.taps * c.w.w_step;
    return Operand<float>{weight + (g * c.in * taps + y * s.kw + x) * c.out, taps * c.out, 1};
  });
}

}  // namespace gram::cpu
