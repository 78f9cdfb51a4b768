// SPDX-License-Identifier: MIT
// The stand-in device has no cuDNN: no plan for anything, so that the library's own kernels run.
#pragma once
#include "gram/core/gradient_sink.hpp"
#include "gram/cuda/context.cuh"
#include "gram/kernels/attention.hpp"

namespace gram::cuda {

inline bool cudnn_attention(Cuda, const kernels::AttentionShape&, const bf16*, const bf16*, const bf16*,
                            bf16*, float*) {
  return false;
}
inline bool cudnn_attention_grad(Cuda, const kernels::AttentionShape&, const bf16*, const bf16*, const bf16*,
                                 const bf16*, const float*, const bf16*, GradientSink<bf16>,
                                 GradientSink<bf16>, GradientSink<bf16>) {
  return false;
}

}  // namespace gram::cuda
