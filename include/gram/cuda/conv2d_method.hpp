// SPDX-License-Identifier: MIT
// Which way a convolution takes on CUDA. Depthwise ones have kernels of their own, dense 1x1 ones are matrix
// products; the first ones of networks, on few channels, become convolutions of blocks of pixels. What is
// left is cuDNN's, or that of the kernel for all options.
#pragma once
#include "gram/kernels/conv2d.hpp"

namespace gram::cuda {

/// Maps without elements: libraries refuse them.
inline bool is_empty(const Conv2dShape& s) { return s.x_size() == 0 || s.y_size() == 0; }

/// Every group has one input channel and one output channel.
inline bool is_depthwise(const Conv2dShape& s) { return s.groups == s.c && s.groups == s.o; }

/// x (pixels, C), weight (O, C), y (pixels, O).
inline bool is_product(const Conv2dShape& s) {
  return s.taps() == 1 && s.groups == 1 && s.padding == Pair(0) && s.stride == Pair(1);
}

/// Tensor cores want multiples of 8 channels. Blocks of stride x stride pixels become the channels of one,
/// and the convolution one of stride 1 without padding: a 7x7 kernel of stride 2 on 3 channels becomes 4x4 on
/// 16 (12 of them used), a kernel as large as its stride a matrix product.
inline bool takes_blocks(const Conv2dShape& s) {
  return s.c < 8 && s.groups == 1 && s.dilation == Pair(1) && s.taps() > 1 && s.kh >= s.stride.h &&
         s.kw >= s.stride.w;
}
/// The convolution of blocks. They begin at the padding, so that there is none left.
inline Conv2dShape block_shape(const Conv2dShape& s) {
  const Index kh = ceil_div(s.kh, s.stride.h), kw = ceil_div(s.kw, s.stride.w);
  return {.n = s.n,
          .h = s.out_h() - 1 + kh,
          .w = s.out_w() - 1 + kw,
          .c = round_up(s.stride.h * s.stride.w * s.c, Index{8}),
          .o = s.o,
          .kh = kh,
          .kw = kw};
}

}  // namespace gram::cuda
