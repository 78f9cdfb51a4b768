// SPDX-License-Identifier: MIT
// Augmentation of batches. Every thread draws the changes of its image for itself: that costs less than
// waiting for one that does. What must be moved: the bytes of the images (twice where they are mixed) and y.
#pragma once
#include <algorithm>

#include "gram/cuda/augment.hpp"
#include "gram/cuda/context.cuh"

namespace gram::cuda {

template <class T>
__global__ void __launch_bounds__(block_threads) augment_kernel(kernels::AugmentBatch<T> batch, T* y) {
  const Index pixels = batch.height * batch.width;
  for (Index i = blockIdx.y; i < batch.n; i += gridDim.y) {
    const ImageChange own = batch.change(i), other = batch.change(batch.n - 1 - i);
    for (Index pixel = first_item(); pixel < pixels; pixel += item_step()) {
      const Index row = pixel / batch.width, column = pixel - row * batch.width;
      batch.make(i, own, other, row, column, y + (i * pixels + pixel) * batch.channels);
    }
  }
}
template <class T>
void augment(Cuda device, const kernels::AugmentBatch<T>& batch, T* y) {
  constexpr Index pixels_of_thread = 16;
  const Index pixels = batch.height * batch.width;
  const dim3 blocks(static_cast<unsigned>(ceil_div(pixels, pixels_of_thread * block_threads)),
                    static_cast<unsigned>(std::min(batch.n, Index{65535})));
  launch(device, augment_kernel<T>, blocks, block_threads, 0, batch, y);
}

template <class T>
__global__ void mix_labels_kernel(const std::int64_t* labels, Index n, Index classes, double on, double off,
                                  double share, T* y) {
  for (Index i = first_item(); i < n * classes; i += item_step())
    y[i] = kernels::mixed_label<T>(labels, n, i / classes, i % classes, on, off, share);
}
template <class T>
void mix_labels(Cuda device, const std::int64_t* labels, Index n, Index classes, double on, double off,
                double share, T* y) {
  launch(device, mix_labels_kernel<T>, grid_blocks(n * classes), block_threads, 0, labels, n, classes, on,
         off, share, y);
}

template <class T>
void fill_in_augment_tables() {
  augment_table<T> = {augment<T>, mix_labels<T>};
}

}  // namespace gram::cuda
