// SPDX-License-Identifier: MIT
// Attention as graphs of cuDNN. Tokens are (images, heads, tokens, width) with the strides that they have in
// memory, so that q, k and v may be parts of one tensor.
#pragma once
#include "gram/cuda/cudnn_graph.cuh"
#include "gram/kernels/attention.hpp"

namespace gram::cuda {

/// Tensors q, k, v, scale, y, lse.
inline CudnnGraph attention_graph(const kernels::AttentionShape& s) {
  CudnnGraph graph;
  const auto tokens = [&](Index count, Index width, Index stride) {
    return graph.tensor({s.images, s.heads, count, width}, {count * stride, width, stride, 1},
                        CUDNN_DATA_BFLOAT16);
  };
  const Extents rows{s.images, s.heads, s.queries, 1};
  const auto q = tokens(s.queries, s.width, s.query_stride), k = tokens(s.keys, s.width, s.key_stride),
             v = tokens(s.keys, s.value_width, s.value_stride), scale = graph.number(4),
             y = tokens(s.queries, s.value_width, s.heads * s.value_width),
             lse = graph.tensor(rows, row_major(rows), CUDNN_DATA_FLOAT);
  graph.attention(q, k, v, scale, y, lse);
  return graph;
}

/// The gradients, with the map P made again from the logarithms of its rows' sums:
///     P = exp(scale q k^T - lse)    dv = P^T dy    dS = scale P (dy v^T - rowsum(dy y))
///     dk = dS^T q                   dq = dS k
/// Each sum is made by one block in one order. Tensors q, k, v, y, dy, lse, one, scale, sums (of rows), dq,
/// dk, dv.
inline CudnnGraph attention_grad_graph(const kernels::AttentionShape& s) {
  constexpr auto bf16_type = CUDNN_DATA_BFLOAT16;
  CudnnGraph graph;
  const auto tokens = [&](Index count, Index width, Index stride) {
    return graph.tensor({s.images, s.heads, count, width}, {count * stride, width, stride, 1}, bf16_type);
  };
  const auto transposed = [&](Index count, Index width, Index stride) {
    return graph.tensor({s.images, s.heads, width, count}, {count * stride, width, 1, stride}, bf16_type);
  };
  const Extents rows{s.images, s.heads, s.queries, 1}, map{s.images, s.heads, s.queries, s.keys},
      map_transposed{s.images, s.heads, s.keys, s.queries},
      across{s.heads * s.queries * s.keys, s.queries * s.keys, 1, s.keys},
      values{s.images, s.heads, s.queries, s.value_width};
  const Index out_stride = s.heads * s.value_width;
  const auto q = tokens(s.queries, s.width, s.query_stride), k_t = transposed(s.keys, s.width, s.key_stride),
             v_t = transposed(s.keys, s.value_width, s.value_stride),
             y = tokens(s.queries, s.value_width, out_stride),
             dy = tokens(s.queries, s.value_width, out_stride),
             lse = graph.tensor(rows, row_major(rows), CUDNN_DATA_FLOAT), one = graph.number(4),
             scale = graph.number(4), sums = graph.tensor(rows, row_major(rows), CUDNN_DATA_FLOAT),
             dq = tokens(s.queries, s.width, s.query_stride), dk = tokens(s.keys, s.width, s.key_stride),
             dv = tokens(s.keys, s.value_width, s.value_stride);
  const auto between = [&](const Extents& extents) { return graph.between(extents, row_major(extents)); };
  const auto pointwise = [&](cudnnPointwiseMode_t mode, CudnnTensor a, CudnnTensor b,
                             const Extents& extents) {
    const CudnnTensor result = between(extents);
    graph.pointwise(mode, a, b, result);
    return result;
  };
  const auto map_product = [&](CudnnTensor a, CudnnTensor b) {
    const CudnnTensor result = between(map);
    graph.product(a, b, result);
    return result;
  };

  const auto row_sums = between(rows);
  graph.sum(pointwise(CUDNN_POINTWISE_MUL, dy, y, values), row_sums);
  graph.pointwise(CUDNN_POINTWISE_MUL, row_sums, one, sums);  // cuDNN knows the pattern by this factor

  const auto scores = pointwise(CUDNN_POINTWISE_MUL, map_product(q, k_t), scale, map), p = between(map);
  graph.pointwise(CUDNN_POINTWISE_EXP, pointwise(CUDNN_POINTWISE_SUB, scores, lse, map), p);
  const auto p_t = graph.between(map_transposed, across, bf16_type);
  graph.reshape(p, p_t);
  graph.product(p_t, dy, dv);

  const auto dp = pointwise(CUDNN_POINTWISE_SUB, map_product(dy, v_t), sums, map);
  const auto ds = graph.between(map, row_major(map), bf16_type);
  graph.pointwise(CUDNN_POINTWISE_MUL, pointwise(CUDNN_POINTWISE_MUL, dp, p, map), scale, ds);
  const auto ds_t = graph.between(map_transposed, across, bf16_type);
  graph.reshape(ds, ds_t);
  graph.product(ds_t, q, dk);

  const auto k = graph.between({s.images, s.heads, s.keys, s.width},
                               {s.keys * s.key_stride, s.width, s.key_stride, 1}, bf16_type);
  graph.reshape(k_t, k);
  graph.product(ds, k, dq);
  return graph;
}

}  // namespace gram::cuda
