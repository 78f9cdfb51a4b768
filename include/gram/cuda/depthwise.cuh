// SPDX-License-Identifier: MIT
// Depthwise convolutions: y and the input gradient. Neighbouring threads have neighbouring channels, each 16
// bytes of them where they divide.
//
// Kernels of 3, 5 and 7 without dilation: a thread makes several outputs of a row, so that what it reads of x
// meets up to that many taps. x comes from memory once, then from the caches of the rows around it; the floor
// is one reading of x and one writing of y.
#pragma once
#include "gram/cuda/columns.cuh"
#include "gram/cuda/conv2d_geometry.cuh"
#include "gram/cuda/conv2d_method.hpp"

namespace gram::cuda {

template <int V, class T>
GRAM_DEVICE void add_product(accum_t<T> (&sum)[V], const Pack<T, V>& a, const Pack<T, V>& b) {
  GRAM_UNROLL
  for (int v = 0; v < V; ++v) sum[v] += wide(a.value[v]) * wide(b.value[v]);
}

/// Where the results of a depthwise kernel go.
template <class T>
struct DepthwiseResult {
  Conv2dEpilogue<T> epilogue;
  T* y;
  bool add;

  /// V channels from `channel` on, at `position`.
  template <int V>
  GRAM_DEVICE void store(const accum_t<T> (&sum)[V], Index position, int channel) const {
    auto& to = *reinterpret_cast<Pack<T, V>*>(y + position);
    Pack<T, V> pack{};
    if (add) pack = to;
    GRAM_UNROLL
    for (int v = 0; v < V; ++v)
      pack.value[v] =
          finished(epilogue, add ? sum[v] + wide(pack.value[v]) : sum[v], position + v, channel + v);
    to = pack;
  }
};

/// to[tap][channel] = from[channel][tap], or with the taps in reverse.
template <class T>
__global__ void depthwise_taps_kernel(const T* from, T* to, int taps, int channels, bool reverse) {
  const Index size = Index{taps} * channels;
  for (Index i = first_item(); i < size; i += item_step()) {
    const int tap = static_cast<int>(i / channels), channel = static_cast<int>(i % channels);
    to[i] = from[Index{channel} * taps + (reverse ? taps - 1 - tap : tap)];
  }
}
/// The weight with channels side by side, for as long as the object lives.
template <class T>
class DepthwiseTaps {
 public:
  DepthwiseTaps(Cuda device, const Conv2dShape& s, const T* weight, bool reverse)
      : taps_(device, s.weight_size()) {
    launch(device, depthwise_taps_kernel<T>, grid_blocks(s.weight_size()), block_threads, 0, weight,
           taps_.data(), static_cast<int>(s.taps()), static_cast<int>(s.c), reverse);
  }
  const T* data() { return taps_.data(); }

 private:
  DeviceScratch<T> taps_;
};

/// Outputs of a row that a thread makes.
inline constexpr int depthwise_tile = 4;

/// y = correlation of x with a square kernel of K taps, stride S, no dilation. Blocks: x over packs of
/// channels and tiles of a row, y over rows of all images.
template <class T, int K, int S>
__global__ void __launch_bounds__(128)
    depthwise_tile_kernel(ConvGeometry g, Index lines, const T* x, const T* taps, DepthwiseResult<T> result) {
  constexpr int V = pack_size<T>, tile = depthwise_tile, reach = (tile - 1) * S + K;
  const int packs = g.c / V, i = static_cast<int>(first_item()), c = i % packs * V, first = i / packs * tile;
  if (first >= g.out_w) return;
  for (Index line = blockIdx.y; line < lines; line += gridDim.y) {
    const Index image = line / g.out_h;
    const int out = static_cast<int>(line % g.out_h);
    accum_t<T> sum[tile][V] = {};
    for (int a = 0; a < K; ++a) {
      const int h = out * S - g.padding_h + a;
      if (h < 0 || h >= g.h) continue;
      const T* const row = x + (image * g.h + h) * g.w * g.c + c;
      Pack<T, V> tap[K];
      GRAM_UNROLL
      for (int b = 0; b < K; ++b) tap[b] = load_pack<V>(taps + Index{a * K + b} * g.c + c);
      GRAM_UNROLL
      for (int q = 0; q < reach; ++q) {
        const int w = first * S - g.padding_w + q;
        if (w < 0 || w >= g.w) continue;
        const auto value = load_pack<V>(row + Index{w} * g.c);
        GRAM_UNROLL
        for (int t = 0; t < tile; ++t)
          if (q - t * S >= 0 && q - t * S < K) add_product<V, T>(sum[t], value, tap[q - t * S]);
      }
    }
    GRAM_UNROLL
    for (int t = 0; t < tile; ++t)
      if (first + t < g.out_w) result.template store<V>(sum[t], (line * g.out_w + first + t) * g.c + c, c);
  }
}

/// One pixel of the result and V channels for each thread, all options. Forward: y of x; otherwise the input
/// gradient of y: what each pixel of x gave.
template <class T, int V, bool Forward>
__global__ void depthwise_pixel_kernel(ConvGeometry g, Index pixels, const T* from, const T* taps,
                                       DepthwiseResult<T> result) {
  const Index packs = g.c / V, size = pixels * packs;
  for (Index i = first_item(); i < size; i += item_step()) {
    const int c = static_cast<int>(i % packs) * V;
    const Index pixel = i / packs;
    const int width = Forward ? g.out_w : g.w, height = Forward ? g.out_h : g.h;
    const int column = static_cast<int>(pixel % width);
    const Index line = pixel / width, image = line / height;
    const int row = static_cast<int>(line % height);
    accum_t<T> sum[V] = {};
    for (int a = 0; a < g.kh; ++a) {
      int h =
          Forward ? row * g.stride_h - g.padding_h + a * g.dilation_h : row + g.padding_h - a * g.dilation_h;
      if constexpr (!Forward) {
        if (h < 0 || h % g.stride_h != 0) continue;
        h /= g.stride_h;
      }
      if (h < 0 || h >= (Forward ? g.h : g.out_h)) continue;
      for (int b = 0; b < g.kw; ++b) {
        int w = Forward ? column * g.stride_w - g.padding_w + b * g.dilation_w
                        : column + g.padding_w - b * g.dilation_w;
        if constexpr (!Forward) {
          if (w < 0 || w % g.stride_w != 0) continue;
          w /= g.stride_w;
        }
        if (w < 0 || w >= (Forward ? g.w : g.out_w)) continue;
        const Index at = Forward ? (image * g.h + h) * g.w + w : (image * g.out_h + h) * g.out_w + w;
        add_product<V, T>(sum, load_pack<V>(from + at * g.c + c),
                          load_pack<V>(taps + Index{a * g.kw + b} * g.c + c));
      }
    }
    result.template store<V>(sum, pixel * g.c + c, c);
  }
}
template <class T, bool Forward>
void depthwise_pixels(Cuda device, const Conv2dShape& s, const T* from, const T* taps,
                      const DepthwiseResult<T>& result) {
  const Index pixels = Forward ? s.n * s.out_h() * s.out_w() : s.n * s.h * s.w;
  constexpr int V = pack_size<T>;
  const ConvGeometry g(s);
  if (rows_of_packs<pack_size<T>>(s.c, from, result.y))
    launch(device, depthwise_pixel_kernel<T, V, Forward>, grid_blocks(pixels * s.c / V), block_threads, 0, g,
           pixels, from, taps, result);
  else
    launch(device, depthwise_pixel_kernel<T, 1, Forward>, grid_blocks(pixels * s.c), block_threads, 0, g,
           pixels, from, taps, result);
}

/// Whether depthwise_tile_kernel makes the correlation; if so it is started.
template <class T>
bool depthwise_tiles(Cuda device, const Conv2dShape& s, const T* x, const T* taps,
                     const DepthwiseResult<T>& result) {
  const Index k = s.kh, stride = s.stride.h;
  if (k != s.kw || s.stride != Pair(stride) || s.dilation != Pair(1) ||
      !rows_of_packs<pack_size<T>>(s.c, x, result.y))
    return false;
  constexpr unsigned threads = 128;
  const Index lines = s.n * s.out_h(),
              items = s.c / pack_size<T> * ceil_div(s.out_w(), Index{depthwise_tile});
  const auto start = [&](auto* kernel) {
    launch(device, kernel,
           dim3(static_cast<unsigned>(ceil_div(items, Index{threads})),
                static_cast<unsigned>(lines < 65535 ? lines : 65535)),
           threads, 0, ConvGeometry(s), lines, x, taps, result);
    return true;
  };
  if (k == 3 && stride == 1) return start(depthwise_tile_kernel<T, 3, 1>);
  if (k == 3 && stride == 2) return start(depthwise_tile_kernel<T, 3, 2>);
  if (k == 5 && stride == 1) return start(depthwise_tile_kernel<T, 5, 1>);
  if (k == 7 && stride == 1) return start(depthwise_tile_kernel<T, 7, 1>);
  return false;
}

template <class T>
void depthwise_conv2d(Cuda device, const Conv2dShape& s, const T* x, const T* weight,
                      const Conv2dEpilogue<T>& epilogue, T* y) {
  DepthwiseTaps<T> taps(device, s, weight, false);
  const DepthwiseResult<T> result{epilogue, y, false};
  if (!depthwise_tiles(device, s, x, taps.data(), result))
    depthwise_pixels<T, true>(device, s, x, taps.data(), result);
}

/// With stride 1, dx is the correlation of dy with the reversed kernel.
template <class T>
void depthwise_conv2d_grad_input(Cuda device, const Conv2dShape& s, const T* weight, const T* dy, T* dx,
                                 bool add) {
  const DepthwiseResult<T> result{{}, dx, add};
  Conv2dShape back = s;
  back.h = s.out_h();
  back.w = s.out_w();
  back.padding = {s.kh - 1 - s.padding.h, s.kw - 1 - s.padding.w};
  if (s.stride == Pair(1) && s.dilation == Pair(1)) {
    DepthwiseTaps<T> taps(device, s, weight, true);
    if (depthwise_tiles(device, back, dy, taps.data(), result)) return;
  }
  DepthwiseTaps<T> taps(device, s, weight, false);
  depthwise_pixels<T, false>(device, s, dy, taps.data(), result);
}

}  // namespace gram::cuda
