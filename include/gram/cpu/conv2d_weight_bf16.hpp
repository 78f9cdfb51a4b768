// SPDX-License-Identifier: MIT
// The weight gradient of a convolution with operands rounded to bf16, dw[o, tap, c] = sum over pixels of
// dy[pixel, o] x[pixel + tap, c]. Pixels side by side are the pairs: a row of pixels of dy, and what a tap
// sees beside it, are rounded and interleaved pixel by pixel,
//
//     dy    | o, o + 1, ..  |    words of pixels 2 i and 2 i + 1, in strips of 48 outputs
//     x     | c, c + 1, ..  |    words of the pixels that the tap sees there: a panel of 64 channels
//
// and a panel is multiplied with all strips as soon as it is made. It is rounded once for each tap, which is
// little beside O multiplications of each word; and padding is no more than words of zeros.
#pragma once
#include "gram/cpu/conv2d_direct.hpp"

namespace gram::cpu {

/// Pixels of one slice at a time, whose rounded dy stays in the L2 cache beside a panel in the L1 cache.
inline constexpr Index weight_slice = 256;

/// How the weight gradient is cut: parts of the slices of pixels, with sums of their own, times groups times
/// cuts of the panels of all taps.
struct RoundedWeightTasks {
  Index parts, groups, panels, span, cuts;

  RoundedWeightTasks(const Conv2dShape& s, Index slices, Index panels_of_a_group)
      : groups(s.groups), panels(panels_of_a_group) {
    constexpr Index wanted = 16, partial_bytes = Index{8} << 20;
    const Index affordable = partial_bytes / (s.weight_size() * Index{sizeof(float)});
    parts = std::clamp<Index>(std::min(ceil_div(wanted, groups), affordable), 1, std::max<Index>(1, slices));
    span = ceil_div(panels, std::min(panels, ceil_div(wanted, parts * groups)));
    cuts = ceil_div(panels, span);
  }
  Index count() const { return parts * groups * cuts; }
};

/// Rounds what one tap sees beside a row of `count` output pixels: pixel i at row[(first + i stride) pitch],
/// zero where that is not in [0, in). `columns` channels to words[i / 2 * width].
inline void round_seen_pixels(const PairTileTable<bf16>& tile, const float* row, Index in, Index pitch,
                              Index first, Index stride, Index count, Index columns, Pair16* words,
                              Index width) {
  const Index begin = std::clamp<Index>(ceil_div(std::max<Index>(0, -first), stride), 0, count);
  const Index end = first >= in ? begin : std::clamp<Index>(ceil_div(in - first, stride), begin, count);
  if (begin == end) return void(std::fill_n(words, pairs(count) * width, Pair16{0}));
  std::fill_n(words, begin / 2 * width, Pair16{0});
  const auto seen = [&](Index pixel) { return row + (first + pixel * stride) * pitch; };
  Index pixel = begin;
  if (begin % 2) {  // the pair of a zero and a pixel
    float two[2][64] = {};
    std::copy_n(seen(pixel++), columns, two[1]);
    tile.round_lanes(2, columns, two[0], 64, 1, words + begin / 2 * width, width);
  }
  if (pixel < end)
    tile.round_lanes(end - pixel, columns, seen(pixel), stride * pitch, 1, words + pixel / 2 * width, width);
  std::fill_n(words + pairs(end) * width, (pairs(count) - pairs(end)) * width, Pair16{0});
}

/// dw (+)= the weight gradient.
inline void correlate_pixels_rounded(const Conv2dShape& s, const float* x, const float* dy, float* dw,
                                     bool add) {
  const auto& tile = pair_tile_table<bf16>();
  const Correlation c = forward_correlation(s);
  const Index line = pairs(c.w.out), panels_of_a_tap = ceil_div(c.in, tile.width);
  const auto slices = PixelBlocks::cut(s.n, c.h.out, ceil_div(weight_slice, c.w.out), 1);
  if (slices.count() == 0) {
    if (!add) std::fill_n(dw, s.weight_size(), 0.0F);
    return;
  }
  const RoundedWeightTasks tasks(s, slices.count(), s.taps() * panels_of_a_tap);
  const Index most = slices.images * slices.rows * line;
  const Index strips_size = most * round_up(c.out, bf16_strip), size = strips_size + most * tile.width;
  const bool direct = tasks.parts == 1;
  Scratch<float> partial(direct ? 0 : tasks.parts * s.weight_size());
  Scratch<Pair16> scratch(workers(tasks.count()) * size);

  parallel_blocks(tasks.count(), [&](Index task, int worker) {
    const Index cut = task % tasks.cuts, g = task / tasks.cuts % s.groups,
                part = task / (tasks.cuts * s.groups);
    const Index row_size = s.taps() * c.in;  // of dw: all taps of one output
    float* const sum = (direct ? dw : partial.data() + part * s.weight_size()) + g * c.out * row_size;
    const Index first_panel = cut * tasks.span, last_panel = std::min(tasks.panels, first_panel + tasks.span);
    const Index begin = part * slices.count() / tasks.parts, end = (part + 1) * slices.count() / tasks.parts;
    Pair16* const strips = scratch.data() + worker * size;
    Pair16* const panel = strips + strips_size;
    for (Index b = begin; b < end; ++b) {
      const auto block = slices[b];
      const Index rows = block.images * block.rows, depth = rows * line;
      const float* const gradient = dy + (block.image * c.h.out + block.y) * c.w.out * s.o + g * c.out;
      for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < c.out; i += bf16_strip)
          tile.round_lanes(c.w.out, std::min(bf16_strip, c.out - i), gradient + r * c.w.out * s.o + i, s.o, 1,
                           strips + i * depth + r * line * bf16_strip, bf16_strip);
      for (Index p = first_panel; p < last_panel; ++p) {
        const Index tap = p / panels_of_a_tap, channel = p % panels_of_a_tap * tile.width;
        const Index columns = std::min(tile.width, c.in - channel), width = round_up(columns, tile.lanes);
        for (Index r = 0; r < rows; ++r) {
          const Index image = block.image + r / block.rows,
                      y = c.h.first + (block.y + r % block.rows) * c.h.stride + tap / s.kw * s.dilation.h;
          const bool inside = y >= 0 && y < s.h;
          round_seen_pixels(tile, x + ((image * s.h + (inside ? y : 0)) * s.w) * s.c + g * c.in + channel,
                            inside ? s.w : 0, s.c, c.w.first + tap % s.kw * s.dilation.w, c.w.stride, c.w.out,
                            columns, panel + r * line * width, width);
        }
        const TileEpilogue<float> epilogue{.add = b > begin || (direct && add)};
        for (Index i = 0; i < c.out; i += bf16_strip)
          multiply_pair_panel(tile, std::min(bf16_strip, c.out - i), columns, depth,
                              {strips + i * depth, 1, bf16_strip}, panel, NothingAhead{},
                              sum + i * row_size + tap * c.in + channel, row_size, epilogue);
      }
    }
  });
  if (direct) return;
  parallel_for(s.weight_size(), 4096, [&](Index begin, Index end) {
    tile_table<float>().reduce(tasks.parts, partial.data() + begin, s.weight_size(), dw + begin, end - begin,
                               {.add = add});
  });
}

}  // namespace gram::cpu
