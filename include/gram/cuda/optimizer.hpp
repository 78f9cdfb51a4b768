// SPDX-License-Identifier: MIT
// Steps of the optimisers and clipping, as host code calls them; optimizer.cuh and clip.cuh compute.
#pragma once
#include <span>

#include "gram/core/device.hpp"
#include "gram/kernels/optimizer.hpp"

namespace gram::cuda {

template <class T>
struct OptimizerTable {
  using A = accum_t<T>;
  void (*sgd)(Cuda, std::span<const kernels::OptimizerItem<T, SgdStep<A>>> items);
  void (*adamw)(Cuda, std::span<const kernels::OptimizerItem<T, AdamWStep<A>>> items);
  void (*clip)(Cuda, std::span<const kernels::GradientSpan<T>> gradients,
               std::span<const kernels::GradientSpan<A>> wide, double max_norm, double* norm);
};
template <class T>
inline OptimizerTable<T> optimizer_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void sgd(Cuda device, std::span<const OptimizerItem<T, SgdStep<accum_t<T>>>> items) {
  cuda::optimizer_table<T>.sgd(device, items);
}
template <class T>
void adamw(Cuda device, std::span<const OptimizerItem<T, AdamWStep<accum_t<T>>>> items) {
  cuda::optimizer_table<T>.adamw(device, items);
}
template <class T>
void clip_gradients(Cuda device, std::span<const GradientSpan<T>> gradients,
                    std::span<const GradientSpan<accum_t<T>>> wide, double max_norm, double* norm) {
  cuda::optimizer_table<T>.clip(device, gradients, wide, max_norm, norm);
}

}  // namespace gram::kernels
