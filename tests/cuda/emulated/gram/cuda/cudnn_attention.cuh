// SPDX-License-Identifier: MIT
// The stand-in device has no cuDNN: no plan for anything, so that the library's own kernels run. An observer
// is told what cuDNN would do instead.
#pragma once
#include "gram/core/gradient_sink.hpp"
#include "gram/cuda/context.cuh"
#include "gram/kernels/attention.hpp"

namespace gram::cuda {

/// Queries, keys, values and results are read or written `times` each; products of queries x keys x width.
inline bool observed_attention(const kernels::AttentionShape& s, const char* name, double times,
                               double products) {
  if (!emulated::observer) return false;
  const auto rows = static_cast<double>(s.images * s.heads * s.queries),
             keys = static_cast<double>(s.images * s.heads * s.keys),
             widths = static_cast<double>(s.width + s.value_width);
  emulated::observer->library({name, times * 2 * widths * (rows + keys) + 4 * rows,
                               products * rows * static_cast<double>(s.keys * s.width)});
  return true;
}
inline bool cudnn_attention(Cuda, const kernels::AttentionShape& s, const bf16*, const bf16*, const bf16*,
                            bf16*, float*) {
  return observed_attention(s, "cuDNN attention", 1, 4);
}
inline bool cudnn_attention_grad(Cuda, const kernels::AttentionShape& s, const bf16*, const bf16*,
                                 const bf16*, const bf16* y, const float*, const bf16*,
                                 GradientSink<bf16> dq, GradientSink<bf16> dk, GradientSink<bf16> dv) {
  if (!dq || !dk || !dv || dq.add || dk.add || dv.add) return false;
  if (!y && !observed_attention(s, "cuDNN attention, again", 1, 4)) return false;
  return observed_attention(s, "cuDNN attention gradient", 2, 10);
}

}  // namespace gram::cuda
