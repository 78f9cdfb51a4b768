// SPDX-License-Identifier: MIT
// The weight gradient of depthwise convolutions: dw[c, a, b] = sum over pixels p of dy[p, c] x[p + (a, b),
// c], pixels in parts that depend on the shape alone, added in order. Floor: one reading of x and one of dy;
// the kernel rows of a block read the same lines of dy, and those of x after one another, from the caches.
#pragma once
#include "gram/cuda/depthwise.cuh"

namespace gram::cuda {

/// partial[part][tap][channel] of a square kernel of K taps, stride 1, no dilation: threads x over packs of
/// channels, y over kernel rows; blocks x over packs, y over parts of the lines of all images.
template <class T, int K>
__global__ void __launch_bounds__(32 * K, 1)
    depthwise_weight_tile_kernel(ConvGeometry g, Index lines, const T* x, const T* dy, accum_t<T>* partial) {
  constexpr int V = pack_size<T>, tile = depthwise_tile;
  const int pack = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), c = pack * V;
  const int a = static_cast<int>(threadIdx.y);
  if (c >= g.c) return;
  accum_t<T> sum[K][V] = {};
  const Index begin = lines * blockIdx.y / gridDim.y, end = lines * (blockIdx.y + 1) / gridDim.y;
  for (Index line = begin; line < end; ++line) {
    const int h = static_cast<int>(line % g.out_h) - g.padding_h + a;
    if (h < 0 || h >= g.h) continue;
    const T* const row = x + (line / g.out_h * g.h + h) * g.w * g.c + c;
    for (int first = 0; first < g.out_w; first += tile) {
      Pack<T, V> gradient[tile] = {};
      GRAM_UNROLL
      for (int t = 0; t < tile; ++t)
        if (first + t < g.out_w) gradient[t] = load_pack<V>(dy + (line * g.out_w + first + t) * g.c + c);
      GRAM_UNROLL
      for (int q = 0; q < tile + K - 1; ++q) {
        const int w = first - g.padding_w + q;
        if (w < 0 || w >= g.w) continue;
        const auto value = load_pack<V>(row + Index{w} * g.c);
        GRAM_UNROLL
        for (int t = 0; t < tile; ++t)
          if (q - t >= 0 && q - t < K) add_product<V, T>(sum[q - t], value, gradient[t]);
      }
    }
  }
  GRAM_UNROLL
  for (int b = 0; b < K; ++b) GRAM_UNROLL
  for (int v = 0; v < V; ++v) partial[((Index{blockIdx.y} * K + a) * K + b) * g.c + c + v] = sum[b][v];
}

/// The same for all options: a thread for each channel, blocks x over channels, y over taps, z over parts.
template <class T>
__global__ void depthwise_weight_kernel(ConvGeometry g, Index lines, const T* x, const T* dy,
                                        accum_t<T>* partial) {
  const Index c = first_item();
  if (c >= g.c) return;
  const int taps = g.kh * g.kw;
  const Index begin = lines * blockIdx.z / gridDim.z, end = lines * (blockIdx.z + 1) / gridDim.z;
  for (int tap = static_cast<int>(blockIdx.y); tap < taps; tap += static_cast<int>(gridDim.y)) {
    accum_t<T> sum = 0;
    for (Index line = begin; line < end; ++line) {
      const int h = static_cast<int>(line % g.out_h) * g.stride_h - g.padding_h + tap / g.kw * g.dilation_h;
      if (h < 0 || h >= g.h) continue;
      for (int j = 0; j < g.out_w; ++j) {
        const int w = j * g.stride_w - g.padding_w + tap % g.kw * g.dilation_w;
        if (w < 0 || w >= g.w) continue;
        sum += wide(dy[(line * g.out_w + j) * g.c + c]) *
               wide(x[((line / g.out_h * g.h + h) * g.w + w) * g.c + c]);
      }
    }
    partial[(Index{blockIdx.z} * taps + tap) * g.c + c] = sum;
  }
}

template <class T>
void depthwise_conv2d_grad_weight(Cuda device, const Conv2dShape& s, const T* x, const T* dy, T* dw,
                                  bool add) {
  const Index lines = s.n * s.out_h();
  const bool square =
      s.kh == s.kw && s.stride == Pair(1) && s.dilation == Pair(1) && rows_of_packs<pack_size<T>>(s.c, x, dy);
  constexpr int V = pack_size<T>;
  constexpr Index blocks_wanted = 132 * 8;
  const auto parts_of = [&](Index blocks) {
    return std::max<Index>(1, std::min(blocks_wanted / blocks, lines));
  };
  const auto finish = [&](auto& partial, Index parts) {
    sum_parts(device, partial.data(), parts, s.taps(), s.c, dw, add);
  };
  const auto tiles = [&](auto* kernel) {
    const Index blocks = ceil_div(s.c / V, Index{warp_size}), parts = parts_of(blocks);
    DeviceScratch<accum_t<T>> partial(device, parts * s.weight_size());
    launch(device, kernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(parts)),
           dim3(static_cast<unsigned>(std::min<Index>(s.c / V, warp_size)), static_cast<unsigned>(s.kh)), 0,
           ConvGeometry(s), lines, x, dy, partial.data());
    finish(partial, parts);
  };
  if (square && s.kh == 3) return tiles(depthwise_weight_tile_kernel<T, 3>);
  if (square && s.kh == 5) return tiles(depthwise_weight_tile_kernel<T, 5>);
  if (square && s.kh == 7) return tiles(depthwise_weight_tile_kernel<T, 7>);
  const Index columns = ceil_div(s.c, Index{block_threads}), rows = std::min<Index>(s.taps(), 65535),
              parts = parts_of(columns * rows);
  DeviceScratch<accum_t<T>> partial(device, parts * s.weight_size());
  launch(device, depthwise_weight_kernel<T>,
         dim3(static_cast<unsigned>(columns), static_cast<unsigned>(rows), static_cast<unsigned>(parts)),
         block_threads, 0, ConvGeometry(s), lines, x, dy, partial.data());
  finish(partial, parts);
}

}  // namespace gram::cuda
