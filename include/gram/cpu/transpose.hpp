// SPDX-License-Identifier: MIT
// Axes in another order. Where the innermost axis stays, runs are copied; otherwise tiles go through a small
// buffer, so that both sides are read and written in whole cache lines, whatever the strides.
#pragma once
#include <algorithm>
#include <cstring>

#include "gram/cpu/copy.hpp"
#include "gram/kernels/permute.hpp"

namespace gram::cpu {

template <class T>
void copy_run(const T* x, T* y, Index n, bool add) {
  if (add)
    copy_table<T>().accumulate(n, x, y);
  else
    std::memcpy(static_cast<void*>(y), x, static_cast<std::size_t>(n) * sizeof(T));
}

/// y (columns, rows) = x (rows, columns) transposed, at most tile x tile; strides between rows of x and of y.
inline constexpr Index transpose_tile = 32;
template <class T>
void transpose_block(Index rows, Index columns, const T* x, Index x_stride, T* y, Index y_stride, bool add) {
  T buffer[transpose_tile][transpose_tile + 1];
  for (Index r = 0; r < rows; ++r)
    for (Index c = 0; c < columns; ++c) buffer[c][r] = x[r * x_stride + c];
  for (Index c = 0; c < columns; ++c)
    if (add)
      for (Index r = 0; r < rows; ++r)
        y[c * y_stride + r] = static_cast<T>(static_cast<accum_t<T>>(y[c * y_stride + r]) +
                                             static_cast<accum_t<T>>(buffer[c][r]));
    else
      copy_run(buffer[c], y + c * y_stride, rows, false);
}

}  // namespace gram::cpu

namespace gram::kernels {

/// y = x with its axes in another order: axis k of y is axis order[k] of x. `shape` is that of x.
template <class T>
void permute(Cpu cpu, const T* x, T* y, const Shape& shape, const int* order, bool add) {
  const kernels::Permuted p(shape, order);
  if (shape.size() == 0) return;
  if (p.rank == 0 || (p.rank == 1 && p.stride[0] == 1))
    return add ? accumulate(cpu, x, y, shape.size()) : copy(cpu, x, y, shape.size());

  const int last = p.rank - 1;
  if (p.stride[last] == 1) {
    const Index length = p.extent[last];
    return parallel_for(shape.size() / length, std::max<Index>(1, grain / length),
                        [&](Index begin, Index end) {
                          for (Index i = begin; i < end; ++i)
                            cpu::copy_run(x + kernels::strided_offset(i, last, p.extent, p.stride),
                                          y + i * length, length, add);
                        });
  }

  // The innermost axis of x is axis `inner` of y: tiles over (last, inner), and all other axes outside.
  constexpr Index tile = cpu::transpose_tile;
  const int inner = static_cast<int>(std::find(p.stride, p.stride + p.rank, 1) - p.stride);
  Index extent[Shape::max_rank], x_stride[Shape::max_rank], y_stride[Shape::max_rank], inner_stride = 1;
  int outer = 0;
  for (int k = 0; k < last; ++k) {
    Index step = 1;
    for (int j = k + 1; j <= last; ++j) step *= p.extent[j];
    if (k == inner) {
      inner_stride = step;
      continue;
    }
    extent[outer] = p.extent[k];
    x_stride[outer] = p.stride[k];
    y_stride[outer++] = step;
  }
  const Index rows = p.extent[last], columns = p.extent[inner];
  const Index row_tiles = ceil_div(rows, tile), tiles = row_tiles * ceil_div(columns, tile);
  const Index units = shape.size() / (rows * columns) * tiles;
  const Index group = std::max<Index>(1, grain / (std::min(rows, tile) * std::min(columns, tile)));
  parallel_for(units, group, [&](Index begin, Index end) {
    for (Index u = begin; u < end; ++u) {
      const Index r = u % row_tiles * tile, c = u % tiles / row_tiles * tile;
      const T* from =
          x + kernels::strided_offset(u / tiles, outer, extent, x_stride) + r * p.stride[last] + c;
      T* to = y + kernels::strided_offset(u / tiles, outer, extent, y_stride) + c * inner_stride + r;
      cpu::transpose_block(std::min(tile, rows - r), std::min(tile, columns - c), from, p.stride[last], to,
                           inner_stride, add);
    }
  });
}

/// `runs` pieces of `length` elements, their starts x_stride and y_stride apart: y = x, or y += x.
template <class T>
void copy_runs(Cpu, Index runs, Index length, const T* x, Index x_stride, T* y, Index y_stride, bool add) {
  if (length == 0) return;
  const Index pieces = ceil_div(length, grain), group = std::max<Index>(1, grain / length);
  parallel_for(runs * pieces, group, [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index run = i / pieces, start = i % pieces * grain;
      cpu::copy_run(x + run * x_stride + start, y + run * y_stride + start, std::min(grain, length - start),
                    add);
    }
  });
}

}  // namespace gram::kernels
