// SPDX-License-Identifier: MIT
// Depthwise convolution: every channel has a kernel of its own. Vectors run over channels. A task copies one
// vector of channels of the padded rows to scratch, (row, column, lane): rows C elements apart would fall
// into the same sets of the cache.
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
  /// The rows of outputs y .. y + rows - 1 of one image, n channels from x on.
  DepthwiseRows<T> copy(const T* x, Index y, Index rows, Index n, Index lanes, T* to) {
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
            offsets.data()};
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
  for (Index v = 0; v < vectors; ++v)
    for (Index t = 0; t <= taps; ++t)
      for (Index l = 0; l < lanes; ++l) {
        const Index channel = std::min(v * lanes + l, s.c - 1);
        const Index tap = t < taps ? (c.h.w_first + t / c.w.taps * c.h.w_step) * s.kw + c.w.w_first +
                                         t % c.w.taps * c.w.w_step
                                   : 0;
        kernel[(v * (taps + 1) + t) * lanes + l] = t < taps        ? weight[channel * s.taps() + tap]
                                                   : epilogue.bias ? epilogue.bias[channel]
                                                                   : T(0);
      }

  DepthwiseWindow<T> window(c, lanes, table.overrun);
  const Index rows = window.rows(Index{128} << 10), cuts = ceil_div(c.h.out, rows), size = window.size(rows);
  const Index tasks = c.n * cuts * vectors;
  Scratch<T> scratch(workers(tasks) * size);
  parallel_blocks(tasks, [&](Index task, int worker) {
    const Index v = task % vectors, first = task / vectors % cuts * rows, image = task / (vectors * cuts);
    const Index n = std::min(lanes, s.c - v * lanes);
    const auto source =
        window.copy(x + image * c.h.in * c.w.in * s.c + v * lanes, first, std::min(rows, c.h.out - first), n,
                    lanes, scratch.data() + worker * size);
    const T* const taps_and_bias = kernel.data() + v * (taps + 1) * lanes;
    T* const to =
        y + ((image * c.y_h + c.h.y_first + first * c.h.y_step) * c.y_w + c.w.y_first) * s.c + v * lanes;
    table.correlate(source, taps_and_bias, to, c.h.y_step * c.y_w * s.c, c.w.y_step * s.c, n,
                    {taps_and_bias + taps * lanes, epilogue.add, epilogue.relu, epilogue.residual, y});
  });
}

/// dw (C, Kh, Kw) (+)= the weight gradient: images in parts that depend on the shape alone, added in order.
template <class T>
void depthwise_weight(const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  const auto& table = depthwise_table<T>();
  const Correlation c = forward_correlation(s);
  const Index lanes = table.lanes, vectors = ceil_div(s.c, lanes), taps = s.taps(),
              sums = vectors * taps * lanes;
  const Index parts = std::clamp<Index>(ceil_div(16, vectors), 1, std::max<Index>(1, s.n)),
              tasks = parts * vectors;

  DepthwiseWindow<T> window(c, lanes, 1);
  const Index rows = window.rows(Index{64} << 10), size = window.size(rows), map = rows * c.w.out * lanes;
  Scratch<T> partial(parts * sums);
  Scratch<T> scratch(workers(tasks) * (size + map));
  parallel_blocks(tasks, [&](Index task, int worker) {
    const Index v = task % vectors, part = task / vectors, n = std::min(lanes, s.c - v * lanes);
    T* const sum = partial.data() + part * sums + v * taps * lanes;
    T* const copy = scratch.data() + worker * (size + map);
    T* const gradient = copy + size;
    std::fill_n(sum, taps * lanes, T(0));
    for (Index image = part * s.n / parts; image < (part + 1) * s.n / parts; ++image)
      for (Index y = 0; y < c.h.out; y += rows) {
        const Index count = std::min(rows, c.h.out - y);
        const auto source = window.copy(x + image * s.h * s.w * s.c + v * lanes, y, count, n, lanes, copy);
        conv2d_table<T>().gather(count * c.w.out, n, dy + (image * c.h.out + y) * c.w.out * s.c + v * lanes,
                                 s.c, lanes, gradient, lanes);
        table.weight_sums(source, gradient, sum);
      }
  });
  parallel_blocks(vectors, [&](Index v, int) {
    for (Index channel = v * lanes; channel < std::min(s.c, (v + 1) * lanes); ++channel)
      for (Index t = 0; t < taps; ++t) {
        T sum = 0;
        for (Index part = 0; part < parts; ++part)
          sum += partial[part * sums + (v * taps + t) * lanes + channel % lanes];
        T& to = dw[channel * taps + t];
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
