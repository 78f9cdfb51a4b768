// SPDX-License-Identifier: MIT
// Maximum over windows of maps (N, H, W, C): a thread makes V channels of one position. Windows that overlap
// find each other's values in the caches, so that x is read from memory once, as are dy and the picks in the
// gradient.
#pragma once
#include "gram/cuda/columns.cuh"
#include "gram/cuda/pool.hpp"

namespace gram::cuda {

/// Later equal values do not win, a NaN does, as in PyTorch. picks may be null.
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    max_pool_kernel(const T* x, Index items, Index C, PoolWindows s, T* y, std::int32_t* picks) {
  for (Index item = first_item(); item < items; item += item_step()) {
    const MapPlace<V> at(item, s.out_h, s.out_w, C);
    const Index h = at.i * s.stride_h - s.pad_h, w = at.j * s.stride_w - s.pad_w;
    const Index i0 = h < 0 ? -h : 0, i1 = h + s.kernel_h > s.h ? s.h - h : s.kernel_h;
    const Index j0 = w < 0 ? -w : 0, j1 = w + s.kernel_w > s.w ? s.w - w : s.kernel_w;
    const T* const window = x + ((at.n * s.h + h) * s.w + w) * C + at.c;
    Pack<T, V> best = load_pack<V>(window + (i0 * s.w + j0) * C);
    Pack<std::int32_t, V> pick;
    for (int v = 0; v < V; ++v) pick.value[v] = static_cast<std::int32_t>(i0 * s.kernel_w + j0);
    for (Index i = i0; i < i1; ++i)
      for (Index j = j0; j < j1; ++j) {
        const Pack<T, V> value = load_pack<V>(window + (i * s.w + j) * C);
        const auto number = static_cast<std::int32_t>(i * s.kernel_w + j);
        for (int v = 0; v < V; ++v) {
          const accum_t<T> candidate = wide(value.value[v]);
          if (candidate > wide(best.value[v]) || candidate != candidate)
            best.value[v] = value.value[v], pick.value[v] = number;
        }
      }
    store_pack(y + item * V, best);
    if (picks) store_pack(picks + item * V, pick);
  }
}
template <class T>
void max_pool(Cuda device, const T* x, Index N, Index C, const PoolWindows& s, T* y, std::int32_t* picks) {
  constexpr int V = pack_size<T>;
  const bool packs = rows_of_packs<V>(C, x, y, picks);
  const Index items = N * s.out_h * s.out_w * C / (packs ? V : 1);
  launch(device, packs ? max_pool_kernel<V, T> : max_pool_kernel<1, T>, grid_blocks(items), block_threads, 0,
         x, items, C, s, y, picks);
}

/// Each position of x gathers from the windows that chose it, in their order.
template <int V, class T>
__global__ void __launch_bounds__(block_threads)
    max_pool_grad_kernel(const T* dy, const std::int32_t* picks, Index items, Index C, PoolWindows s,
                         GradientSink<T> dx) {
  for (Index item = first_item(); item < items; item += item_step()) {
    const MapPlace<V> at(item, s.h, s.w, C);
    const Index h = at.i + s.pad_h, w = at.j + s.pad_w;
    const Index o0 = s.first_window(h, s.kernel_h, s.stride_h),
                p0 = s.first_window(w, s.kernel_w, s.stride_w);
    accum_t<T> total[V] = {};
    for (Index o = o0; o * s.stride_h <= h && o < s.out_h; ++o)
      for (Index p = p0; p * s.stride_w <= w && p < s.out_w; ++p) {
        const auto number = static_cast<std::int32_t>((h - o * s.stride_h) * s.kernel_w + w - p * s.stride_w);
        const Index from = ((at.n * s.out_h + o) * s.out_w + p) * C + at.c;
        const auto pick = load_pack<V>(picks + from);
        const auto gradient = load_pack<V>(dy + from);
        for (int v = 0; v < V; ++v)
          if (pick.value[v] == number) total[v] += wide(gradient.value[v]);
      }
    T* const to = dx.data + item * V;
    Pack<T, V> out{};
    if (dx.add) out = load_pack<V>(to);
    for (int v = 0; v < V; ++v) out.value[v] = narrow<T>(dx.add ? wide(out.value[v]) + total[v] : total[v]);
    store_pack(to, out);
  }
}
template <class T>
void max_pool_grad(Cuda device, const T* dy, const std::int32_t* picks, Index N, Index C,
                   const PoolWindows& s, GradientSink<T> dx) {
  constexpr int V = pack_size<T>;
  const bool packs = rows_of_packs<V>(C, dy, picks, dx.data);
  const Index items = N * s.h * s.w * C / (packs ? V : 1);
  launch(device, packs ? max_pool_grad_kernel<V, T> : max_pool_grad_kernel<1, T>, grid_blocks(items),
         block_threads, 0, dy, picks, items, C, s, dx);
}

template <class T>
void fill_in_pool_tables() {
  max_pool_table<T> = {max_pool<T>, max_pool_grad<T>};
}

}  // namespace gram::cuda
