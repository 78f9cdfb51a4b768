// SPDX-License-Identifier: MIT
// Matrices (rows, channels) that are worked on column by column. A thread owns V neighbouring channels, 16
// bytes where their number allows, and strides over rows: what belongs to a channel stays in registers, and
// neighbouring threads read neighbouring memory, for few channels too.
#pragma once
#include <algorithm>

#include "gram/core/gradient_sink.hpp"
#include "gram/cuda/context.cuh"

namespace gram::cuda {

/// True when all of these (or null) can be read in packs of V from every row of `channels` elements.
template <int V, class... P>
bool rows_of_packs(Index channels, const P*... pointers) {
  const auto aligned = [](const auto* p) {
    return reinterpret_cast<std::uintptr_t>(p) % (sizeof(*p) * V) == 0;
  };
  return channels % V == 0 && (aligned(pointers) && ...);
}

template <int V, class T>
GRAM_DEVICE Pack<T, V> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, V>*>(p);
}
template <int V, class T>
GRAM_DEVICE void store_pack(T* p, const Pack<T, V>& values) {
  *reinterpret_cast<Pack<T, V>*>(p) = values;
}
/// The same, where p may be null: then all are `otherwise`.
template <int V, class T>
GRAM_DEVICE Pack<T, V> load_pack_or(const T* p, Index at, T otherwise) {
  if (p) return load_pack<V>(p + at);
  Pack<T, V> values;
  for (int v = 0; v < V; ++v) values.value[v] = otherwise;
  return values;
}

/// Position (n, i, j) and channel of item number `at` of maps (N, rows, columns, channels in packs of V).
template <int V>
struct MapPlace {
  Index n, i, j, c;

  GRAM_DEVICE MapPlace(Index at, Index rows, Index columns, Index channels) {
    const Index groups = channels / V, items = rows * columns * groups;
    n = quotient(at, items);
    const Index inside = at - n * items, pixel = quotient(inside, groups);
    c = (inside - pixel * groups) * V;
    i = quotient(pixel, columns);
    j = pixel - i * columns;
  }
  /// a / b >= 0; half as many instructions for what fits into 32 bits.
  GRAM_DEVICE static Index quotient(Index a, Index b) {
    if (((a | b) >> 32) == 0) return static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b);
    return a / b;
  }
};

/// How blocks lie over a matrix: threads.x times V channels, threads.y rows at once, the grid's x over
/// channels and its y over rows.
struct ColumnGrid {
  /// Sums: two blocks to a multiprocessor, so that all run at once and few results are left to bring
  /// together.
  static constexpr Index blocks_of_sums = 132 * 2;
  /// Passes that write as they go: enough blocks that the last ones to end do not matter.
  static constexpr Index blocks_of_passes = 132 * 16;

  ColumnGrid(Index rows, Index channels, int width, Index most_blocks) {
    if (rows == 0 || channels == 0) return;
    const Index groups = ceil_div(channels, width), across = ceil_div(groups, 32),
                x = ceil_div(groups, across), y = block_threads / x;
    constexpr Index rows_of_thread = 8;
    const Index down = std::min(ceil_div(rows, y * rows_of_thread), std::max<Index>(1, most_blocks / across));
    threads = dim3(static_cast<unsigned>(x), static_cast<unsigned>(y));
    blocks = dim3(static_cast<unsigned>(across), static_cast<unsigned>(down));
  }
  Index row_blocks() const { return blocks.y; }

  dim3 blocks{0, 0}, threads{1, 1};
};

/// Where a thread of such a grid stands.
template <int V>
struct ColumnPlace {
  Index channel = (static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x) * V;
  Index block_row = static_cast<Index>(blockIdx.y) * blockDim.y;
  Index row = block_row + threadIdx.y;
  Index step = static_cast<Index>(gridDim.y) * blockDim.y;
};
/// How many of the rows are those of row block i.
GRAM_DEVICE Index rows_of_block(Index rows, Index i, Index row_blocks, Index threads_y) {
  const Index rest = rows % (row_blocks * threads_y) - i * threads_y;
  return rows / (row_blocks * threads_y) * threads_y + (rest < 0 ? 0 : rest < threads_y ? rest : threads_y);
}

/// op.use(r, op.load(r)) for the rows of a thread, with the loads of several rows in flight at once.
template <int Flight, class Op>
GRAM_DEVICE void for_rows(Op& op, Index row, Index step, Index rows) {
  for (; row + (Flight - 1) * step < rows; row += Flight * step) {
    typename Op::Row in[Flight];
    for (int i = 0; i < Flight; ++i) in[i] = op.load(row + i * step);
    for (int i = 0; i < Flight; ++i) op.use(row + i * step, in[i]);
  }
  for (; row < rows; row += step) op.use(row, op.load(row));
}

/// Sums over threadIdx.y in a fixed order; threads with threadIdx.y = 0 have them. `scratch` is shared memory
/// for N values of block_threads threads; all threads must take part.
template <int N, class A>
GRAM_DEVICE void sum_over_block_rows(A (&values)[N], A* scratch) {
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  constexpr auto count = static_cast<unsigned>(N), threads = static_cast<unsigned>(block_threads);
  for (unsigned i = 0; i < count; ++i) scratch[i * threads + thread] = values[i];
  for (unsigned n = blockDim.y; n > 1; n = (n + 1) / 2) {
    const unsigned half = (n + 1) / 2;
    __syncthreads();
    if (threadIdx.y + half < n)
      for (unsigned i = 0; i < count; ++i)
        scratch[i * threads + thread] = values[i] += scratch[i * threads + thread + half * blockDim.x];
  }
}

/// Blocks that bring the results of row blocks together: 8 channels, 32 parts of the row blocks.
inline constexpr unsigned finish_channels = 8, finish_parts = block_threads / finish_channels;
inline dim3 finish_blocks(Index channels) {
  return static_cast<unsigned>(ceil_div(channels, Index{finish_channels}));
}
inline dim3 finish_threads() { return {finish_channels, finish_parts}; }

/// partial (row_blocks, 2, channels): the sums over row blocks, in double, go to two sinks.
template <class A>
__global__ void finish_sums_kernel(const A* partial, Index row_blocks, Index channels, GradientSink<A> first,
                                   GradientSink<A> second) {
  __shared__ double scratch[2 * block_threads];
  const Index c = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  double sums[2] = {};
  if (c < channels)
    for (Index i = threadIdx.y; i < row_blocks; i += blockDim.y)
      for (int k = 0; k < 2; ++k) sums[k] += static_cast<double>(partial[(2 * i + k) * channels + c]);
  sum_over_block_rows(sums, scratch);
  if (threadIdx.y || c >= channels) return;
  if (first) first.data[c] = static_cast<A>(sums[0] + (first.add ? static_cast<double>(first.data[c]) : 0.0));
  if (second)
    second.data[c] = static_cast<A>(sums[1] + (second.add ? static_cast<double>(second.data[c]) : 0.0));
}

}  // namespace gram::cuda
