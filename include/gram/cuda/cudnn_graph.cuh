// SPDX-License-Identifier: MIT
// Graphs of operations, from which cuDNN makes one plan. Tensors carry their logical sizes in the order (N,
// C, spatial ..); strides say that memory is channels-last.
#pragma once
#include "gram/cuda/cudnn.cuh"
#include "gram/kernels/conv2d.hpp"

namespace gram::cuda {

using Extents = std::vector<std::int64_t>;

/// Strides of memory in the order of the extents, the last one innermost.
inline Extents row_major(const Extents& extents) {
  Extents strides(extents.size());
  std::int64_t stride = 1;
  for (std::size_t i = extents.size(); i-- > 0; stride *= extents[i]) strides[i] = stride;
  return strides;
}

/// A tensor of a graph.
struct CudnnTensor {
  cudnnBackendDescriptor_t handle;
  std::int64_t id;
};

class CudnnGraph {
 public:
  /// A tensor in memory. Every call makes one, in the order in which execution takes pointers.
  CudnnTensor tensor(const Extents& extents, const Extents& strides, cudnnDataType_t type) {
    ids_.push_back(next_id_);
    return tensor(extents, strides, type, false, false);
  }
  /// A result that only other operations of the graph read.
  CudnnTensor between(const Extents& extents, const Extents& strides,
                      cudnnDataType_t type = CUDNN_DATA_FLOAT) {
    return tensor(extents, strides, type, true, false);
  }
  /// A float in host memory.
  CudnnTensor number(std::size_t rank) {
    const Extents ones(rank, 1);
    ids_.push_back(next_id_);
    return tensor(ones, ones, CUDNN_DATA_FLOAT, false, true);
  }
  /// A map (n, h, w, c), in memory or between operations.
  CudnnTensor map(Index n, Index h, Index w, Index c, cudnnDataType_t type) {
    return tensor({n, c, h, w}, {h * w * c, 1, w * c, c}, type);
  }
  CudnnTensor map_between(Index n, Index h, Index w, Index c) {
    return between({n, c, h, w}, {h * w * c, 1, w * c, c});
  }

  void convolution(CudnnTensor x, CudnnTensor weight, CudnnTensor y, const Conv2dShape& s) {
    convolution(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        x, weight, y, s);
  }
  void convolution_grad_input(CudnnTensor dy, CudnnTensor weight, CudnnTensor dx, const Conv2dShape& s) {
    convolution(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        dy, weight, dx, s);
  }
  void convolution_grad_weight(CudnnTensor x, CudnnTensor dy, CudnnTensor dw, const Conv2dShape& s) {
    convolution(
        CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
         CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
        x, dy, dw, s);
  }

  /// y = f(x) element by element.
  void pointwise(cudnnPointwiseMode_t mode, CudnnTensor x, CudnnTensor y) {
    finish(pointwise_operation(mode, x, y), "pointwise operation");
  }
  /// y = f(a, b), with b repeated along axes of extent 1.
  void pointwise(cudnnPointwiseMode_t mode, CudnnTensor a, CudnnTensor b, CudnnTensor y) {
    Descriptor d = pointwise_operation(mode, a, y);
    d.set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b.handle);
    finish(std::move(d), "pointwise operation");
  }
  /// dx = dy f'(x).
  void pointwise_grad(cudnnPointwiseMode_t mode, CudnnTensor dy, CudnnTensor x, CudnnTensor dx) {
    Descriptor d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    d.set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise_function(mode))
        .set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_DYDESC, dy.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_DXDESC, dx.handle);
    finish(std::move(d), "gradient of a pointwise operation");
  }
  /// y = sums of x along the axes where y has extent 1.
  void sum(CudnnTensor x, CudnnTensor y) {
    Descriptor reduction(CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    reduction.set(CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_REDUCE_TENSOR_ADD)
        .set(CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .finish("reduction");
    Descriptor d(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    d.set_descriptor(CUDNN_ATTR_OPERATION_REDUCTION_DESC, keep(std::move(reduction)))
        .set_descriptor(CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y.handle);
    finish(std::move(d), "reduction operation");
  }
  /// c = a b for the last two axes.
  void product(CudnnTensor a, CudnnTensor b, CudnnTensor c) {
    Descriptor matmul(CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    matmul.set(CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT).finish("matmul");
    Descriptor d(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    d.set_descriptor(CUDNN_ATTR_OPERATION_MATMUL_ADESC, a.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_MATMUL_BDESC, b.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_MATMUL_CDESC, c.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_MATMUL_DESC, keep(std::move(matmul)));
    finish(std::move(d), "matmul operation");
  }
  /// y = x with other extents and strides.
  void reshape(CudnnTensor x, CudnnTensor y) {
    Descriptor d(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    d.set_descriptor(CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y.handle);
    finish(std::move(d), "reshape operation");
  }
  /// y = softmax(scale q k^T) v, lse = the logarithm of each row's sum of exponentials.
  void attention(CudnnTensor q, CudnnTensor k, CudnnTensor v, CudnnTensor scale, CudnnTensor y,
                 CudnnTensor lse) {
    Descriptor d(CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    d.set_descriptor(CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, k.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, y.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC, lse.handle);
    finish(std::move(d), "attention operation");
  }

  /// The graph as plans are made of it, for the device of `handle` if there is one; nothing can be added any
  /// more.
  const Descriptor& finish(cudnnHandle_t handle = nullptr) {
    if (!graph_) {
      Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
      graph.set_descriptors(CUDNN_ATTR_OPERATIONGRAPH_OPS, operations_);
      if (handle) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
      graph.finish("operation graph");
      graph_ = std::move(graph);
    }
    return graph_;
  }
  /// Of the tensors in memory, in the order in which they were made.
  const std::vector<std::int64_t>& ids() const { return ids_; }

 private:
  struct ConvolutionNames {
    Descriptor::Attribute first, second, result, convolution, alpha, beta;
  };

  CudnnTensor tensor(const Extents& extents, const Extents& strides, cudnnDataType_t type, bool is_between,
                     bool on_host) {
    const std::int64_t id = next_id_++, alignment = 16;
    Descriptor d(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    d.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id)
        .set(CUDNN_ATTR_TENSOR_DATA_TYPE, type)
        .set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, alignment)
        .set(CUDNN_ATTR_TENSOR_DIMENSIONS, extents)
        .set(CUDNN_ATTR_TENSOR_STRIDES, strides)
        .set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_between);
    if (on_host) d.set(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
    d.finish("tensor");
    return {keep(std::move(d)), id};
  }
  void convolution(cudnnBackendDescriptorType_t type, const ConvolutionNames& names, CudnnTensor first,
                   CudnnTensor second, CudnnTensor result, const Conv2dShape& s) {
    const Extents padding{s.padding.h, s.padding.w};
    const std::int64_t axes = 2;
    Descriptor convolution(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    convolution.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT)
        .set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION)
        .set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, axes)
        .set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding)
        .set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding)
        .set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, Extents{s.stride.h, s.stride.w})
        .set(CUDNN_ATTR_CONVOLUTION_DILATIONS, Extents{s.dilation.h, s.dilation.w})
        .finish("convolution");
    Descriptor d(type);
    d.set_descriptor(names.first, first.handle)
        .set_descriptor(names.second, second.handle)
        .set_descriptor(names.result, result.handle)
        .set_descriptor(names.convolution, keep(std::move(convolution)))
        .set(names.alpha, 1.0F)
        .set(names.beta, 0.0F);
    finish(std::move(d), "convolution operation");
  }
  cudnnBackendDescriptor_t pointwise_function(cudnnPointwiseMode_t mode) {
    Descriptor pointwise(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    pointwise.set(CUDNN_ATTR_POINTWISE_MODE, mode)
        .set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT)
        .finish("pointwise");
    return keep(std::move(pointwise));
  }
  Descriptor pointwise_operation(cudnnPointwiseMode_t mode, CudnnTensor x, CudnnTensor y) {
    Descriptor d(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    d.set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise_function(mode))
        .set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x.handle)
        .set_descriptor(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y.handle);
    return d;
  }
  cudnnBackendDescriptor_t keep(Descriptor&& d) { return descriptors_.emplace_back(std::move(d)).handle(); }
  void finish(Descriptor&& operation, const char* what) {
    operation.finish(what);
    operations_.push_back(keep(std::move(operation)));
  }

  std::vector<Descriptor> descriptors_;  // whatever a graph is made of has to outlive it
  std::vector<cudnnBackendDescriptor_t> operations_;
  std::vector<std::int64_t> ids_;
  std::int64_t next_id_ = 1;
  Descriptor graph_;
};

}  // namespace gram::cuda
