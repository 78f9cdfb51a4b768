// SPDX-License-Identifier: MIT
// All kernels of the backend, and the functions that put them into the tables that host code calls through.
#pragma once
#include "gram/cuda/attention.cuh"
#include "gram/cuda/augment.cuh"
#include "gram/cuda/average.cuh"
#include "gram/cuda/batch_norm.cuh"
#include "gram/cuda/class_attention.cuh"
#include "gram/cuda/conv2d.cuh"
#include "gram/cuda/copy.cuh"
#include "gram/cuda/covariance.cuh"
#include "gram/cuda/dropout.cuh"
#include "gram/cuda/elementwise.cuh"
#include "gram/cuda/explicit_attention.cuh"
#include "gram/cuda/fold_norm.cuh"
#include "gram/cuda/gelu_linear.cuh"
#include "gram/cuda/gemm.cuh"
#include "gram/cuda/gram.cuh"
#include "gram/cuda/graph.cuh"
#include "gram/cuda/index.cuh"
#include "gram/cuda/layer_norm.cuh"
#include "gram/cuda/linear_grad.cuh"
#include "gram/cuda/loss.cuh"
#include "gram/cuda/meter.cuh"
#include "gram/cuda/normalize.cuh"
#include "gram/cuda/optimizer.cuh"
#include "gram/cuda/permute.cuh"
#include "gram/cuda/pool.cuh"
#include "gram/cuda/reduce.cuh"
#include "gram/cuda/resize.cuh"
#include "gram/cuda/runtime.cuh"
#include "gram/cuda/softmax.cuh"
#include "gram/cuda/token_mixing.cuh"
#include "gram/cuda/upload.cuh"

namespace gram::cuda {

/// The kernels for tensors of T.
template <class T>
void fill_in_tables() {
  accumulate_table<T> = {accumulate<T>};
  fill_in_attention_tables<T>();
  fill_in_augment_tables<T>();
  fill_in_average_tables<T>();
  fill_in_batch_norm_tables<T>();
  fill_in_class_attention_tables<T>();
  fill_in_conv2d_tables<T>();
  fill_in_copy_tables<T>();
  fill_in_covariance_tables<T>();
  fill_in_dropout_tables<T>();
  fill_in_elementwise_tables<T>();
  fill_in_explicit_attention_tables<T>();
  fill_in_fold_norm_tables<T>();
  fill_in_gelu_linear_tables<T>();
  fill_in_gemm_tables<T>();
  fill_in_gram_tables<T>();
  fill_in_index_tables<T>();
  fill_in_layer_norm_tables<T>();
  fill_in_linear_grad_tables<T>();
  fill_in_loss_tables<T>();
  fill_in_meter_tables<T>();
  fill_in_normalize_tables<T>();
  fill_in_optimizer_tables<T>();
  fill_in_permute_tables<T>();
  fill_in_pool_tables<T>();
  fill_in_reduce_tables<T>();
  fill_in_resize_tables<T>();
  fill_in_softmax_tables<T>();
  fill_in_token_mixing_tables<T>();
}

/// What belongs to no scalar type, or to two.
inline void fill_in_other_tables() {
  fill_in_copy_tables<std::int32_t>();
  fill_in_copy_tables<std::int64_t>();
  fill_in_copy_tables<std::uint8_t>();
  fill_in_graph_table();
  first_outside = find_outside;
  arrange_labels = start_arrange_labels;
  fill_in_upload_table();
  runtime = &runtime_functions;
}

}  // namespace gram::cuda
