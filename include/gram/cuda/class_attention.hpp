// SPDX-License-Identifier: MIT
// Class attention of all classifiers together, as host code calls it; class_attention.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/kernels/class_attention.hpp"

namespace gram::cuda {

template <class T>
struct ClassAttentionTable {
  void (*forward)(Cuda, const kernels::ClassAttentionShape& s, const T* x, const T* const* queries,
                  const kernels::ClassAttentionPointers<T>* weights, T* kept, accum_t<T>* statistics, T* out);
  void (*grad)(Cuda, const kernels::ClassAttentionShape& s, const T* x,
               const kernels::ClassAttentionPointers<T>* weights, const T* kept, const accum_t<T>* statistics,
               const T* dout, GradientSink<T> dx, const kernels::ClassAttentionSinks<T>* sinks);
};
template <class T>
inline ClassAttentionTable<T> class_attention_table{};

}  // namespace gram::cuda

namespace gram::kernels {

/// tokens x (N, L, C), class tokens queries[m] (N, C) -> out (M, N, C); weights[m] for m < M; kept has
/// ClassAttentionKept(s).size elements, statistics ClassAttentionStatistics(s).size.
template <class T>
void class_attention(Cuda device, const kernels::ClassAttentionShape& s, const T* x, const T* const* queries,
                     const kernels::ClassAttentionPointers<T>* weights, T* kept, accum_t<T>* statistics,
                     T* out) {
  return cuda::class_attention_table<T>.forward(device, s, x, queries, weights, kept, statistics, out);
}
template <class T>
void class_attention_grad(Cuda device, const kernels::ClassAttentionShape& s, const T* x,
                          const kernels::ClassAttentionPointers<T>* weights, const T* kept,
                          const accum_t<T>* statistics, const T* dout, GradientSink<T> dx,
                          const kernels::ClassAttentionSinks<T>* sinks) {
  return cuda::class_attention_table<T>.grad(device, s, x, weights, kept, statistics, dout, dx, sinks);
}

}  // namespace gram::kernels
