// SPDX-License-Identifier: MIT
// Augmentation of batches, as host code calls it; augment.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/augment.hpp"

namespace gram::cuda {

template <class T>
struct AugmentTable {
  void (*augment)(Cuda, const kernels::AugmentBatch<T>& batch, T* y);
  void (*mix_labels)(Cuda, const std::int64_t* labels, Index n, Index classes, double on, double off,
                     double share, T* y);
};
template <class T>
inline AugmentTable<T> augment_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void augment(Cuda device, const AugmentBatch<T>& batch, T* y) {
  cuda::augment_table<T>.augment(device, batch, y);
}
template <class T>
void mix_labels(Cuda device, const std::int64_t* labels, Index n, Index classes, double on, double off,
                double share, T* y) {
  cuda::augment_table<T>.mix_labels(device, labels, n, classes, on, off, share, y);
}

}  // namespace gram::kernels
