// SPDX-License-Identifier: MIT
// The weight gradient of a convolution, dw[o, tap, c] = sum over pixels of dy[pixel, o] x[pixel + tap, c]: a
// product over pixels of dy and the map that a kernel tap sees, which is the padded copy of x from another
// start. Nothing is unfolded.
//
// The pixels are cut into parts, each part sums into weights of its own, and the parts are added in order.
#pragma once
#include "gram/cpu/conv2d_direct.hpp"

namespace gram::cpu {

/// A cut of the work that depends on the shape alone: parts of the pixels times groups times ranges of
/// outputs of a group.
struct WeightTasks {
  Index parts, groups, cuts, outputs;

  static WeightTasks cut(const Conv2dShape& s, Index slices, Index element) {
    constexpr Index wanted = 16, partial_bytes = Index{8} << 20, strip = PixelProduct<float>::strip;
    const Index affordable = std::max<Index>(1, partial_bytes / (s.weight_size() * element));
    const Index parts =
        std::clamp<Index>(std::min(ceil_div(wanted, s.groups), affordable), 1, std::max<Index>(1, slices));
    const Index cuts = std::min(ceil_div(wanted, parts * s.groups), ceil_div(s.group_out(), strip));
    const Index outputs = round_up(ceil_div(s.group_out(), cuts), strip);
    return {parts, s.groups, ceil_div(s.group_out(), outputs), outputs};
  }
  Index count() const { return parts * groups * cuts; }
};

/// dw (+)= the weight gradient. T is float or double.
template <class T>
void correlate_pixels(const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  constexpr Index strip = PixelProduct<T>::strip, slice_pixels = 256;
  const auto& table = conv2d_table<T>();
  const Correlation c = forward_correlation(s);
  const bool whole_rows = c.w.dilation == 1;  // in a copy, the taps of a kernel row lie side by side
  const bool in_place = c.inside() && (!whole_rows || s.groups == 1 || s.kw == 1) &&
                        ((whole_rows ? s.kw : 1) * c.in % table.lanes == 0 ||
                         (whole_rows ? s.kw : 1) * c.in >= table.tile_width);
  const SourceWindow<T> window{c, in_place};
  const Index taps_w = whole_rows ? 1 : s.kw, n = whole_rows ? s.kw * c.in : c.in;

  const auto slices = PixelBlocks::cut(s.n, c.h.out, ceil_div(slice_pixels, c.w.out), 1);
  const auto tasks = WeightTasks::cut(s, slices.count(), sizeof(T));
  const Index window_size = round_up(window.size(slices) + (in_place ? 0 : table.tile_width), 16);
  const Index slice_rows = slices.images * slices.rows, slice = slice_rows * c.w.out;
  const Index strips_size = slice * tasks.outputs;
  const bool direct = tasks.parts == 1;
  Scratch<T> partial(direct ? 0 : tasks.parts * s.weight_size());
  Scratch<T> scratch(workers(tasks.count()) * (window_size + strips_size));
  Scratch<Index> row_starts(workers(tasks.count()) * slice_rows);

  parallel_blocks(tasks.count(), [&](Index task, int worker) {
    const Index cut = task % tasks.cuts, g = task / tasks.cuts % s.groups,
                part = task / (tasks.cuts * s.groups);
    const Index o = cut * tasks.outputs, m = std::min(tasks.outputs, c.out - o);
    const Index row_size = s.taps() * c.in;  // of dw: all taps of one output
    T* const sum = (direct ? dw : partial.data() + part * s.weight_size()) + (g * c.out + o) * row_size;
    const Index begin = part * slices.count() / tasks.parts, end = (part + 1) * slices.count() / tasks.parts;
    bool fresh = !(direct && add);
    if (begin == end && fresh) std::fill_n(sum, m * row_size, T(0));

    T* const copy = scratch.data() + worker * (window_size + strips_size);
    T* const strips = copy + window_size;
    Index* const rows = row_starts.data() + worker * slice_rows;
    for (Index b = begin; b < end; ++b, fresh = false) {
      const auto block = slices[b];
      const Source<T> source = window(x, block, g, copy);
      const Index count = block.images * block.rows, pixels = count * c.w.out;
      for (Index r = 0; r < count; ++r)
        rows[r] = r / block.rows * source.image + r % block.rows * c.h.stride * source.row;
      const T* from = dy + (block.image * c.h.out + block.y) * c.w.out * s.o + g * c.out + o;
      for (Index i = 0; i < m; i += strip)
        table.gather(pixels, std::min(strip, m - i), from + i, s.o, strip, strips + i * pixels, strip);
      for (Index t = 0; t < s.kh * taps_w; ++t) {
        const Index offset =
            t / taps_w * s.dilation.h * source.row + t % taps_w * s.dilation.w * source.pixel;
        const PixelProduct<T> product{
            count, c.w.out, strips, source.x + offset, rows, s.stride.w * source.pixel};
        table.pixel_product(product, m, n, sum + t * n, row_size, !fresh);
      }
    }
  });
  if (direct) return;
  const auto& tile = tile_table<T>();
  parallel_for(s.weight_size(), 4096, [&](Index begin, Index end) {
    tile.reduce(tasks.parts, partial.data() + begin, s.weight_size(), dw + begin, end - begin, {.add = add});
  });
}

}  // namespace gram::cpu
