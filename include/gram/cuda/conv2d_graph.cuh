// SPDX-License-Identifier: MIT
// Convolutions as graphs of cuDNN.
#pragma once
#include "gram/cuda/cudnn_graph.cuh"

namespace gram::cuda {

/// The tensors of a convolution, as a graph knows them.
template <class T>
struct ConvTensors {
  CudnnGraph& graph;
  const Conv2dShape& s;
  CudnnTensor x() { return graph.map(s.n, s.h, s.w, s.c, cudnn_type<T>); }
  CudnnTensor weight() { return graph.map(s.o, s.kh, s.kw, s.group_in(), cudnn_type<T>); }
  CudnnTensor y() { return graph.map(s.n, s.out_h(), s.out_w(), s.o, cudnn_type<T>); }
  CudnnTensor y_between() { return graph.map_between(s.n, s.out_h(), s.out_w(), s.o); }
  CudnnTensor bias() { return graph.map(1, 1, 1, s.o, cudnn_type<T>); }
};

/// y = [relu](convolution [+ bias] [+ residual]); tensors x, weight, y, bias, residual.
template <class T>
CudnnGraph conv2d_graph(const Conv2dShape& s, bool bias, bool residual, bool relu) {
  CudnnGraph graph;
  ConvTensors<T> tensors{graph, s};
  const auto x = tensors.x(), weight = tensors.weight(), y = tensors.y();
  int left = int{bias} + int{residual} + int{relu};
  const auto next = [&] { return left-- == 0 ? y : tensors.y_between(); };
  CudnnTensor sum = next();
  graph.convolution(x, weight, sum, s);
  const auto add = [&](CudnnTensor term) {
    const CudnnTensor to = next();
    graph.pointwise(CUDNN_POINTWISE_ADD, sum, term, to);
    sum = to;
  };
  if (bias) add(tensors.bias());
  if (residual) add(tensors.y());
  if (relu) graph.pointwise(CUDNN_POINTWISE_RELU_FWD, sum, next());
  return graph;
}
/// Tensors dy, weight, dx.
template <class T>
CudnnGraph conv2d_grad_input_graph(const Conv2dShape& s) {
  CudnnGraph graph;
  ConvTensors<T> tensors{graph, s};
  const auto dy = tensors.y(), weight = tensors.weight(), dx = tensors.x();
  graph.convolution_grad_input(dy, weight, dx, s);
  return graph;
}
/// Tensors x, dy, dw.
template <class T>
CudnnGraph conv2d_grad_weight_graph(const Conv2dShape& s) {
  CudnnGraph graph;
  ConvTensors<T> tensors{graph, s};
  const auto x = tensors.x(), dy = tensors.y(), dw = tensors.weight();
  graph.convolution_grad_weight(x, dy, dw, s);
  return graph;
}

}  // namespace gram::cuda
