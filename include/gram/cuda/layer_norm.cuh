// SPDX-License-Identifier: MIT
// Layer normalisation of the rows of x (rows, C). A row is read from memory once and stays in the registers
// of a warp, or of a part of one; rows that are too wide or oddly laid out are read again from the L1 cache.
// What must be moved: x and y; in the gradient x, dy and dx.
#pragma once
#include <cmath>

#include "gram/cuda/columns.cuh"
#include "gram/cuda/layer_norm.hpp"

namespace gram::cuda {

/// Sum over groups of `Lanes` neighbouring lanes; all lanes of the warp must take part.
template <int Lanes, class A>
GRAM_DEVICE A lanes_sum(A value) {
  for (int distance = Lanes / 2; distance; distance /= 2)
    value += __shfl_xor_sync(0xffffffffU, value, distance);
  return value;
}

/// A row as `Packs` packs of each of `Lanes` lanes, zeros behind its end.
template <int Lanes, int Packs, class T>
struct LayerNormRow {
  static constexpr int V = pack_size<T>;
  Pack<T, V> pack[Packs];

  GRAM_DEVICE static int column(int k, int lane) { return (k * Lanes + lane) * V; }
  GRAM_DEVICE void load(const T* row, int C, int lane) {
    for (int k = 0; k < Packs; ++k) {
      pack[k] = {};
      if (row && column(k, lane) < C) pack[k] = load_pack<V>(row + column(k, lane));
    }
  }
  GRAM_DEVICE accum_t<T> operator()(int k, int v) const { return wide(pack[k].value[v]); }
};

/// y = (x - mean) rstd weight + bias; mean and rstd (rows) are kept for the gradient.
template <int Lanes, int Packs, class T>
__global__ void __launch_bounds__(block_threads)
    layer_norm_kernel(const T* x, Index rows, int C, const accum_t<T>* weight, const accum_t<T>* bias,
                      accum_t<T> epsilon, T* y, accum_t<T>* mean, accum_t<T>* rstd) {
  using A = accum_t<T>;
  constexpr int V = pack_size<T>, block_rows = block_threads / Lanes;
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  const Index row = static_cast<Index>(blockIdx.x) * block_rows + threadIdx.x / Lanes;
  const bool live = row < rows;
  LayerNormRow<Lanes, Packs, T> in;
  in.load(live ? x + row * C : nullptr, C, lane);
  A total = 0, squares = 0;
  for (int k = 0; k < Packs; ++k)
    for (int v = 0; v < V; ++v) total += in(k, v);
  const A m = lanes_sum<Lanes>(total) / static_cast<A>(C);
  for (int k = 0; k < Packs; ++k)
    if (in.column(k, lane) < C)
      for (int v = 0; v < V; ++v) squares += (in(k, v) - m) * (in(k, v) - m);
  const A s = 1 / std::sqrt(lanes_sum<Lanes>(squares) / static_cast<A>(C) + epsilon);
  if (!live) return;
  if (lane == 0) mean[row] = m, rstd[row] = s;
  for (int k = 0; k < Packs; ++k) {
    const int c = in.column(k, lane);
    if (c >= C) continue;
    const auto w = load_pack_or<V>(weight, c, A(1)), b = load_pack_or<V>(bias, c, A(0));
    Pack<T, V> out;
    for (int v = 0; v < V; ++v)
      out.value[v] = narrow<T>(std::fma((in(k, v) - m) * s, w.value[v], b.value[v]));
    store_pack(y + row * C + c, out);
  }
}

/// With h = (x - mean) rstd and e = dy weight: dx = rstd (e - mean e - h mean(e h)). A block goes on to rows
/// further down and keeps sums of dy h and dy, which become partial (blocks, 2, C).
template <int Lanes, int Packs, class T>
__global__ void __launch_bounds__(block_threads)
    layer_norm_grad_kernel(const T* x, const T* dy, Index rows, int C, const accum_t<T>* weight,
                           const accum_t<T>* mean, const accum_t<T>* rstd, GradientSink<T> dx,
                           accum_t<T>* partial) {
  using A = accum_t<T>;
  constexpr int V = pack_size<T>, block_rows = block_threads / Lanes, width = Lanes * Packs * V;
  __shared__ A sums[2 * width];
  const int lane = static_cast<int>(threadIdx.x) % Lanes;
  A dweight[Packs][V] = {}, dbias[Packs][V] = {};
  for (Index first = static_cast<Index>(blockIdx.x) * block_rows; first < rows;
       first += static_cast<Index>(gridDim.x) * block_rows) {
    const Index row = first + threadIdx.x / Lanes;
    const bool live = row < rows;
    LayerNormRow<Lanes, Packs, T> in, d;
    in.load(live ? x + row * C : nullptr, C, lane);
    d.load(live ? dy + row * C : nullptr, C, lane);
    const A m = live ? mean[row] : A(0), s = live ? rstd[row] : A(0);
    A total = 0, products = 0;
    for (int k = 0; k < Packs; ++k) {
      if (in.column(k, lane) >= C) continue;
      const auto w = load_pack_or<V>(weight, in.column(k, lane), A(1));
      for (int v = 0; v < V; ++v) {
        const A h = (in(k, v) - m) * s, e = d(k, v) * w.value[v];
        total += e;
        products += e * h;
        dweight[k][v] += d(k, v) * h;
        dbias[k][v] += d(k, v);
      }
    }
    const A a = lanes_sum<Lanes>(total) / static_cast<A>(C),
            b = lanes_sum<Lanes>(products) / static_cast<A>(C);
    if (!live || !dx) continue;
    for (int k = 0; k < Packs; ++k) {
      const int c = in.column(k, lane);
      if (c >= C) continue;
      const auto w = load_pack_or<V>(weight, c, A(1));
      T* const to = dx.data + row * C + c;
      Pack<T, V> out{};
      if (dx.add) out = load_pack<V>(to);
      for (int v = 0; v < V; ++v) {
        const A g = s * (d(k, v) * w.value[v] - a - (in(k, v) - m) * s * b);
        out.value[v] = narrow<T>(dx.add ? wide(out.value[v]) + g : g);
      }
      store_pack(to, out);
    }
  }
  if (!partial) return;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * width; i += block_threads) sums[i] = 0;
  for (int k = 0; k < Packs; ++k)  // rows of one warp
    for (int v = 0; v < V; ++v)
      for (int distance = Lanes; distance < warp_size; distance *= 2) {
        dweight[k][v] += __shfl_xor_sync(0xffffffffU, dweight[k][v], distance);
        dbias[k][v] += __shfl_xor_sync(0xffffffffU, dbias[k][v], distance);
      }
  for (int warp = 0; warp < block_threads / warp_size; ++warp) {
    __syncthreads();
    if (static_cast<int>(threadIdx.x) / warp_size != warp || threadIdx.x % warp_size >= Lanes) continue;
    for (int k = 0; k < Packs; ++k)
      for (int v = 0; v < V; ++v) {
        const int c = (k * Lanes + lane) * V + v;
        sums[c] += dweight[k][v];
        sums[width + c] += dbias[k][v];
      }
  }
  __syncthreads();
  A* const to = partial + 2 * static_cast<Index>(blockIdx.x) * C;
  for (int c = static_cast<int>(threadIdx.x); c < C; c += block_threads)
    to[c] = sums[c], to[C + c] = sums[width + c];
}

/// Any row: a warp reads it three times, from memory and then from the L1 cache.
template <class T>
__global__ void __launch_bounds__(block_threads)
    layer_norm_wide_kernel(const T* x, Index rows, Index C, const accum_t<T>* weight, const accum_t<T>* bias,
                           accum_t<T> epsilon, T* y, accum_t<T>* mean, accum_t<T>* rstd) {
  using A = accum_t<T>;
  const Index row = static_cast<Index>(blockIdx.x) * (block_threads / warp_size) + threadIdx.x / warp_size;
  const unsigned lane = threadIdx.x % warp_size;
  if (row >= rows) return;  // a whole warp
  x += row * C, y += row * C;
  A total = 0, squares = 0;
  for (Index c = lane; c < C; c += warp_size) total += wide(x[c]);
  const A m = warp_sum(total) / static_cast<A>(C);
  for (Index c = lane; c < C; c += warp_size) squares += (wide(x[c]) - m) * (wide(x[c]) - m);
  const A s = 1 / std::sqrt(warp_sum(squares) / static_cast<A>(C) + epsilon);
  if (lane == 0) mean[row] = m, rstd[row] = s;
  for (Index c = lane; c < C; c += warp_size)
    y[c] = narrow<T>(std::fma((wide(x[c]) - m) * s, weight ? weight[c] : A(1), bias ? bias[c] : A(0)));
}
template <class T>
__global__ void __launch_bounds__(block_threads)
    layer_norm_wide_grad_kernel(const T* x, const T* dy, Index rows, Index C, const accum_t<T>* weight,
                                const accum_t<T>* mean, const accum_t<T>* rstd, GradientSink<T> dx) {
  using A = accum_t<T>;
  const Index row = static_cast<Index>(blockIdx.x) * (block_threads / warp_size) + threadIdx.x / warp_size;
  const unsigned lane = threadIdx.x % warp_size;
  if (row >= rows) return;
  x += row * C, dy += row * C;
  const A m = mean[row], s = rstd[row];
  A total = 0, products = 0;
  for (Index c = lane; c < C; c += warp_size) {
    const A e = wide(dy[c]) * (weight ? weight[c] : A(1));
    total += e;
    products += e * (wide(x[c]) - m) * s;
  }
  const A a = warp_sum(total) / static_cast<A>(C), b = warp_sum(products) / static_cast<A>(C);
  T* const to = dx.data + row * C;
  for (Index c = lane; c < C; c += warp_size) {
    const A g = s * (wide(dy[c]) * (weight ? weight[c] : A(1)) - a - (wide(x[c]) - m) * s * b);
    to[c] = narrow<T>(dx.add ? wide(to[c]) + g : g);
  }
}
/// Columns of dy h and dy for rows of any kind.
template <class T>
struct LayerNormColumns {
  using A = accum_t<T>;
  struct Row {
    T x, dy;
    A mean, rstd;
  };
  const T *x, *dy;
  const A *mean, *rstd;
  Index channels;
  A sums[2] = {};

  GRAM_DEVICE Row load(Index r) const { return {x[r * channels], dy[r * channels], mean[r], rstd[r]}; }
  GRAM_DEVICE void use(Index, const Row& in) {
    sums[0] += wide(in.dy) * (wide(in.x) - in.mean) * in.rstd;
    sums[1] += wide(in.dy);
  }
};
template <class T>
__global__ void __launch_bounds__(block_threads)
    layer_norm_columns_kernel(const T* x, const T* dy, Index rows, Index C, const accum_t<T>* mean,
                              const accum_t<T>* rstd, accum_t<T>* partial) {
  __shared__ accum_t<T> scratch[2 * block_threads];
  const ColumnPlace<1> at;
  LayerNormColumns<T> op{x + at.channel, dy + at.channel, mean, rstd, C};
  if (at.channel < C) for_rows<4>(op, at.row, at.step, rows);
  sum_over_block_rows(op.sums, scratch);
  if (threadIdx.y || at.channel >= C) return;
  for (int k = 0; k < 2; ++k) partial[(2 * static_cast<Index>(blockIdx.y) + k) * C + at.channel] = op.sums[k];
}

/// f.template operator()<Lanes, Packs>() for the smallest row in registers that holds C elements; false when
/// none does: 32 values to a lane at most, 16 of double.
template <class T, class F>
bool with_layer_norm_row(Index C, const F& f) {
  constexpr Index V = pack_size<T>, most = (sizeof(T) == 8 ? 16 : 32) / V;
  if (C <= 8 * V) return f.template operator()<8, 1>(), true;
  if (C <= 16 * V) return f.template operator()<16, 1>(), true;
  if (C <= 32 * V) return f.template operator()<32, 1>(), true;
  if (C <= 64 * V) return f.template operator()<32, 2>(), true;
  if (C <= 96 * V) return f.template operator()<32, 3>(), true;
  if (C <= 128 * V) return f.template operator()<32, 4>(), true;
  if constexpr (most >= 8) {
    if (C <= 192 * V) return f.template operator()<32, 6>(), true;
    if (C <= 256 * V) return f.template operator()<32, 8>(), true;
  }
  return false;
}
inline dim3 layer_norm_blocks(Index rows, int block_rows) {
  return static_cast<unsigned>(ceil_div(rows, block_rows));
}

template <class T>
void layer_norm(Cuda device, const T* x, Index rows, Index C, const accum_t<T>* weight,
                const accum_t<T>* bias, double epsilon, T* y, accum_t<T>* mean, accum_t<T>* rstd) {
  const auto e = static_cast<accum_t<T>>(epsilon);
  if (rows_of_packs<pack_size<T>>(C, x, y, weight, bias) &&
      with_layer_norm_row<T>(C, [&]<int Lanes, int Packs>() {
        launch(device, layer_norm_kernel<Lanes, Packs, T>, layer_norm_blocks(rows, block_threads / Lanes),
               block_threads, 0, x, rows, C, weight, bias, e, y, mean, rstd);
      }))
    return;
  launch(device, layer_norm_wide_kernel<T>, layer_norm_blocks(rows, block_threads / warp_size), block_threads,
         0, x, rows, C, weight, bias, e, y, mean, rstd);
}

template <class T>
void layer_norm_grad(Cuda device, const T* x, const T* dy, Index rows, Index C, const accum_t<T>* weight,
                     const accum_t<T>* mean, const accum_t<T>* rstd, GradientSink<T> dx,
                     GradientSink<accum_t<T>> dweight, GradientSink<accum_t<T>> dbias) {
  using A = accum_t<T>;
  const bool sums = dweight || dbias;
  const auto finish = [&](const A* partial, Index row_blocks) {
    if (sums)
      launch(device, finish_sums_kernel<A>, finish_blocks(C), finish_threads(), 0, partial, row_blocks, C,
             dweight, dbias);
  };
  if (rows_of_packs<pack_size<T>>(C, x, dy, dx.data, weight) &&
      with_layer_norm_row<T>(C, [&]<int Lanes, int Packs>() {
        constexpr Index most_blocks = 132 * 2;
        const Index blocks = std::min(ceil_div(rows, Index{block_threads / Lanes}), most_blocks);
        DeviceScratch<A> partial(device, sums ? 2 * blocks * C : 0);
        launch(device, layer_norm_grad_kernel<Lanes, Packs, T>, static_cast<unsigned>(blocks), block_threads,
               0, x, dy, rows, C, weight, mean, rstd, dx, sums ? partial.data() : nullptr);
        finish(partial.data(), blocks);
      }))
    return;
  if (sums) {  // before dx, which may be written over dy
    const ColumnGrid grid(rows, C, 1, ColumnGrid::blocks_of_sums);
    DeviceScratch<A> partial(device, 2 * grid.row_blocks() * C);
    launch(device, layer_norm_columns_kernel<T>, grid.blocks, grid.threads, 0, x, dy, rows, C, mean, rstd,
           partial.data());
    finish(partial.data(), grid.row_blocks());
  }
  if (dx)
    launch(device, layer_norm_wide_grad_kernel<T>, layer_norm_blocks(rows, block_threads / warp_size),
           block_threads, 0, x, dy, rows, C, weight, mean, rstd, dx);
}

template <class T>
void fill_in_layer_norm_tables() {
  layer_norm_table<T> = {layer_norm<T>, layer_norm_grad<T>};
}

}  // namespace gram::cuda
