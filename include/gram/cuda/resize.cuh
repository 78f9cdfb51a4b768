// SPDX-License-Identifier: MIT
// Resampling of maps (N, H, W, C) with separable weights, which are computed where they are used, for the
// gradient once by a small kernel. A thread makes V channels of one position; windows of many positions are
// read by all rows of a block together. What must be moved: x and y, or dy and dx.
#pragma once
#include <cmath>

#include "gram/cuda/columns.cuh"
#include "gram/cuda/resize.hpp"

namespace gram::cuda {

struct MapSize {
  Index h, w;
};

/// y[o, p] = sum over rows i of row[i] (sum over columns j of column[j] x[i, j]).
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    resample_kernel(const T* x, Index items, Index C, ResampleAxis rows, ResampleAxis columns, T* y) {
  using A = accum_t<T>;
  for (Index item = first_item(); item < items; item += item_step()) {
    const MapPlace<V> at(item, rows.out, columns.out, C);
    const ResampleTap row = rows.tap(at.i), column = columns.tap(at.j);
    const A first = static_cast<A>(column.first), rest = static_cast<A>(column.rest);
    const T* p = x + ((at.n * rows.in + row.begin) * columns.in + column.begin) * C + at.c;
    A total[V] = {};
    for (Index i = 0; i < row.count; ++i, p += columns.in * C) {
      A line[V] = {};
      for (Index j = 0; j < column.count; ++j) {
        const auto in = load_pack<V>(p + j * C);
        for (int v = 0; v < V; ++v) line[v] = std::fma(wide(in.value[v]), j ? rest : first, line[v]);
      }
      for (int v = 0; v < V; ++v) total[v] = std::fma(line[v], static_cast<A>(row.weight(i)), total[v]);
    }
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) out.value[v] = narrow<T>(total[v]);
    store_pack(y + item * V, out);
  }
}
/// The same with the positions of a window dealt out to threadIdx.y.
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    resample_wide_kernel(const T* x, Index pixels, Index C, ResampleAxis rows, ResampleAxis columns, T* y) {
  using A = accum_t<T>;
  __shared__ A scratch[V * block_threads];
  const Index c = ColumnPlace<V>().channel;
  for (Index pixel = blockIdx.y; pixel < pixels; pixel += gridDim.y) {
    const MapPlace<1> at(pixel, rows.out, columns.out, 1);
    const ResampleTap row = rows.tap(at.i), column = columns.tap(at.j);
    A total[V] = {};
    if (c < C)
      for (Index k = threadIdx.y; k < row.count * column.count; k += blockDim.y) {
        const Index i = MapPlace<1>::quotient(k, column.count), j = k - i * column.count;
        const auto in =
            load_pack<V>(x + ((at.n * rows.in + row.begin + i) * columns.in + column.begin + j) * C + c);
        const A weight = static_cast<A>(row.weight(i)) * static_cast<A>(column.weight(j));
        for (int v = 0; v < V; ++v) total[v] = std::fma(wide(in.value[v]), weight, total[v]);
      }
    sum_over_block_rows(total, scratch);
    if (threadIdx.y == 0 && c < C) {
      Pack<T, V> out;
      for (int v = 0; v < V; ++v) out.value[v] = narrow<T>(total[v]);
      store_pack(y + pixel * C + c, out);
    }
    __syncthreads();
  }
}
template <int V, class T>
void resample_in_packs(Cuda device, const T* x, Index N, Index C, const ResampleAxis& rows,
                       const ResampleAxis& columns, T* y) {
  const Index pixels = N * rows.out * columns.out, items = pixels * C / V;
  if (items == 0) return;
  if (rows.widest_window() * columns.widest_window() < 32)
    return launch(device, resample_kernel<V, T>, grid_blocks(items), block_threads, 0, x, items, C, rows,
                  columns, y);
  ColumnGrid grid(1, C, V, 1);
  grid.blocks.y = static_cast<unsigned>(std::min(pixels, Index{65535}));
  launch(device, resample_wide_kernel<V, T>, grid.blocks, grid.threads, 0, x, pixels, C, rows, columns, y);
}
template <class T>
void resample(Cuda device, const T* x, Index N, Index C, const ResampleAxis& rows,
              const ResampleAxis& columns, T* y) {
  if (rows_of_packs<pack_size<T>>(C, x, y))
    resample_in_packs<pack_size<T>>(device, x, N, C, rows, columns, y);
  else
    resample_in_packs<1>(device, x, N, C, rows, columns, y);
}

/// An axis the other way round, in device memory: for each input position the first output that may read it,
/// and for each output what it reads.
template <class A>
struct AxisReaders {
  struct Tap {
    std::int32_t begin, end;
    A first, rest;
  };
  std::int32_t* first_reader;  // (in)
  Tap* taps;                   // (out)

  GRAM_DEVICE void fill(const ResampleAxis& axis) const {
    for (Index i = first_item(); i < axis.in; i += item_step())
      first_reader[i] = static_cast<std::int32_t>(axis.first_reader(i));
    for (Index o = first_item(); o < axis.out; o += item_step()) {
      const ResampleTap tap = axis.tap(o);
      taps[o] = {static_cast<std::int32_t>(tap.begin), static_cast<std::int32_t>(tap.end()),
                 static_cast<A>(tap.first), static_cast<A>(tap.rest)};
    }
  }
};
template <class A>
__global__ void fill_readers_kernel(ResampleAxis rows, ResampleAxis columns, AxisReaders<A> of_rows,
                                    AxisReaders<A> of_columns) {
  of_rows.fill(rows);
  of_columns.fill(columns);
}

/// Each input position gathers from the outputs that read it, in their order.
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    resample_grad_kernel(const T* dy, Index items, Index C, MapSize in, MapSize out,
                         AxisReaders<accum_t<T>> rows, AxisReaders<accum_t<T>> columns, GradientSink<T> dx) {
  using A = accum_t<T>;
  for (Index item = first_item(); item < items; item += item_step()) {
    const MapPlace<V> at(item, in.h, in.w, C);
    const std::int32_t first = columns.first_reader[at.j];
    A total[V] = {};
    for (std::int32_t o = rows.first_reader[at.i]; o < out.h; ++o) {
      const auto row = rows.taps[o];
      if (row.begin > at.i) break;
      const A row_weight = row.begin == at.i ? row.first : row.rest;
      for (std::int32_t p = first; p < out.w; ++p) {
        const auto column = columns.taps[p];
        if (column.begin > at.j) break;
        const auto gradient = load_pack<V>(dy + ((at.n * out.h + o) * out.w + p) * C + at.c);
        const A weight = row_weight * (column.begin == at.j ? column.first : column.rest);
        for (int v = 0; v < V; ++v) total[v] = std::fma(wide(gradient.value[v]), weight, total[v]);
      }
    }
    T* const to = dx.data + item * V;
    Pack<T, V> sum{};
    if (dx.add) sum = load_pack<V>(to);
    for (int v = 0; v < V; ++v) sum.value[v] = narrow<T>(dx.add ? wide(sum.value[v]) + total[v] : total[v]);
    store_pack(to, sum);
  }
}
template <class T>
void resample_grad(Cuda device, const T* dy, Index N, Index C, const ResampleAxis& rows,
                   const ResampleAxis& columns, GradientSink<T> dx) {
  using Readers = AxisReaders<accum_t<T>>;
  constexpr int V = pack_size<T>;
  const bool packs = rows_of_packs<V>(C, dy, dx.data);
  const Index items = N * rows.in * columns.in * C / (packs ? V : 1);
  if (items == 0) return;
  DeviceScratch<std::int32_t> firsts(device, rows.in + columns.in);
  DeviceScratch<typename Readers::Tap> taps(device, rows.out + columns.out);
  const Readers of_rows{firsts.data(), taps.data()},
      of_columns{firsts.data() + rows.in, taps.data() + rows.out};
  const Index longest = std::max(std::max(rows.in, rows.out), std::max(columns.in, columns.out));
  launch(device, fill_readers_kernel<accum_t<T>>, grid_blocks(longest, warp_size), warp_size, 0, rows,
         columns, of_rows, of_columns);
  launch(device, packs ? resample_grad_kernel<V, T> : resample_grad_kernel<1, T>, grid_blocks(items),
         block_threads, 0, dy, items, C, MapSize{rows.in, columns.in}, MapSize{rows.out, columns.out},
         of_rows, of_columns, dx);
}

template <class T>
void fill_in_resize_tables() {
  resize_table<T> = {resample<T>, resample_grad<T>};
}

}  // namespace gram::cuda
