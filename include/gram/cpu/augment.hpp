// SPDX-License-Identifier: MIT
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/parallel.hpp"
#include "gram/kernels/augment.hpp"

namespace gram::kernels {

/// y (N, H, W, C)
template <class T>
void augment(Cpu, const AugmentBatch<T>& batch, T* y) {
  parallel_blocks(batch.n, [&](Index i, int) {
    const ImageChange own = batch.change(i), other = batch.change(batch.n - 1 - i);
    T* to = y + i * batch.height * batch.width * batch.channels;
    for (Index row = 0; row < batch.height; ++row)
      for (Index column = 0; column < batch.width; ++column, to += batch.channels)
        batch.make(i, own, other, row, column, to);
  });
}

/// y (n, classes): share t(label i) + (1 - share) t(label n - 1 - i), with t = on at the label, off
/// elsewhere.
template <class T>
void mix_labels(Cpu, const std::int64_t* labels, Index n, Index classes, double on, double off, double share,
                T* y) {
  parallel_for(n * classes, 4096, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      y[i] = mixed_label<T>(labels, n, i / classes, i % classes, on, off, share);
  });
}

}  // namespace gram::kernels
