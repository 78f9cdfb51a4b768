// SPDX-License-Identifier: MIT
#pragma once
#include "gram/ops/arithmetic.hpp"
#include "gram/ops/class_attention.hpp"
#include "gram/ops/layer_norm.hpp"
#include "gram/ops/linear.hpp"
#include "gram/ops/matmul.hpp"
#include "gram/ops/shape.hpp"
#include "gram/ops/softmax.hpp"
#include "gram/tensor/views.hpp"

namespace gram {

/// The class attention of one classifier head, written out: tokens (N, L, C) and the class token, query (N,
/// C) -> (N, C). Row m of class_attention() is this function of queries[m] and weights[m].
template <Scalar T>
Tensor<T> class_attention_textbook(const Tensor<T>& tokens, const Tensor<T>& query,
                                   const ClassAttentionWeights<T>& w, ClassAttentionOptions options) {
  const auto s = detail::class_attention_shape<T>("class_attention_textbook", tokens, {query}, {w}, options);
  const Index N = s.images, L = s.tokens, C = s.channels, E = s.width, d = s.head_width();

  const Tensor<T> u =
      concat<T>({reshape(query, {N, 1, C}), tokens}, 1);  // (N, 1 + L, C), the class token first
  const Tensor<T> a = layer_norm(u, w.norm_weight, w.norm_bias, options.epsilon);
  const Tensor<T> q =
      linear(slice(a, 1, 0, 1), w.q_weight, w.q_bias) * s.scale();  // only the class token asks
  const Tensor<T> k = linear(a, w.k_weight, w.k_bias);
  const Tensor<T> v = linear(a, w.v_weight, w.v_bias);

  const auto split_heads = [&](const Tensor<T>& x,
                               Index tokens_of_x) {  // (N, tokens, E) -> (N, heads, tokens, d)
    return permute(reshape(x, {N, tokens_of_x, s.heads, d}), {0, 2, 1, 3});
  };
  const Tensor<T> scores =
      matmul(split_heads(q, 1), split_heads(k, 1 + L), {.transpose_b = true});  // (N, heads, 1, 1 + L)
  const Tensor<T> o = matmul(softmax(scores), split_heads(v, 1 + L));           // (N, heads, 1, d)
  return linear(reshape(o, {N, E}), w.proj_weight, w.proj_bias);
}

}  // namespace gram
