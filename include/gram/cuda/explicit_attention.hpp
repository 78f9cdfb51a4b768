// SPDX-License-Identifier: MIT
// Attention by distance, as host code calls it; explicit_attention.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/kernels/explicit_attention.hpp"

namespace gram::cuda {

template <class T>
struct ExplicitAttentionTable {
  void (*gaussian)(Cuda, const kernels::GaussianAttentionShape& s, const T* log_radius, const T* v, T* y);
  void (*gaussian_grad)(Cuda, const kernels::GaussianAttentionShape& s, const T* log_radius, const T* v,
                        const T* dy, GradientSink<T> dv, GradientSink<T> dradius);
  void (*maps)(Cuda, const DistanceMap& m, Index heads, const T* log_radius, T* maps);
  void (*maps_grad)(Cuda, const DistanceMap& m, Index heads, const T* log_radius, const T* dmaps,
                    GradientSink<T> dradius);
};
template <class T>
inline ExplicitAttentionTable<T> explicit_attention_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void gaussian_attention(Cuda device, const kernels::GaussianAttentionShape& s, const T* log_radius,
                        const T* v, T* y) {
  return cuda::explicit_attention_table<T>.gaussian(device, s, log_radius, v, y);
}
template <class T>
void gaussian_attention_grad(Cuda device, const kernels::GaussianAttentionShape& s, const T* log_radius,
                             const T* v, const T* dy, GradientSink<T> dv, GradientSink<T> dradius) {
  return cuda::explicit_attention_table<T>.gaussian_grad(device, s, log_radius, v, dy, dv, dradius);
}
template <class T>
void distance_maps(Cuda device, const DistanceMap& m, Index heads, const T* log_radius, T* maps) {
  return cuda::explicit_attention_table<T>.maps(device, m, heads, log_radius, maps);
}
template <class T>
void distance_maps_grad(Cuda device, const DistanceMap& m, Index heads, const T* log_radius, const T* dmaps,
                        GradientSink<T> dradius) {
  return cuda::explicit_attention_table<T>.maps_grad(device, m, heads, log_radius, dmaps, dradius);
}

}  // namespace gram::kernels
