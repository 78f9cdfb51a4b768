// SPDX-License-Identifier: MIT
// Reading at positions given by an index tensor, and the gradient of that.
#pragma once
#include "gram/cuda/copy.hpp"
#include "gram/cuda/index.hpp"
#include "gram/cuda/strided.cuh"

namespace gram::cuda {

/// Reads what is named once, and writes y once. `lines` packs to a row where one index holds for a whole row,
/// and single elements behind them.
template <class T>
__global__ void gather_kernel(const T* x, IndexView index, T* y, AxisView v, Index lines) {
  const Index rows = v.outer * index.count, step = static_cast<Index>(gridDim.y) * blockDim.y;
  for (Index r = static_cast<Index>(blockIdx.y) * blockDim.y + threadIdx.y; r < rows; r += step) {
    const Index o = r / index.count, k = r % index.count;
    const T* const from = x + o * v.n * v.inner;
    T* const to = y + r * v.inner;
    for (Index line = first_item(); line < lines; line += item_step()) {
      const Index i = line * pack_size<T>;
      store_line(to + i, load_line(from + index(o, k, 0) * v.inner, i, 1));
    }
    for (Index i = lines * pack_size<T> + first_item(); i < v.inner; i += item_step())
      to[i] = from[index(o, k, i) * v.inner + i];
  }
}
template <class T>
void gather(Cuda device, const T* x, const IndexView& index, T* y, const AxisView& v) {
  const Index rows = v.outer * index.count;
  if (rows * v.inner == 0) return;
  const bool packs = index.inner == 0 && v.inner % pack_size<T> == 0 && packable(x) && packable(y);
  const Index lines = packs ? v.inner / pack_size<T> : 0, items = packs ? lines : v.inner;
  const unsigned across = covering_power(items, block_threads), down = block_threads / across;
  const Index high = ceil_div(rows, down);
  launch(
      device, gather_kernel<T>,
      dim3(static_cast<unsigned>(ceil_div(items, across)), static_cast<unsigned>(high < 2048 ? high : 2048)),
      dim3(across, down), 0, x, index, y, v, lines);
}

inline constexpr int gather_columns = 64, gather_rows = 64;

/// A block owns gather_rows x gather_columns elements of dx, and looks through the whole index for what goes
/// there; each element belongs to one thread, which adds in the order of k. Every dy is read once; the index
/// is read by every block, from the cache. dx is written once.
template <class T>
__global__ void gather_grad_kernel(const T* dy, IndexView index, T* dx, bool add, AxisView v) {
  using A = accum_t<T>;
  constexpr int warps = block_threads / warp_size;
  __shared__ A sums[gather_rows][gather_columns];
  __shared__ Index list[block_threads];
  __shared__ int list_row[block_threads], found[warps];
  const int across = static_cast<int>(threadIdx.x), down = static_cast<int>(threadIdx.y),
            step = static_cast<int>(blockDim.y), thread = down * gather_columns + across,
            warp = thread / warp_size, lane = thread % warp_size;
  const Index column_tiles = ceil_div(v.inner, gather_columns),
              column = blockIdx.x % column_tiles * gather_columns + across,
              first = blockIdx.x / column_tiles * gather_rows;
  for (Index o = blockIdx.y; o < v.outer; o += gridDim.y) {
    const T* const from = dy + o * index.count * v.inner + column;
    for (int r = down; r < gather_rows; r += step) sums[r][across] = 0;
    if (index.inner == 0) {
      for (Index chunk = 0; chunk < index.count; chunk += block_threads) {
        const Index k = chunk + thread, row = k < index.count ? index(o, k, 0) - first : -1;
        const bool mine = row >= 0 && row < gather_rows;
        const unsigned all = __ballot_sync(0xffffffffU, mine);
        if (lane == 0) found[warp] = __popc(all);
        __syncthreads();
        int before = __popc(all & ((1U << lane) - 1)), total = 0;
        for (int w = 0; w < warps; ++w) {
          if (w < warp) before += found[w];
          total += found[w];
        }
        if (mine) {
          list[before] = k;
          list_row[before] = static_cast<int>(row);
        }
        __syncthreads();
        if (column < v.inner)
          for (int i = 0; i < total; ++i)
            if (list_row[i] % step == down) sums[list_row[i]][across] += wide(from[list[i] * v.inner]);
        __syncthreads();
      }
    } else if (column < v.inner) {
      for (Index k = 0; k < index.count; ++k) {
        const Index row = index(o, k, column) - first;
        if (row >= 0 && row < gather_rows && row % step == down) sums[row][across] += wide(from[k * v.inner]);
      }
    }
    for (int r = down; r < gather_rows && column < v.inner && first + r < v.n; r += step) {
      T& to = dx[(o * v.n + first + r) * v.inner + column];
      to = narrow<T>(add ? wide(to) + sums[r][across] : sums[r][across]);
    }
  }
}
template <class T>
void gather_grad(Cuda device, const T* dy, const IndexView& index, T* dx, bool add, const AxisView& v) {
  const Index tiles = ceil_div(v.inner, gather_columns) * ceil_div(v.n, gather_rows);
  const dim3 grid(static_cast<unsigned>(tiles), static_cast<unsigned>(v.outer < 65535 ? v.outer : 65535));
  launch(device, gather_grad_kernel<T>, grid, dim3(gather_columns, block_threads / gather_columns), 0, dy,
         index, dx, add, v);
}

template <class T>
__global__ void one_hot_kernel(const Index* labels, T on, T off, T* y, Index size, Index classes) {
  for (Index i = first_item(); i < size; i += item_step())
    y[i] = i % classes == labels[i / classes] ? on : off;
}
template <class T>
void one_hot(Cuda device, const Index* labels, T on, T off, T* y, Index rows, Index classes) {
  launch(device, one_hot_kernel<T>, grid_blocks(rows * classes), block_threads, 0, labels, on, off, y,
         rows * classes, classes);
}

/// The smallest position of this block's items whose index lies outside, or count.
static __global__ void outside_kernel(const Index* index, Index count, Index n, Index* first) {
  __shared__ Index smallest[block_threads];
  Index mine = count;
  for (Index i = first_item(); i < count && mine == count; i += item_step())
    if (index[i] < 0 || index[i] >= n) mine = i;
  smallest[threadIdx.x] = mine;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (int t = 1; t < block_threads; ++t) mine = smallest[t] < mine ? smallest[t] : mine;
  first[blockIdx.x] = mine;
}
/// Waits for the device: the answer decides whether the host throws.
inline Index find_outside(Cuda device, const Index* index, Index count, Index n) {
  if (count == 0) return -1;
  const Index wanted = ceil_div(count, 4 * block_threads), blocks = wanted < 64 ? wanted : 64;
  DeviceScratch<Index> first(device, blocks);
  launch(device, outside_kernel, static_cast<unsigned>(blocks), block_threads, 0, index, count, n,
         first.data());
  Index found[64];
  check(cudaMemcpyAsync(found, first.data(), static_cast<std::size_t>(blocks) * sizeof(Index),
                        cudaMemcpyDeviceToHost, stream(device)),
        "check of an index");
  check(cudaStreamSynchronize(stream(device)), "check of an index");
  Index smallest = count;
  for (Index i = 0; i < blocks; ++i) smallest = found[i] < smallest ? found[i] : smallest;
  return smallest < count ? smallest : -1;
}

template <class T>
void fill_in_index_tables() {
  index_table<T> = {gather<T>, gather_grad<T>, one_hot<T>};
}

}  // namespace gram::cuda
