// SPDX-License-Identifier: MIT
// Multi-head attention, as host code calls it; attention.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/scalar.hpp"
#include "gram/kernels/attention.hpp"

namespace gram::cuda {

template <class T>
struct AttentionTable {
  void (*forward)(Cuda, const kernels::AttentionShape& s, const T* q, const T* k, const T* v, T* y,
                  accum_t<T>* lse);
  void (*grad)(Cuda, const kernels::AttentionShape& s, const T* q, const T* k, const T* v, const T* y,
               const accum_t<T>* lse, const T* dy, GradientSink<T> dq, GradientSink<T> dk,
               GradientSink<T> dv);
  void (*map)(Cuda, const kernels::AttentionShape& s, const T* q, const T* k, T* map);
  void (*map_grad)(Cuda, const kernels::AttentionShape& s, const T* q, const T* k, const T* map,
                   const T* dmap, GradientSink<T> dq, GradientSink<T> dk);
};
template <class T>
inline AttentionTable<T> attention_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void attention(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, const T* v, T* y,
               accum_t<T>* lse) {
  return cuda::attention_table<T>.forward(device, s, q, k, v, y, lse);
}
template <class T>
void attention_grad(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, const T* v,
                    const T* y, const accum_t<T>* lse, const T* dy, GradientSink<T> dq, GradientSink<T> dk,
                    GradientSink<T> dv) {
  return cuda::attention_table<T>.grad(device, s, q, k, v, y, lse, dy, dq, dk, dv);
}
template <class T>
void attention_map(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, T* map) {
  return cuda::attention_table<T>.map(device, s, q, k, map);
}
template <class T>
void attention_map_grad(Cuda device, const kernels::AttentionShape& s, const T* q, const T* k, const T* map,
                        const T* dmap, GradientSink<T> dq, GradientSink<T> dk) {
  return cuda::attention_table<T>.map_grad(device, s, q, k, map, dmap, dq, dk);
}

}  // namespace gram::kernels
