// SPDX-License-Identifier: MIT
// The correlations of conv2d_direct.hpp with operands rounded to bf16. A block of outputs is made in the same
// way, but its window of the input is always copied, as it must be rounded. Channels are the direction of the
// pairs; an odd number of them is filled up with a zero, in each pixel of the copy and in each tap of the
// weights.
#pragma once
#include "gram/cpu/conv2d_direct.hpp"
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
    const float* from = map.x + (y * map.w + x0 + left) * map.c;
    if (channels == map.c && channels % 2 == 0)
      tile.round_rows(1, (right - left) * channels, from, 0, to + left * pixel, 0);
    else
      tile.round_rows(right - left, channels, from, map.c, to + left * pixel, pixel);
    std::fill_n(to + right * pixel, (columns - right) * pixel, Pair16{0});
  }
}

/// Rounded weights of all groups: for each group a packed matrix of taps * pairs(c.in) rows and c.out columns.
class RoundedWeights {
 public:
  /// Of the forward pass: weight (O, Kh, Kw, C/G).
  static RoundedWeights forward(const Conv2dShape& s, const Correlation& c, const float* weight) {
    RoundedWeights packed(c);
    const Index k = s.taps() * c.in;
    packed.fill(c, [&](Index g, Index t) { return Operand<float>{weight + g * c.out * k + t * c.in, 1, k}; });
    return packed;
  }
  /// Of one phase of the input gradient.
  static RoundedWeights backward(const Conv2dShape& s, const Correlation& c, const float* weight) {
    RoundedWeights packed(c);
    const Index taps = s.taps();
    packed.fill(c, [&](Index g, Index t) {
      const Index y = c.h.w_first + t / c.w.taps * c.h.w_step, x = c.w.w_first + t % c.w.taps * c.w.w_step;
      return Operand<float>{weight + (g * c.in * taps + y * s.kw + x) * c.out, taps * c.out, 1};
    });
    return packed;
  }

  /// The panel of columns p, p + 1, .. of group g.
  const Pair16* panel(Index g, Index p) const { return words_.data() + g * group_ + p * depth_; }

 private:
  explicit RoundedWeights(const Correlation& c)
      : depth_(c.taps() * pairs(c.in)),
        group_(depth_ * round_up(c.out, pair_tile_table<bf16>().lanes)),
        words_(c.groups * group_) {}

  /// tap(g, t): the matrix (in, out) of one tap.
  template <class F>
  void fill(const Correlation& c, F&& tap) {
    const auto& tile = pair_tile_table<bf16>();
    parallel_blocks(c.groups * c.taps(), [&](Index b, int) {
      const Index g = b / c.taps(), t = b % c.taps();
      const Operand<float> from = tap(g, t);
      for (Index p = 0; p < c.out; p += tile.width) {
        const Index columns = std::min(tile.width, c.out - p), w = round_up(columns, tile.lanes);
        tile.round_lanes(c.in, columns, from.at(0, p), from.row_stride, from.column_stride,
                         words_.data() + g * group_ + p * depth_ + t * pairs(c.in) * w, w);
      }
    });
  }

  Index depth_, group_;
  Scratch<Pair16> words_;
};

/// Whether a correlation is large enough that rounding pays: see worth_rounding. Of channels one by one every
/// other product would be with a zero.
inline bool worth_rounding(const Correlation& c) {
  return c.in >= 3 && worth_rounding(GemmShape{c.n * c.h.out * c.w.out, c.out, c.taps() * c.in});
}

/// y (+)= correlation of x with rounded weights (+ bias). bias (groups * out) or null.
inline void correlate_bf16(const Correlation& c, const float* x, const RoundedWeights& weights,
                           const float* bias, float* y, bool add) {
  const auto& tile = pair_tile_table<bf16>();
  const Index pixel = pairs(c.in), columns = c.w.span(c.w.out), line = columns * pixel;
  const Index row_size = c.h.stride * line * Index{sizeof(Pair16)};
  const auto blocks = PixelBlocks::cut(c.n, c.h.out, (Index{192} << 10) / std::max<Index>(1, row_size), 16);
  const Index rows = c.h.span(blocks.rows), image = rows * line, tasks = blocks.count() * c.groups;
  const Index size = round_up(blocks.images * image + tile.lanes, 16);
  Scratch<Pair16> scratch(workers(tasks) * size);

  const bool merged = c.w.dilation == 1;  // the taps of a kernel row lie side by side
  const Index taps_w = merged ? 1 : c.w.taps, taps = c.h.taps * taps_w;
  Scratch<Index> offsets(taps);
  for (Index t = 0; t < taps; ++t)
    offsets[t] = t / taps_w * c.h.dilation * line + t % taps_w * c.w.dilation * pixel;

  parallel_blocks(tasks, [&](Index task, int worker) {
    const Index g = task % c.groups, channels = c.groups * c.in;
    const auto block = blocks[task / c.groups];
    Pair16* const window = scratch.data() + worker * size;
    const Index y0 = c.h.first + block.y * c.h.stride, block_rows = c.h.span(block.rows);
    for (Index i = 0; i < block.images; ++i)
      round_window(tile,
                   MapView<float>{x + (block.image + i) * c.h.in * c.w.in * channels + g * c.in, c.h.in,
                                  c.w.in, channels},
                   y0, block_rows, c.w.first, columns, c.in, window + i * block_rows * line);
    const Source<Pair16> source{window, block_rows * line, line, pixel};
    for (Index p = 0; p < c.out; p += tile.width) {
      const Index width = std::min(tile.width, c.out - p), tall = tile.rows(width);
      const TileEpilogue<float> epilogue{bias ? bias + g * c.out + p : nullptr, add, false};
      const Pair16* from[PairTileTable<bf16>::max_rows];
      float* to[PairTileTable<bf16>::max_rows];
      PixelWalk<float, Pair16> walk(c, block, source, y + g * c.out + p);
      for (Index left = walk.pixels(); left > 0; left -= tall) {
        const Index count = std::min(tall, left);
        walk.next(count, tall, from, to);
        tile.product(taps, offsets.data(), merged ? c.w.taps * pixel : pixel, 1, from, weights.panel(g, p),
                     count, to, width, epilogue);
      }
    }
  });
}

}  // namespace gram::cpu
