// SPDX-License-Identifier: MIT
// Resampling of maps (N, H, W, C) with separable weights. Bilinear and nearest resizing and all average pools
// are of this kind: y[o, p] = sum a[o, i] b[p, j] x[i, j] over a window of rows i and a window of columns j.
// The gradient is the same kernel with transposed weights: each input position gathers from the outputs that
// read it, in a fixed order.
#pragma once
#include <algorithm>
#include <cmath>

#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/simd.hpp"
#include "gram/kernels/resize.hpp"

namespace gram {
namespace cpu {

/// The window of one output position.
template <class A>
struct AxisTap {
  Index begin, count;
  const A* weight;
};

/// The windows and weights of all output positions of an axis.
template <class A>
class AxisTaps {
 public:
  explicit AxisTaps(const ResampleAxis& axis) : AxisTaps(axis.in, axis.out, widest_window(axis)) {
    for (Index o = 0; o < out; ++o) set(axis, o);
  }
  /// The windows of the gradient: input position i gathers from every o whose window holds i.
  static AxisTaps transposed(const ResampleAxis& axis) {
    const AxisTaps taps(axis);
    Scratch<Index> uses(taps.in);
    std::fill_n(uses.data(), taps.in, Index{0});
    Index widest = 0;
    for (Index o = 0; o < taps.out; ++o)
      for (Index k = 0; k < taps.count_[o]; ++k) widest = std::max(widest, ++uses[taps.begin_[o] + k]);
    return AxisTaps(taps, widest);
  }

  AxisTap<A> tap(Index o) const { return {begin_[o], count_[o], weight_ + o * width_}; }

  const Index in, out;

 private:
  /// Room for windows of at most `width` positions, all empty.
  AxisTaps(Index in_size, Index out_size, Index width)
      : in(in_size), out(out_size), width_(width), windows_(2 * out), weights_(out * width) {
    std::fill_n(begin_, 2 * out, Index{0});
  }
  AxisTaps(const AxisTaps& taps, Index width) : AxisTaps(taps.out, taps.in, width) {
    for (Index o = 0; o < taps.out; ++o)
      for (Index k = 0; k < taps.count_[o]; ++k) {
        const Index i = taps.begin_[o] + k;
        if (count_[i] == 0) begin_[i] = o;
        weight_[i * width_ + count_[i]++] = taps.weight_[o * taps.width_ + k];
      }
  }

  static Index widest_window(const ResampleAxis& axis) {
    using enum ResampleAxis::Kind;
    switch (axis.kind) {
      case window:
      case window_with_pad:
        return axis.kernel;
      case adaptive:
        return ceil_div(axis.in, axis.out) + 1;
      case nearest:
        return 1;
      default:
        return 2;
    }
  }
  void set(const ResampleAxis& axis, Index o) {
    using enum ResampleAxis::Kind;
    switch (axis.kind) {
      case window:
      case window_with_pad: {
        const Index first = o * axis.stride - axis.padding,
                    end = std::min(first + axis.kernel, in + axis.padding);
        const Index inside = std::min(end, in) - std::max<Index>(first, 0);
        return mean(o, std::max<Index>(first, 0), inside, axis.kind == window ? inside : end - first);
      }
      case adaptive: {
        const Index first = o * in / out, end = ceil_div((o + 1) * in, out);
        return mean(o, first, end - first, end - first);
      }
      case nearest: {  // the scale in float and this order of operations, to choose the same position as
                       // PyTorch
        const float scale = static_cast<float>(in) / static_cast<float>(out);
        return mean(o, std::min(in - 1, static_cast<Index>(static_cast<float>(o) * scale)), 1, 1);
      }
      case bilinear:
        return between(o, std::max(0.0, (static_cast<double>(o) + 0.5) * static_cast<double>(in) /
                                                static_cast<double>(out) -
                                            0.5));
      case align_corners:
        return between(o, out > 1 ? static_cast<double>(o * (in - 1)) / static_cast<double>(out - 1) : 0.0);
    }
  }
  void mean(Index o, Index first, Index n, Index divisor) {
    begin_[o] = first, count_[o] = n;
    std::fill_n(weight_ + o * width_, n, static_cast<A>(1.0 / static_cast<double>(divisor)));
  }
  void between(Index o, double position) {
    const Index first = std::min(in - 1, static_cast<Index>(position));
    const double share = position - static_cast<double>(first);
    begin_[o] = first, count_[o] = first + 1 < in ? 2 : 1;
    A* const w = weight_ + o * width_;
    w[0] = static_cast<A>(count_[o] == 2 ? 1 - share : 1.0);
    if (count_[o] == 2) w[1] = static_cast<A>(share);
  }

  Index width_;
  Scratch<Index> windows_;
  Scratch<A> weights_;
  Index *begin_ = windows_.data(), *count_ = begin_ + out;
  A* weight_ = weights_.data();
};

template <class T>
struct ResizeTable {
  using A = accum_t<T>;
  void (*row)(const T* x, Index C, const AxisTaps<A>& rows, Index out_row, const AxisTaps<A>& columns, T* y,
              bool add);
};
template <class T>
const ResizeTable<T>& resize_table();

}  // namespace cpu
}  // namespace gram

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/resize.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::ResizeTable<T>& gram::cpu::resize_table() {
  return GRAM_SELECT(resize_kernels<T>);
}
#endif

namespace gram::cpu {

/// x (N, rows.in, columns.in, C) -> y (N, rows.out, columns.out, C), one row of y at a time.
template <class T>
void resample(const T* x, Index N, Index C, const AxisTaps<accum_t<T>>& rows,
              const AxisTaps<accum_t<T>>& columns, T* y, bool add) {
  const auto& table = resize_table<T>();
  const Index image = rows.in * columns.in * C, row = columns.out * C;
  const Index work =
      std::max<Index>(1, std::max(image * N, row * rows.out * N) / std::max<Index>(1, N * rows.out));
  parallel_for(N * rows.out, std::max<Index>(1, (Index{1} << 15) / work), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r)
      table.row(x + r / rows.out * image, C, rows, r % rows.out, columns, y + r * row, add);
  });
}

}  // namespace gram::cpu

namespace gram::kernels {

/// x (N, rows.in, columns.in, C) -> y (N, rows.out, columns.out, C)
template <class T>
void resample(Cpu, const T* x, Index N, Index C, const ResampleAxis& rows, const ResampleAxis& columns,
              T* y) {
  cpu::resample(x, N, C, cpu::AxisTaps<accum_t<T>>(rows), cpu::AxisTaps<accum_t<T>>(columns), y, false);
}
template <class T>
void resample_grad(Cpu, const T* dy, Index N, Index C, const ResampleAxis& rows, const ResampleAxis& columns,
                   GradientSink<T> dx) {
  using Taps = cpu::AxisTaps<accum_t<T>>;
  cpu::resample(dy, N, C, Taps::transposed(rows), Taps::transposed(columns), dx.data, dx.add);
}

}  // namespace gram::kernels
