// SPDX-License-Identifier: MIT
// Depthwise convolution: every channel has a kernel of its own. Vectors run over channels. One vector of
// channels of the padded rows is copied to scratch, (row, column, lane): rows C elements apart would fall
// into the same sets of the cache.
//
// A value serves few multiplications (9 for a 3x3 kernel), so memory sets the pace: x is read, y is read by
// the processor and written. A task takes all vectors of some rows, one after the other, and fetches the next
// one's values while it computes.
#pragma once
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/conv2d_direct.hpp"

namespace gram::cpu {

/// Rows of one vector of channels, as the depthwise kernels see them.
template <class T>
struct DepthwiseRows {
  Index rows, width;     ///< output pixels
  const T* x;            ///< copy (input row, input column, lanes)
  Index x_row, x_step;   ///< between the inputs of neighbouring output rows and pixels
  Index taps, taps_w;    ///< of the kernel, and of a kernel row
  Index tap_step;        ///< between the taps of a kernel row
  const Index* offsets;  ///< of the taps, in x
  const T* ahead;        ///< what is needed next, for the outputs one by one: brought to the L2 cache
  Index ahead_row, ahead_step;
};

template <class T>
struct DepthwiseTable {
  Index lanes;
  Index overrun;  ///< output pixels that `correlate` may compute beyond the end of a row

  /// y[row y_row + pixel y_step + c] = epilogue(sum over taps of x(row, pixel, tap, c) weight[tap lanes +
  /// c]), c < n. bias has a whole vector.
  void (*correlate)(const DepthwiseRows<T>& s, const T* weight, T* y, Index y_row, Index y_step, Index n,
                    const TileEpilogue<T>& epilogue);
  /// sum[tap lanes + c] += sum over rows and pixels of x(row, pixel, tap, c) dy[(row width + pixel) lanes +
  /// c].
  void (*weight_sums)(const DepthwiseRows<T>& s, const T* dy, T* sum);
};
template <class T>
const DepthwiseTable<T>& depthwise_table();

/// True when every group has one input channel and one output channel.
inline bool is_depthwise(const Conv2dShape& s) { return s.groups == s.c && s.groups == s.o; }

/// The taps of a correlation as offsets in a copy of (row, column, lanes).
template <class T>
struct DepthwiseWindow {
  DepthwiseWindow(const Correlation& correlation, Index lanes, Index overrun)
      : c(correlation),
        columns(c.w.span(round_up(c.w.out, std::max<Index>(1, overrun)))),
        line(columns * lanes),
        offsets(c.taps()) {
    for (Index t = 0; t < c.taps(); ++t)
      offsets[t] = t / c.w.taps * c.h.dilation * line + t % c.w.taps * c.w.dilation * lanes;
  }
  Index size(Index rows) const { return c.taps() ? c.h.span(rows) * line : 0; }
  /// Output rows whose inputs fill about so many bytes.
  Index rows(Index bytes) const {
    return std::clamp<Index>(bytes / std::max<Index>(1, c.h.stride * line * static_cast<Index>(sizeof(T))), 1,
                             c.h.out);
  }
  /// The rows of outputs y .. y + rows - 1 of one image, n channels from x on. `ahead` is the distance from
  /// there to what is copied next.
  DepthwiseRows<T> copy(const T* x, Index y, Index rows, Index n, Index lanes, Index ahead, T* to) {
    if (c.taps())
      copy_window(conv2d_table<T>(), MapView<T>{x, c.h.in, c.w.in, c.groups}, c.h.first + y * c.h.stride,
                  c.h.span(rows), c.w.first, columns, n, to, lanes);
    return {rows,
            c.w.out,
            to,
            c.h.stride * line,
            c.w.stride * lanes,
            c.taps(),
            c.w.taps,
            c.w.dilation * lanes,
            offsets.data(),
            x + y * c.h.stride * c.w.in * c.groups + ahead,
            c.h.stride * c.w.in * c.groups,
            c.w.stride * c.groups};
  }

  const Correlation& c;
  Index columns, line;
  Scratch<Index> offsets;
};

/// y = epilogue(depthwise correlation of x with weight (C, Kh, Kw)).
template <class T>
void depthwise_correlate(const Conv2dShape& s, const Correlation& c, const T* x, const T* weight,
                         const TileEpilogue<T>& epilogue, T* y) {
  const auto& table = depthwise_table<T>();
  const Index lanes = table.lanes, vectors = ceil_div(s.c, lanes), taps = c.taps();
  Scratch<T> kernel(vectors * (taps + 1) * lanes);  // (vector, taps and bias, lane)
  parallel_blocks(vectors, [&](Index v, int) {
    T* to = kernel.data() + v * (taps + 1) * lanes;
    for (Index t = 0; t <= taps; ++t) {
      const Index tap = t < taps ? (c.h.w_first + t / c.w.taps * c.h.w_step) * s.kw + c.w.w_first +
                                       t % c.w.taps * c.w.w_step
                                 : 0;
      for (Index l = 0; l < lanes; ++l, ++to) {
        const Index channel = std::min(v * lanes + l, s.c - 1);
        *to = t < taps ? weight[channel * s.taps() + tap] : epilogue.bias ? epilogue.bias[channel] : T(0);
      }
    }
  });

  DepthwiseWindow<T> window(c, lanes, table.overrun);
  const Index rows = window.rows(Index{128} << 10), cuts = ceil_div(c.h.out, rows), size = window.size(rows);
  const Index pieces = c.n * cuts, each = ceil_div(vectors, ceil_div(16, std::max<Index>(1, pieces)));
  const Index spans = ceil_div(vectors, each), tasks = pieces * spans;
  const Index next_rows = rows * c.h.stride * c.w.in * s.c;
  Scratch<T> scratch(workers(tasks) * size);
  parallel_blocks(tasks, [&](Index task, int worker) {
    const Index span = task % spans * each, first = task / spans % cuts * rows, image = task / (spans * cuts);
    const Index count = std::min(rows, c.h.out - first), last = std::min(vectors, span + each) - 1;
    for (Index v = span; v <= last; ++v) {
      const Index n = std::min(lanes, s.c - v * lanes);
      const auto source =
          window.copy(x + image * c.h.in * c.w.in * s.c + v * lanes, first, count, n, lanes,
                      v < last ? lanes : next_rows - (last - span) * lanes, scratch.data() + worker * size);
      const T* const taps_and_bias = kernel.data() + v * (taps + 1) * lanes;
      T* const to =
          y + ((image * c.y_h + c.h.y_first + first * c.h.y_step) * c.y_w + c.w.y_first) * s.c + v * lanes;
      table.correlate(source, taps_and_bias, to, c.h.y_step * c.y_w * s.c, c.w.y_step * s.c, n,
                      {taps_and_bias + taps * lanes, epilogue.add, epilogue.relu, epilogue.residual, y});
    }
  });
}

/// dw (C, Kh, Kw) (+)= the weight gradient: blocks of rows in parts that depend on the shape alone, added in
/// order. Of many channels a task takes a few vectors only, or the parts would be more memory than the maps.
template <class T>
void depthwise_weight(const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  const auto& table = depthwise_table<T>();
  const Correlation c = forward_correlation(s);
  const Index lanes = table.lanes, vectors = ceil_div(s.c, lanes), taps = s.taps(),
              sums = vectors * taps * lanes;

  DepthwiseWindow<T> window(c, lanes, 1);
  const Index rows = window.rows(Index{64} << 10), size = window.size(rows), map = rows * c.w.out * lanes;
  const Index cuts = ceil_div(c.h.out, rows), pieces = s.n * cuts,
              each = ceil_div(vectors, std::max<Index>(1, vectors / 6));
  const Index spans = ceil_div(vectors, each), parts = std::clamp<Index>(pieces, 1, ceil_div(16, spans));
  Scratch<T> partial((parts + 1) * sums);
  Scratch<T> scratch(workers(parts * spans) * (size + map));
  parallel_blocks(parts * spans, [&](Index task, int worker) {
    const Index part = task / spans, begin = task % spans * each, end = std::min(vectors, begin + each);
    T* const copy = scratch.data() + worker * (size + map);
    T* const gradient = copy + size;
    T* const sum = partial.data() + part * sums;
    std::fill(sum + begin * taps * lanes, sum + end * taps * lanes, T(0));
    for (Index piece = part * pieces / parts; piece < (part + 1) * pieces / parts; ++piece) {
      const Index image = piece / cuts, y = piece % cuts * rows, count = std::min(rows, c.h.out - y);
      for (Index v = begin; v < end; ++v) {
        const Index n = std::min(lanes, s.c - v * lanes);
        const auto source =
            window.copy(x + image * s.h * s.w * s.c + v * lanes, y, count, n, lanes, lanes, copy);
        conv2d_table<T>().gather(count * c.w.out, n, dy + (image * c.h.out + y) * c.w.out * s.c + v * lanes,
                                 s.c, lanes, gradient, lanes);
        table.weight_sums(source, gradient, sum + v * taps * lanes);
      }
    }
  });
  parallel_blocks(vectors, [&](Index v, int) {
    T* const total = partial.data() + parts * sums + v * taps * lanes;
    tile_table<T>().reduce(parts, partial.data() + v * taps * lanes, sums, total, taps * lanes, {});
    for (Index channel = v * lanes; channel < std::min(s.c, (v + 1) * lanes); ++channel)
      for (Index t = 0; t < taps; ++t) {
        T& to = dw[channel * taps + t];
        const T sum = total[t * lanes + channel % lanes];
        to = add ? to + sum : sum;
      }
  });
}

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/depthwise.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::DepthwiseTable<T>& gram::cpu::depthwise_table() {
  return GRAM_SELECT(depthwise_kernels<T>);
}
#endif
