// SPDX-License-Identifier: MIT
// Linear maps with GELU, the exact form, as graphs of cuDNN: what cuBLASLt has is the approximation with
// tanh.
#pragma once
#include "gram/cuda/cudnn_graph.cuh"

namespace gram::cuda {

/// a = gelu(x W^T [+ b]); tensors x (rows, in), weight (out, in), bias (out), h and a (rows, out), where h is
/// what the GELU is taken of. Bias and h are there when asked for.
inline CudnnGraph gelu_linear_graph(Index rows, Index in, Index out, bool bias, bool keep) {
  constexpr auto type = CUDNN_DATA_BFLOAT16;
  CudnnGraph graph;
  const Extents result{1, rows, out};
  const auto x = graph.tensor({1, rows, in}, {rows * in, in, 1}, type),
             weight = graph.tensor({1, in, out}, {in * out, 1, in}, type);
  const auto row = bias ? graph.tensor({1, 1, out}, {out, out, 1}, type) : CudnnTensor{};
  const auto h =
      keep ? graph.tensor(result, row_major(result), type) : graph.between(result, row_major(result));
  const auto a = graph.tensor(result, row_major(result), type);
  const auto sum = bias ? graph.between(result, row_major(result)) : h;
  graph.product(x, weight, sum);
  if (bias) graph.pointwise(CUDNN_POINTWISE_ADD, sum, row, h);
  graph.pointwise(CUDNN_POINTWISE_GELU_FWD, h, a);
  return graph;
}

/// dh = (dy W) gelu'(h); tensors dy (rows, out), weight (out, in), h and dh (rows, in).
inline CudnnGraph gelu_linear_grad_graph(Index rows, Index in, Index out) {
  constexpr auto type = CUDNN_DATA_BFLOAT16;
  CudnnGraph graph;
  const Extents result{1, rows, in};
  const auto dy = graph.tensor({1, rows, out}, {rows * out, out, 1}, type),
             weight = graph.tensor({1, out, in}, {out * in, in, 1}, type),
             h = graph.tensor(result, row_major(result), type),
             dh = graph.tensor(result, row_major(result), type);
  const auto da = graph.between(result, row_major(result));
  graph.product(dy, weight, da);
  graph.pointwise_grad(CUDNN_POINTWISE_GELU_BWD, da, h, dh);
  return graph;
}

}  // namespace gram::cuda
