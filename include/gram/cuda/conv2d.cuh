// SPDX-License-Identifier: MIT
// Convolutions: each takes the way that conv2d_method.hpp says.
#pragma once
#include "gram/cuda/conv2d.hpp"
#include "gram/cuda/conv2d_cudnn.cuh"
#include "gram/cuda/conv2d_direct.cuh"
#include "gram/cuda/conv2d_few_channels.cuh"
#include "gram/cuda/conv2d_pointwise.cuh"
#include "gram/cuda/depthwise.cuh"
#include "gram/cuda/depthwise_weight.cuh"

namespace gram::cuda {

/// Whether the convolution is made of blocks of pixels; tensor cores know no double.
template <class T>
bool uses_blocks(const Conv2dShape& s) {
  return takes_blocks(s) && !is_empty(s) && !std::is_same_v<T, double>;
}

template <class T>
void conv2d(Cuda device, const Conv2dShape& s, const T* x, const T* weight,
            const Conv2dEpilogue<std::type_identity_t<T>>& epilogue, T* y) {
  if (is_depthwise(s)) return depthwise_conv2d(device, s, x, weight, epilogue, y);
  if (is_product(s) && !is_empty(s)) return pointwise_conv2d(device, s, x, weight, epilogue, y);
  if (uses_blocks<T>(s)) {
    ImageBlocks<T> blocks(device, s, x);
    WeightBlocks<T> block_weight(device, s, weight);
    return conv2d(device, block_shape(s), blocks.data(), block_weight.data(), epilogue, y);
  }
  if (!is_empty(s) && cudnn_conv2d(device, s, x, weight, epilogue, y)) return;
  direct_conv2d(device, s, x, weight, epilogue, y);
}

template <class T>
void conv2d_grad_input(Cuda device, const Conv2dShape& s, const T* weight, const T* dy, T* dx, bool add) {
  if (is_depthwise(s)) return depthwise_conv2d_grad_input(device, s, weight, dy, dx, add);
  if (is_product(s) && !is_empty(s)) return pointwise_conv2d_grad_input(device, s, weight, dy, dx, add);
  if (uses_blocks<T>(s)) {
    const Conv2dShape b = block_shape(s);
    WeightBlocks<T> block_weight(device, s, weight);
    DeviceScratch<T> blocks(device, b.x_size());
    conv2d_grad_input(device, b, block_weight.data(), dy, blocks.data(), false);
    return launch(device, scatter_blocks_kernel<T>, grid_blocks(s.x_size()), block_threads, 0,
                  ConvGeometry(s), ConvGeometry(b), s.x_size(), blocks.data(), dx, add);
  }
  if (!is_empty(s) && cudnn_conv2d_grad_input(device, s, weight, dy, dx, add)) return;
  direct_conv2d_grad_input(device, s, weight, dy, dx, add);
}

template <class T>
void conv2d_grad_weight(Cuda device, const Conv2dShape& s, const T* x, const T* dy, T* dw, bool add) {
  if (is_depthwise(s)) return depthwise_conv2d_grad_weight(device, s, x, dy, dw, add);
  if (is_product(s) && !is_empty(s)) {
    const auto by_product = [&] { return pointwise_conv2d_grad_weight(device, s, x, dy, dw, false), true; };
    const auto by_cudnn = [&] { return cudnn_conv2d_grad_weight(device, s, x, dy, dw, false); };
    // Long sums for few results: it depends on how a library cuts them.
    const PlanKey key{"conv2d_grad_weight by cuDNN",
                      {static_cast<Index>(sizeof(T)), s.n * s.h * s.w, s.c, s.o, tf32()}};
    if (!add && !std::is_same_v<T, double> && first_is_faster(device, key, by_cudnn, by_product) &&
        by_cudnn())
      return;
    return pointwise_conv2d_grad_weight(device, s, x, dy, dw, add);
  }
  if (uses_blocks<T>(s)) {
    const Conv2dShape b = block_shape(s);
    ImageBlocks<T> blocks(device, s, x);
    DeviceScratch<T> block_weight(device, b.weight_size());
    conv2d_grad_weight(device, b, blocks.data(), dy, block_weight.data(), false);
    return launch(device, scatter_block_weight_kernel<T>, grid_blocks(s.weight_size()), block_threads, 0,
                  ConvGeometry(s), ConvGeometry(b), s.weight_size(), block_weight.data(), dw, add);
  }
  if (!is_empty(s) && cudnn_conv2d_grad_weight(device, s, x, dy, dw, add)) return;
  direct_conv2d_grad_weight(device, s, x, dy, dw, add);
}

template <class T>
void fill_in_conv2d_tables() {
  conv2d_table<T> = {conv2d<T>, conv2d_grad_input<T>, conv2d_grad_weight<T>};
}

}  // namespace gram::cuda
