// SPDX-License-Identifier: MIT
// Axes in another order, runs and windows: every element is read once and written once. Where the innermost
// axis stays, or is short, rows are copied with strides; otherwise tiles go through shared memory, so that
// both sides are read and written along their innermost axis.
#pragma once
#include "gram/cuda/permute.hpp"
#include "gram/cuda/strided.cuh"

namespace gram::cuda {

/// Axes outside the tiles, with distances in x (a) and in y (y), and the two axes of a tile: rows are
/// neighbours in y and row_stride apart in x, columns are neighbours in x and column_stride apart in y.
struct TransposeShape {
  kernels::BroadcastAxes outer;
  Index rows, columns, row_stride, column_stride, row_tiles, tiles, units;
};

inline constexpr int transpose_tile = 32;

template <class T>
__global__ void transpose_kernel(TransposeShape s, const T* x, T* y, bool add) {
  __shared__ T tile[transpose_tile][transpose_tile + 1];
  const int across = static_cast<int>(threadIdx.x), down = static_cast<int>(threadIdx.y),
            step = static_cast<int>(blockDim.y);
  for (Index unit = blockIdx.x; unit < s.units; unit += gridDim.x) {
    const Index part = unit % s.tiles, r = part % s.row_tiles * transpose_tile,
                c = part / s.row_tiles * transpose_tile;
    const kernels::BroadcastOffset o = s.outer.at(unit / s.tiles);
    for (int k = down; k < transpose_tile; k += step)
      if (r + k < s.rows && c + across < s.columns)
        tile[k][across] = x[o.a + (r + k) * s.row_stride + c + across];
    __syncthreads();
    for (int k = down; k < transpose_tile; k += step)
      if (c + k < s.columns && r + across < s.rows) {
        T& to = y[o.y + (c + k) * s.column_stride + r + across];
        to = add ? narrow<T>(wide(to) + wide(tile[across][k])) : tile[across][k];
      }
    __syncthreads();
  }
}

template <class T>
void permute(Cuda device, const T* x, T* y, const Shape& shape, const int* order, bool add) {
  const kernels::Permuted p(shape, order);
  if (shape.size() == 0) return;
  if (p.rank == 0) return strided_copy(device, {}, {shape.size(), 1, 1, 1}, x, y, add);
  const int last = p.rank - 1;
  int inner = 0;  // the innermost axis of x
  while (p.stride[inner] != 1) ++inner;
  Index step[Shape::max_rank];
  for (Index size = 1, k = last; k >= 0; size *= p.extent[k--]) step[k] = size;

  const bool tiles = inner != last && p.extent[last] >= 16 && p.extent[inner] >= 16;
  kernels::BroadcastAxes outer;
  for (int k = 0; k < last; ++k)
    if (!tiles || k != inner) outer.append({p.extent[k], p.stride[k], 0, step[k]});
  if (!tiles) return strided_copy(device, outer, {p.extent[last], p.stride[last], 0, 1}, x, y, add);

  const Index rows = p.extent[last], columns = p.extent[inner], row_tiles = ceil_div(rows, transpose_tile),
              each = row_tiles * ceil_div(columns, transpose_tile), units = outer.size() * each;
  const TransposeShape s{outer, rows, columns, p.stride[last], step[inner], row_tiles, each, units};
  launch(device, transpose_kernel<T>, grid_blocks(units, 1), dim3(transpose_tile, 8), 0, s, x, y, add);
}

template <class T>
void copy_runs(Cuda device, Index runs, Index length, const T* x, Index x_stride, T* y, Index y_stride,
               bool add) {
  kernels::BroadcastAxes outer;
  if (runs != 1) outer.append({runs, x_stride, 0, y_stride});
  strided_copy(device, outer, {length, 1, 0, 1}, x, y, add);
}

/// The runs of `width` channels of a map in the order of its windows: distances in the windows (a) and in the
/// map (y).
inline kernels::BroadcastAxes window_runs(const WindowShape& s) {
  const Index down = s.h / s.window.h, across = s.w / s.window.w, channels = s.channels(),
              window = s.tokens() * channels, row = s.w * s.c;
  const kernels::BroadcastAxis axes[] = {{s.n, down * across * window, 0, s.h * row},
                                         {down, across * window, 0, s.window.h * row},
                                         {across, window, 0, s.window.w * s.c},
                                         {s.window.h, s.window.w * channels, 0, row},
                                         {s.window.w, channels, 0, s.c},
                                         {s.parts, s.width, 0, s.c / s.parts}};
  kernels::BroadcastAxes runs;
  for (const kernels::BroadcastAxis& axis : axes)
    if (axis.extent != 1) runs.append(axis);
  return runs;
}
template <class T>
void cut_windows(Cuda device, const WindowShape& s, const T* map, T* windows, bool add) {
  kernels::BroadcastAxes runs = window_runs(s);
  for (int i = 0; i < runs.count(); ++i) {
    const kernels::BroadcastAxis axis = runs[i];
    runs[i] = {axis.extent, axis.y, 0, axis.a};
  }
  strided_copy(device, runs, {s.width, 1, 0, 1}, map + s.begin, windows, add);
}
template <class T>
void join_windows(Cuda device, const WindowShape& s, const T* windows, T* map, bool add) {
  strided_copy(device, window_runs(s), {s.width, 1, 0, 1}, windows, map + s.begin, add);
}

template <class T>
void fill_in_permute_tables() {
  permute_table<T> = {permute<T>, copy_runs<T>, cut_windows<T>, join_windows<T>};
}

}  // namespace gram::cuda
