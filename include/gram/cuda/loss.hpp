// SPDX-License-Identifier: MIT
// Losses and their gradients, as host code calls them; loss.cuh computes.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/gradient_sink.hpp"
#include "gram/core/scalar.hpp"
#include "gram/core/shape.hpp"
#include "gram/kernels/pointwise_loss.hpp"

namespace gram::cuda {

template <class T>
struct LossTable {
  void (*label)(Cuda, const T* x, const Index* labels, T* loss, accum_t<T>* normaliser, Index rows, Index n,
                double smoothing, double scale);
  void (*soft)(Cuda, const T* x, const T* t, T* loss, accum_t<T>* normaliser, Index rows, Index n,
               double smoothing, double scale);
  void (*label_grad)(Cuda, const T* x, const Index* labels, const accum_t<T>* normaliser, const T* dy, T* dx,
                     bool add, Index rows, Index n, double smoothing, double scale);
  void (*soft_grad)(Cuda, const T* x, const T* t, const accum_t<T>* normaliser, const T* dy, T* dx, bool add,
                    Index rows, Index n, double smoothing, double scale);
  void (*target_grad)(Cuda, const T* x, const accum_t<T>* normaliser, const T* dy, T* dt, bool add,
                      Index rows, Index n, double smoothing, double scale);
  void (*pointwise)(Cuda, kernels::PointwiseLoss kind, const T* a, const T* b, T* loss, Index n,
                    double scale);
  void (*pointwise_grad)(Cuda, kernels::PointwiseLoss kind, const T* a, const T* b, const T* dy,
                         GradientSink<T> da, GradientSink<T> db, Index n, double scale);
  void (*decorrelation)(Cuda, Index heads, const T* const* z, T* loss, Index rows, Index n, double scale);
  void (*decorrelation_grad)(Cuda, Index heads, const T* const* z, const T* dy, const GradientSink<T>* sinks,
                             Index rows, Index n, double scale);
};
template <class T>
inline LossTable<T> loss_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void cross_entropy(Cuda device, const T* x, const Index* labels, T* loss, accum_t<T>* normaliser, Index rows,
                   Index n, double smoothing, double scale) {
  return cuda::loss_table<T>.label(device, x, labels, loss, normaliser, rows, n, smoothing, scale);
}
template <class T>
void cross_entropy(Cuda device, const T* x, const T* t, T* loss, accum_t<T>* normaliser, Index rows, Index n,
                   double smoothing, double scale) {
  return cuda::loss_table<T>.soft(device, x, t, loss, normaliser, rows, n, smoothing, scale);
}
template <class T>
void cross_entropy_grad(Cuda device, const T* x, const Index* labels, const accum_t<T>* normaliser,
                        const T* dy, T* dx, bool add, Index rows, Index n, double smoothing, double scale) {
  return cuda::loss_table<T>.label_grad(device, x, labels, normaliser, dy, dx, add, rows, n, smoothing,
                                        scale);
}
template <class T>
void cross_entropy_grad(Cuda device, const T* x, const T* t, const accum_t<T>* normaliser, const T* dy, T* dx,
                        bool add, Index rows, Index n, double smoothing, double scale) {
  return cuda::loss_table<T>.soft_grad(device, x, t, normaliser, dy, dx, add, rows, n, smoothing, scale);
}
template <class T>
void cross_entropy_target_grad(Cuda device, const T* x, const accum_t<T>* normaliser, const T* dy, T* dt,
                               bool add, Index rows, Index n, double smoothing, double scale) {
  return cuda::loss_table<T>.target_grad(device, x, normaliser, dy, dt, add, rows, n, smoothing, scale);
}
template <class T>
void pointwise_loss(Cuda device, kernels::PointwiseLoss kind, const T* a, const T* b, T* loss, Index n,
                    double scale) {
  return cuda::loss_table<T>.pointwise(device, kind, a, b, loss, n, scale);
}
template <class T>
void pointwise_loss_grad(Cuda device, kernels::PointwiseLoss kind, const T* a, const T* b, const T* dy,
                         GradientSink<T> da, GradientSink<T> db, Index n, double scale) {
  return cuda::loss_table<T>.pointwise_grad(device, kind, a, b, dy, da, db, n, scale);
}
template <class T>
void decorrelation(Cuda device, Index heads, const T* const* z, T* loss, Index rows, Index n, double scale) {
  return cuda::loss_table<T>.decorrelation(device, heads, z, loss, rows, n, scale);
}
template <class T>
void decorrelation_grad(Cuda device, Index heads, const T* const* z, const T* dy,
                        const GradientSink<T>* sinks, Index rows, Index n, double scale) {
  return cuda::loss_table<T>.decorrelation_grad(device, heads, z, dy, sinks, rows, n, scale);
}

}  // namespace gram::kernels
