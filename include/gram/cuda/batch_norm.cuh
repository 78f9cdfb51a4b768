// SPDX-License-Identifier: MIT
// Batch normalisation of x (rows, channels). Sums are made by row blocks and brought together in double by a
// second, small kernel, always in the same order. What the passes must move: the statistics read x; applying
// reads x (and the residual) and writes y; the gradient's sums read dy, x (and y, which then leave as the
// residual's gradient), its second pass reads dy, x and writes dx.
#pragma once
#include <cmath>

#include "gram/cuda/batch_norm.hpp"
#include "gram/cuda/batch_norm_grad.cuh"
#include "gram/cuda/batch_norm_shared.cuh"
#include "gram/cuda/columns.cuh"

namespace gram::cuda {

/// Sums around a shift: a large mean costs no digits.
template <int V, class T>
struct BatchNormMoments {
  using A = accum_t<T>;
  using Row = Pack<T, V>;
  const T* x;
  Index channels;
  A shift[V] = {}, sums[2 * V] = {};

  GRAM_DEVICE Row load(Index r) const { return load_pack<V>(x + r * channels); }
  GRAM_DEVICE void use(Index, const Row& in) {
    for (int v = 0; v < V; ++v) {
      const A d = wide(in.value[v]) - shift[v];
      sums[v] += d;
      sums[V + v] = std::fma(d, d, sums[V + v]);
    }
  }
};
/// partial (row blocks, 3, channels): a shift k, the mean of the first rows of the row block; sum (x - k),
/// sum (x - k)^2.
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    batch_norm_moments_kernel(const T* x, Index rows, Index channels, accum_t<T>* partial) {
  using A = accum_t<T>;
  __shared__ A scratch[2 * V * block_threads];
  const ColumnPlace<V> at;
  BatchNormMoments<V, T> moments{x + at.channel, channels};
  if (at.channel < channels) {
    const Index left = rows - at.block_row, first = left < 8 ? left : 8;
    for (Index r = 0; r < first; ++r) {
      const auto in = moments.load(at.block_row + r);
      for (int v = 0; v < V; ++v) moments.shift[v] += wide(in.value[v]);
    }
    for (int v = 0; v < V; ++v) moments.shift[v] /= static_cast<A>(first);
    for_rows<4>(moments, at.row, at.step, rows);
  }
  sum_over_block_rows(moments.sums, scratch);
  if (threadIdx.y || at.channel >= channels) return;
  A* const to = partial + 3 * blockIdx.y * channels + at.channel;
  for (int v = 0; v < V; ++v) {
    to[v] = moments.shift[v];
    to[channels + v] = moments.sums[v];
    to[2 * channels + v] = moments.sums[V + v];
  }
}

/// sum (x - mu)^2 = sum (x - k)^2 + 2 d sum (x - k) + n d^2, d = k - mu, over all row blocks.
template <class A>
__global__ void batch_norm_statistics_kernel(const A* partial, Index row_blocks, Index threads_y, Index rows,
                                             Index channels, A* mean, A* variance) {
  __shared__ double scratch[block_threads], mu[finish_channels];
  const Index c = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  const A* const p = partial + c;
  double sum[1] = {}, squares[1] = {};
  if (c < channels)
    for (Index i = threadIdx.y; i < row_blocks; i += blockDim.y) {
      const auto n = static_cast<double>(rows_of_block(rows, i, row_blocks, threads_y));
      sum[0] += n * static_cast<double>(p[3 * i * channels]) + static_cast<double>(p[(3 * i + 1) * channels]);
    }
  sum_over_block_rows(sum, scratch);
  if (threadIdx.y == 0) mu[threadIdx.x] = sum[0] / static_cast<double>(rows);
  __syncthreads();
  if (c < channels)
    for (Index i = threadIdx.y; i < row_blocks; i += blockDim.y) {
      const auto n = static_cast<double>(rows_of_block(rows, i, row_blocks, threads_y));
      const double d = static_cast<double>(p[3 * i * channels]) - mu[threadIdx.x];
      squares[0] += static_cast<double>(p[(3 * i + 2) * channels]) +
                    d * (2 * static_cast<double>(p[(3 * i + 1) * channels]) + n * d);
    }
  sum_over_block_rows(squares, scratch);
  if (threadIdx.y || c >= channels) return;
  mean[c] = static_cast<A>(mu[threadIdx.x]);
  variance[c] = static_cast<A>(squares[0] < 0 ? 0.0 : squares[0] / static_cast<double>(rows));
}

template <int V, class T>
void batch_norm_moments(Cuda device, const T* x, Index rows, Index channels, accum_t<T>* mean,
                        accum_t<T>* variance) {
  const ColumnGrid grid(rows, channels, V, ColumnGrid::blocks_of_sums);
  DeviceScratch<accum_t<T>> partial(device, 3 * grid.row_blocks() * channels);
  launch(device, batch_norm_moments_kernel<V, T>, grid.blocks, grid.threads, 0, x, rows, channels,
         partial.data());
  launch(device, batch_norm_statistics_kernel<accum_t<T>>, finish_blocks(channels), finish_threads(), 0,
         partial.data(), grid.row_blocks(), grid.threads.y, rows, channels, mean, variance);
}
template <class T>
void batch_norm_statistics(Cuda device, const T* x, Index rows, Index channels, accum_t<T>* mean,
                           accum_t<T>* variance) {
  if (rows_of_packs<pack_size<T>>(channels, x))
    batch_norm_moments<pack_size<T>>(device, x, rows, channels, mean, variance);
  else
    batch_norm_moments<1>(device, x, rows, channels, mean, variance);
}

/// Moves the running statistics of channel c.
template <class A>
GRAM_DEVICE void move_running(const kernels::BatchNormRunning<A>& to, Index c, A mean, A variance) {
  const double n = to.rows.there ? *to.rows.there : static_cast<double>(to.rows.number),
               unbiased = n / (n - 1);
  to.mean[c] = static_cast<A>((1 - to.momentum) * to.mean[c] + to.momentum * mean);
  to.variance[c] = static_cast<A>((1 - to.momentum) * to.variance[c] + to.momentum * unbiased * variance);
}

template <int V, class T>
struct BatchNormApply {
  using A = accum_t<T>;
  struct Row {
    Pack<T, V> x, residual;
  };
  BatchNormAffine<V, A> affine;
  const T *x, *residual;
  T* y;
  Index channels;
  bool relu;

  GRAM_DEVICE Row load(Index r) const {
    Row in{};
    in.x = load_pack<V>(x + r * channels);
    if (residual) in.residual = load_pack<V>(residual + r * channels);
    return in;
  }
  GRAM_DEVICE void use(Index r, const Row& in) {
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) {
      A value = affine(v, affine.centered(v, wide(in.x.value[v])));
      if (residual) value += wide(in.residual.value[v]);
      if (relu) value = value < 0 ? A(0) : value;  // NaN stays NaN
      out.value[v] = narrow<T>(value);
    }
    store_pack(y + r * channels, out);
  }
};
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    batch_norm_apply_kernel(kernels::BatchNormArguments<T> in, const T* residual, bool relu, T* y,
                            kernels::BatchNormRunning<accum_t<T>> running) {
  const ColumnPlace<V> at;
  if (at.channel >= in.channels) return;
  if (running.mean && at.row == 0)
    for (Index c = at.channel; c < at.channel + V; ++c) move_running(running, c, in.mean[c], in.variance[c]);
  BatchNormApply<V, T> apply{BatchNormAffine<V, accum_t<T>>(in, at.channel),
                             in.x + at.channel,
                             residual ? residual + at.channel : nullptr,
                             y + at.channel,
                             in.channels,
                             relu};
  for_rows<4>(apply, at.row, at.step, in.rows);
}
template <class T>
void batch_norm_apply(Cuda device, const kernels::BatchNormArguments<T>& in, const T* residual, bool relu,
                      T* y, const kernels::BatchNormRunning<accum_t<T>>& running) {
  constexpr int V = pack_size<T>;
  const bool packs = rows_of_packs<V>(in.channels, in.x, residual, y);
  const ColumnGrid grid(in.rows, in.channels, packs ? V : 1, ColumnGrid::blocks_of_passes);
  launch(device, packs ? batch_norm_apply_kernel<V, T> : batch_norm_apply_kernel<1, T>, grid.blocks,
         grid.threads, 0, in, residual, relu, y, running);
}

template <class T>
void fill_in_batch_norm_tables() {
  batch_norm_table<T> = {batch_norm_statistics<T>, batch_norm_apply<T>, batch_norm_grad<T>};
  if constexpr (std::same_as<T, accum_t<T>>) batch_norm_combine_table<T> = {batch_norm_combine<T>};
}

}  // namespace gram::cuda
