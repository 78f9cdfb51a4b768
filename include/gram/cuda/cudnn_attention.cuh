// SPDX-License-Identifier: MIT
// Attention of bf16 by cuDNN. Each function says whether it did the work; otherwise nothing has happened.
#pragma once
#include "gram/core/gradient_sink.hpp"
#include "gram/cuda/attention_graph.cuh"
#include "gram/cuda/plan_cache.cuh"

namespace gram::cuda {

/// What cuDNN takes, in its versions that mask the rest of a tile themselves.
inline bool cudnn_takes_attention(const kernels::AttentionShape& s) {
  const auto fits = [](Index width) { return width % 8 == 0 && width <= 128; };
  return s.images > 0 && s.queries > 0 && fits(s.width) && fits(s.value_width) && s.query_stride % 8 == 0 &&
         s.key_stride % 8 == 0 && s.value_stride % 8 == 0 && cudnnGetVersion() >= 91600;
}

inline PlanKey attention_key(std::string_view operation, const kernels::AttentionShape& s) {
  return {operation,
          {s.images, s.heads, s.queries, s.keys, s.width, s.value_width, s.query_stride, s.key_stride,
           s.value_stride}};
}

/// y = softmax(scale q k^T) v and the logarithms of the rows' sums.
inline bool cudnn_attention(Cuda device, const kernels::AttentionShape& s, const bf16* q, const bf16* k,
                            const bf16* v, bf16* y, float* lse) {
  if (!cudnn_takes_attention(s) || !are_aligned(q, k, v, y, lse)) return false;
  auto scale = static_cast<float>(s.scale);
  return run_plan(device, attention_key("attention", s), true, [&] { return attention_graph(s); },
                  {operand(q), operand(k), operand(v), &scale, y, lse});
}

/// The gradients, where all three are wanted and none is added to what is there. y is made again if it is
/// null.
inline bool cudnn_attention_grad(Cuda device, const kernels::AttentionShape& s, const bf16* q, const bf16* k,
                                 const bf16* v, const bf16* y, const float* lse, const bf16* dy,
                                 GradientSink<bf16> dq, GradientSink<bf16> dk, GradientSink<bf16> dv) {
  const bool single = s.queries == 1 && s.keys == 1;  // which cuDNN does not promise to take
  if (!cudnn_takes_attention(s) || single || !dq || !dk || !dv || dq.add || dk.add || dv.add) return false;
  if (!are_aligned(q, k, v, y, lse, dy, dq.data, dk.data, dv.data)) return false;
  const Index rows = s.images * s.heads * s.queries;
  DeviceScratch<bf16> again(device, y ? 0 : rows * s.value_width);
  DeviceScratch<float> sums(device, rows);
  if (!y) {
    DeviceScratch<float> lse_again(device, rows);
    if (!cudnn_attention(device, s, q, k, v, again.data(), lse_again.data())) return false;
    y = again.data();
  }
  float one = 1;
  auto scale = static_cast<float>(s.scale);
  return run_plan(device, attention_key("attention_grad", s), true, [&] { return attention_grad_graph(s); },
                  {operand(q), operand(k), operand(v), operand(y), operand(dy), operand(lse), &one, &scale,
                   sums.data(), dq.data, dk.data, dv.data});
}

}  // namespace gram::cuda
