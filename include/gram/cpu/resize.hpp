// SPDX-License-Identifier: MIT
// Resampling of maps (N, H, W, C) with separable weights. Bilinear and nearest resizing and all average pools
// are of this kind: y[o, p] = sum a[o, i] b[p, j] x[i, j] over a window of rows i and a window of columns j.
// The gradient is the same kernel with transposed weights: each input position gathers from the outputs that
// read it, in a fixed order.
#pragma once
#include <algorithm>

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
  explicit AxisTaps(const ResampleAxis& axis) : AxisTaps(axis.in, axis.out, axis.widest_window()) {
    for (Index o = 0; o < out; ++o) {
      const ResampleTap tap = axis.tap(o);
      begin_[o] = tap.begin, count_[o] = tap.count;
      for (Index k = 0; k < tap.count; ++k) weight_[o * width_ + k] = static_cast<A>(tap.weight(k));
    }
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

  Index width_;
  Scratch<Index> windows_;
  Scratch<A> weights_;
  Index *begin_ = windows_.data(), *count_ = begin_ + out;
  A* weight_ = weights_.data();
};

template <class T>
struct ResizeTable {
  using A = accum_t<T>;
  void (*row)(const T* x, Index x_step, Index C, const AxisTaps<A>& rows, Index out_row,
              const AxisTaps<A>& columns, T* y, Index y_step, bool add);
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

/// x (N, rows.in, columns.in, C) -> y (N, rows.out, columns.out, C), one row of y at a time. Pixels of x lie
/// x_step elements apart, those of y y_step.
template <class T>
void resample(const T* x, Index x_step, Index N, Index C, const AxisTaps<accum_t<T>>& rows,
              const AxisTaps<accum_t<T>>& columns, T* y, Index y_step, bool add) {
  const auto& table = resize_table<T>();
  const Index image = rows.in * columns.in * x_step, row = columns.out * y_step;
  const Index work = std::max<Index>(
      1, std::max(rows.in * columns.in, rows.out * columns.out) * C / std::max<Index>(1, rows.out));
  parallel_for(N * rows.out, std::max<Index>(1, (Index{1} << 15) / work), [&](Index begin, Index end) {
    for (Index r = begin; r < end; ++r)
      table.row(x + r / rows.out * image, x_step, C, rows, r % rows.out, columns, y + r * row, y_step, add);
  });
}

}  // namespace gram::cpu

namespace gram::kernels {

/// x (N, rows.in, columns.in, C) -> y (N, rows.out, columns.out, C), whose pixels lie y_step elements apart:
/// some channels of a wider map.
template <class T>
void resample_into(Cpu, const T* x, Index N, Index C, const ResampleAxis& rows, const ResampleAxis& columns,
                   T* y, Index y_step) {
  using Taps = cpu::AxisTaps<accum_t<T>>;
  cpu::resample(x, C, N, C, Taps(rows), Taps(columns), y, y_step, false);
}
template <class T>
void resample_into_grad(Cpu, const T* dy, Index dy_step, Index N, Index C, const ResampleAxis& rows,
                        const ResampleAxis& columns, GradientSink<T> dx) {
  using Taps = cpu::AxisTaps<accum_t<T>>;
  cpu::resample(dy, dy_step, N, C, Taps::transposed(rows), Taps::transposed(columns), dx.data, C, dx.add);
}

/// x (N, rows.in, columns.in, C) -> y (N, rows.out, columns.out, C)
template <class T>
void resample(Cpu device, const T* x, Index N, Index C, const ResampleAxis& rows, const ResampleAxis& columns,
              T* y) {
  resample_into(device, x, N, C, rows, columns, y, C);
}
template <class T>
void resample_grad(Cpu device, const T* dy, Index N, Index C, const ResampleAxis& rows,
                   const ResampleAxis& columns, GradientSink<T> dx) {
  resample_into_grad(device, dy, C, N, C, rows, columns, dx);
}

}  // namespace gram::kernels
