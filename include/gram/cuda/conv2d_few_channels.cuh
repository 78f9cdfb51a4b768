// SPDX-License-Identifier: MIT
// Images with few channels, and weights on them, in blocks of stride x stride pixels; see conv2d_method.hpp.
// Floor of the rearrangement: x read once, somewhat more written.
#pragma once
#include "gram/cuda/conv2d_geometry.cuh"
#include "gram/cuda/conv2d_method.hpp"

namespace gram::cuda {

/// The pixel and channel of x that channel c of a block is; a pixel of the kernel likewise.
struct BlockElement {
  int h, w, channel;
};
GRAM_DEVICE BlockElement block_element(const ConvGeometry& g, int h, int w, int c) {
  const int at = c / g.c;
  return {h * g.stride_h + at / g.stride_w, w * g.stride_w + at % g.stride_w, c % g.c};
}

/// blocks (N, h, w, c) of x (N, H, W, C), zero outside of x. A thread makes 8 channels: divisions take longer
/// than memory.
template <class T>
__global__ void gather_blocks_kernel(ConvGeometry g, ConvGeometry b, Index packs, const T* x, T* blocks) {
  for (Index i = first_item(); i < packs; i += item_step()) {
    const int together = b.c / 8;
    const Index pixel = i / together, line = pixel / b.w, image = line / b.h;
    const int first = static_cast<int>(i - pixel * together) * 8;
    BlockElement e =
        block_element(g, static_cast<int>(line - image * b.h), static_cast<int>(pixel - line * b.w), first);
    const int right = e.w - first / g.c % g.stride_w + g.stride_w;  // where the block ends
    Pack<T, 8> made{};
    for (int c = first; c < first + 8 && c < g.stride_h * g.stride_w * g.c; ++c) {
      const int h = e.h - g.padding_h, w = e.w - g.padding_w;
      if (h >= 0 && h < g.h && w >= 0 && w < g.w)
        made.value[c - first] = x[((image * g.h + h) * g.w + w) * g.c + e.channel];
      if (++e.channel < g.c) continue;
      e.channel = 0;
      if (++e.w < right) continue;
      e.w = right - g.stride_w;
      ++e.h;
    }
    *reinterpret_cast<Pack<T, 8>*>(blocks + i * 8) = made;
  }
}
/// dx (N, H, W, C) (+)= the gradient of the blocks that x was cut into; zero where no block reaches.
template <class T>
__global__ void scatter_blocks_kernel(ConvGeometry g, ConvGeometry b, Index size, const T* blocks, T* dx,
                                      bool add) {
  for (Index i = first_item(); i < size; i += item_step()) {
    const Index pixel = i / g.c, line = pixel / g.w, image = line / g.h;
    const int h = static_cast<int>(line % g.h) + g.padding_h, w = static_cast<int>(pixel % g.w) + g.padding_w;
    const int row = h / g.stride_h, column = w / g.stride_w;
    accum_t<T> value = add ? wide(dx[i]) : accum_t<T>(0);
    if (row < b.h && column < b.w)
      value += wide(blocks[((image * b.h + row) * b.w + column) * b.c +
                           (h % g.stride_h * g.stride_w + w % g.stride_w) * g.c + i % g.c]);
    dx[i] = narrow<T>(value);
  }
}
/// The weight (O, kh, kw, c) of blocks, zero beyond the kernel.
template <class T>
__global__ void gather_block_weight_kernel(ConvGeometry g, ConvGeometry b, Index size, const T* weight,
                                           T* blocks) {
  for (Index i = first_item(); i < size; i += item_step()) {
    const Index tap = i / b.c, line = tap / b.kw;
    const int c = static_cast<int>(i % b.c);
    const BlockElement e = block_element(g, static_cast<int>(line % b.kh), static_cast<int>(tap % b.kw), c);
    const bool inside = c < g.stride_h * g.stride_w * g.c && e.h < g.kh && e.w < g.kw;
    blocks[i] = inside ? weight[((line / b.kh * g.kh + e.h) * g.kw + e.w) * g.c + e.channel] : T(0);
  }
}
/// dw (O, Kh, Kw, C) (+)= the gradient of the weight of blocks.
template <class T>
__global__ void scatter_block_weight_kernel(ConvGeometry g, ConvGeometry b, Index size, const T* blocks,
                                            T* dw, bool add) {
  for (Index i = first_item(); i < size; i += item_step()) {
    const Index tap = i / g.c, line = tap / g.kw, o = line / g.kh;
    const int h = static_cast<int>(line % g.kh), w = static_cast<int>(tap % g.kw);
    const accum_t<T> value = wide(blocks[((o * b.kh + h / g.stride_h) * b.kw + w / g.stride_w) * b.c +
                                         (h % g.stride_h * g.stride_w + w % g.stride_w) * g.c + i % g.c]);
    dw[i] = narrow<T>(add ? wide(dw[i]) + value : value);
  }
}

/// x, or a weight, in blocks, for as long as the object lives.
template <class T>
class ImageBlocks {
 public:
  ImageBlocks(Cuda device, const Conv2dShape& s, const T* x) : blocks_(device, block_shape(s).x_size()) {
    const Conv2dShape b = block_shape(s);
    launch(device, gather_blocks_kernel<T>, grid_blocks(b.x_size() / 8), block_threads, 0, ConvGeometry(s),
           ConvGeometry(b), b.x_size() / 8, x, blocks_.data());
  }
  const T* data() { return blocks_.data(); }

 private:
  DeviceScratch<T> blocks_;
};
template <class T>
class WeightBlocks {
 public:
  WeightBlocks(Cuda device, const Conv2dShape& s, const T* weight)
      : blocks_(device, block_shape(s).weight_size()) {
    const Conv2dShape b = block_shape(s);
    launch(device, gather_block_weight_kernel<T>, grid_blocks(b.weight_size()), block_threads, 0,
           ConvGeometry(s), ConvGeometry(b), b.weight_size(), weight, blocks_.data());
  }
  const T* data() { return blocks_.data(); }

 private:
  DeviceScratch<T> blocks_;
};

}  // namespace gram::cuda
