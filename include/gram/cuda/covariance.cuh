// SPDX-License-Identifier: MIT
// Means and covariances of the columns of x (rows, columns). One product makes d^T d, in float also of bf16,
// where d = x - shift is a copy: of columns far from zero a product of x itself would leave only what
// rounding left. The shift is the mean of some rows from everywhere, as an element of x's type. A column of
// bf16 is only shifted where it lies far from zero in units of its spread; then nearly all differences are
// exact, and where it is not shifted d is x. What the passes must move: x is read and d written, d is read.
#pragma once
#include "gram/cuda/columns.cuh"
#include "gram/cuda/covariance.hpp"
#include "gram/cuda/gemm.cuh"

namespace gram::cuda {

/// The mean of 32 rows, or of all; of bf16 0 unless it is 8 times the deviation, which leaves d^T d of the
/// others a 64th of what it is made of, or more.
template <class T>
__global__ void covariance_shift_kernel(const T* x, Index rows, Index columns, accum_t<T>* shift) {
  using A = accum_t<T>;
  const Index samples = rows < 32 ? rows : 32;
  for (Index c = first_item(); c < columns; c += item_step()) {
    const auto sample = [&](Index i) { return wide(x[i * rows / samples * columns + c]); };
    A mean = 0, variance = 0;
    for (Index i = 0; i < samples; ++i) mean += sample(i) / static_cast<A>(samples);
    for (Index i = 0; i < samples; ++i) {
      const A d = sample(i) - mean;
      variance += d * d / static_cast<A>(samples);
    }
    const bool far = std::is_same_v<T, A> || mean * mean > 64 * variance;
    shift[c] = far ? wide(narrow<T>(mean)) : A(0);
  }
}

template <int V, class T>
struct CenterRows {
  using A = accum_t<T>;
  using Row = Pack<T, V>;
  const T* x;
  T* d;
  Index columns;
  Pack<A, V> shift;
  A sums[V] = {};

  GRAM_DEVICE Row load(Index r) const { return load_pack<V>(x + r * columns); }
  GRAM_DEVICE void use(Index r, const Row& in) {
    Row out;
    for (int v = 0; v < V; ++v) {
      out.value[v] = narrow<T>(wide(in.value[v]) - shift.value[v]);
      sums[v] += wide(out.value[v]);
    }
    store_pack(d + r * columns, out);
  }
};
/// d = x - shift; partial (row blocks, columns): its sums.
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    covariance_center_kernel(const T* x, Index rows, Index columns, const accum_t<T>* shift, T* d,
                             accum_t<T>* partial) {
  using A = accum_t<T>;
  __shared__ A scratch[V * block_threads];
  const ColumnPlace<V> at;
  A sums[V] = {};
  if (at.channel < columns) {
    CenterRows<V, T> op{x + at.channel, d + at.channel, columns, load_pack<V>(shift + at.channel)};
    for_rows<4>(op, at.row, at.step, rows);
    for (int v = 0; v < V; ++v) sums[v] = op.sums[v];
  }
  sum_over_block_rows(sums, scratch);
  if (threadIdx.y || at.channel >= columns) return;
  for (int v = 0; v < V; ++v) partial[blockIdx.y * columns + at.channel + v] = sums[v];
}

/// rest = the mean of d, mean = shift + rest
template <class A>
__global__ void covariance_mean_kernel(const A* partial, Index row_blocks, Index rows, Index columns,
                                       const A* shift, A* rest, A* mean) {
  __shared__ double scratch[block_threads];
  const Index c = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  double sum[1] = {};
  if (c < columns)
    for (Index i = threadIdx.y; i < row_blocks; i += blockDim.y)
      sum[0] += static_cast<double>(partial[i * columns + c]);
  sum_over_block_rows(sum, scratch);
  if (threadIdx.y || c >= columns) return;
  sum[0] /= static_cast<double>(rows);
  rest[c] = static_cast<A>(sum[0]);
  mean[c] = static_cast<A>(static_cast<double>(shift[c]) + sum[0]);
}

/// result (columns, columns), d^T d at first, becomes d^T d / rows - rest^T rest.
template <class A>
__global__ void covariance_finish_kernel(const A* rest, Index rows, Index columns, A* result) {
  for (Index i = first_item(); i < columns * columns; i += item_step()) {
    const double a = static_cast<double>(rest[i / columns]), b = static_cast<double>(rest[i % columns]);
    result[i] = static_cast<A>(static_cast<double>(result[i]) / static_cast<double>(rows) - a * b);
  }
}

template <class T>
void covariance(Cuda device, const T* x, Index rows, Index columns, accum_t<T>* mean, accum_t<T>* result) {
  using A = accum_t<T>;
  DeviceScratch<T> d(device, rows * columns);
  const bool packs = rows_of_packs<pack_size<T>>(columns, x, d.data());
  const ColumnGrid grid(rows, columns, packs ? pack_size<T> : 1, ColumnGrid::blocks_of_sums);
  DeviceScratch<A> memory(device, (2 + grid.row_blocks()) * round_up(columns, 16));
  A *const shift = memory.data(), *const rest = shift + round_up(columns, 16),
           *const partial = rest + round_up(columns, 16);
  launch(device, covariance_shift_kernel<T>, grid_blocks(columns), block_threads, 0, x, rows, columns, shift);
  launch(device, packs ? covariance_center_kernel<pack_size<T>, T> : covariance_center_kernel<1, T>,
         grid.blocks, grid.threads, 0, x, rows, columns, shift, d.data(), partial);
  launch(device, covariance_mean_kernel<A>, finish_blocks(columns), finish_threads(), 0, partial,
         grid.row_blocks(), rows, columns, shift, rest, mean);
  gemm_wide(device, {columns, columns, rows}, d.data(), columns, true, d.data(), columns, false, result,
            columns);
  launch(device, covariance_finish_kernel<A>, grid_blocks(columns * columns), block_threads, 0, rest, rows,
         columns, result);
}

template <class T>
void fill_in_covariance_tables() {
  covariance_table<T> = {covariance<T>};
}

}  // namespace gram::cuda
