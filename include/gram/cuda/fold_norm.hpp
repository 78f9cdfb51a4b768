// SPDX-License-Identifier: MIT
// The small matrices of a norm that a 1x1 convolution takes in, as host code calls them; fold_norm.cuh
// computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/batch_norm.hpp"
#include "gram/kernels/fold_norm.hpp"

namespace gram::cuda {

template <class T>
struct FoldNormTable {
  using A = accum_t<T>;
  void (*forward)(Cuda, const kernels::FoldNormArguments<A>& in, const kernels::FoldNormStatistics<A>& to,
                  T* scaled, T* shift, const kernels::BatchNormRunning<A>& running);
  void (*grad)(Cuda, const kernels::FoldNormArguments<A>& in, const kernels::FoldNormStatistics<A>& of,
               const kernels::FoldNormGradients<T>& out);
};
template <class T>
inline FoldNormTable<T> fold_norm_table{};

}  // namespace gram::cuda

namespace gram::kernels {

/// Moves the running statistics as well.
template <class T>
void fold_norm(Cuda device, const FoldNormArguments<accum_t<T>>& in, const FoldNormStatistics<accum_t<T>>& to,
               T* scaled, T* shift, const BatchNormRunning<accum_t<T>>& running) {
  return cuda::fold_norm_table<T>.forward(device, in, to, scaled, shift, running);
}
template <class T>
void fold_norm_grad(Cuda device, const FoldNormArguments<accum_t<T>>& in,
                    const FoldNormStatistics<accum_t<T>>& of, const FoldNormGradients<T>& out) {
  return cuda::fold_norm_table<T>.grad(device, in, of, out);
}

}  // namespace gram::kernels
