// SPDX-License-Identifier: MIT
// Cross-entropy of softmax: a warp or a block for each row reads the logits from memory once, and again from
// the caches; the losses of the rows are added in a fixed order, in double.
#pragma once
#include "gram/cuda/along_axis.cuh"
#include "gram/cuda/loss.hpp"

namespace gram::cuda {

/// loss = scale * (terms[0] + .. + terms[n - 1]), by one block.
template <class T>
__global__ void total_loss_kernel(const double* terms, Index n, T* loss, double scale) {
  __shared__ double scratch[warp_size];
  double total = 0;
  for (Index i = threadIdx.x; i < n; i += blockDim.x) total += terms[i];
  total = block_sum(total, scratch);
  if (threadIdx.x == 0) *loss = static_cast<T>(scale * total);
}
template <class T>
void total_loss(Cuda device, const double* terms, Index n, T* loss, double scale) {
  launch(device, total_loss_kernel<T>, 1, block_threads, 0, terms, n, loss, scale);
}

/// Without smoothing the other logits do not enter the loss again: they may be -inf, to mask classes.
template <class T, int threads>
__global__ void label_loss_kernel(const T* x, const Index* labels, double* losses, accum_t<T>* kept,
                                  AxisView v, accum_t<T> s) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Elements<T, threads> value{along, x};
  const Normaliser<A> z = normaliser<A>(along, value);
  A shifted = 0;
  if (s != 0)
    for (Index r = along.lane; r < v.n; r += threads) shifted += value(r) - z.top;
  const A average = z.log_sum - along.sum(shifted) / static_cast<A>(v.n);
  if (along.lane > 0) return;
  kept[2 * along.number] = z.top;
  kept[2 * along.number + 1] = z.log_sum;
  const A own = z.log_sum - (value(labels[along.number]) - z.top);
  losses[along.number] = static_cast<double>(s == 0 ? own : (1 - s) * own + s * average);
}

template <class T, int threads>
__global__ void soft_loss_kernel(const T* x, const T* t, double* losses, accum_t<T>* kept, AxisView v,
                                 accum_t<T> s) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Elements<T, threads> value{along, x}, target{along, t};
  const Normaliser<A> z = normaliser<A>(along, value);
  const A keep = 1 - s, share = s / static_cast<A>(v.n);
  A loss = 0;
  for (Index r = along.lane; r < v.n; r += threads) {
    const A weight = keep * target(r) + share;
    if (weight != 0) loss += weight * (z.log_sum - (value(r) - z.top));
  }
  loss = along.sum(loss);
  if (along.lane > 0) return;
  kept[2 * along.number] = z.top;
  kept[2 * along.number + 1] = z.log_sum;
  losses[along.number] = static_cast<double>(loss);
}

template <class T, int threads>
__global__ void label_loss_grad_kernel(const T* x, const Index* labels, const accum_t<T>* kept, const T* dy,
                                       T* dx, bool add, AxisView v, accum_t<T> s, double scale) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const A factor = static_cast<A>(scale * static_cast<double>(*dy)), share = s / static_cast<A>(v.n),
          top = kept[2 * along.number], log_sum = kept[2 * along.number + 1];
  const Index label = labels[along.number];
  for (Index r = along.lane; r < v.n; r += threads) {
    const A p = std::exp(wide(x[along.at(r)]) - top - log_sum);
    put(dx[along.at(r)], factor * (r == label ? p - share - (1 - s) : p - share), add);
  }
}

template <class T, int threads>
__global__ void soft_loss_grad_kernel(const T* x, const T* t, const accum_t<T>* kept, const T* dy, T* dx,
                                      bool add, AxisView v, accum_t<T> s, double scale) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Elements<T, threads> value{along, x}, target{along, t};
  const A factor = static_cast<A>(scale * static_cast<double>(*dy)), keep = 1 - s,
          share = s / static_cast<A>(v.n), top = kept[2 * along.number], log_sum = kept[2 * along.number + 1];
  A total = 0;
  for (Index r = along.lane; r < v.n; r += threads) total += target(r);
  total = keep * along.sum(total) + s;
  for (Index r = along.lane; r < v.n; r += threads) {
    const A p = std::exp(value(r) - top - log_sum);
    put(dx[along.at(r)], factor * (p * total - (keep * target(r) + share)), add);
  }
}

template <class T, int threads>
__global__ void target_grad_kernel(const T* x, const accum_t<T>* kept, const T* dy, T* dt, bool add,
                                   AxisView v, accum_t<T> s, double scale) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const A factor = static_cast<A>(scale * static_cast<double>(*dy)) * (1 - s), top = kept[2 * along.number],
          log_sum = kept[2 * along.number + 1];
  for (Index r = along.lane; r < v.n; r += threads)
    put(dt[along.at(r)], factor * (log_sum - (wide(x[along.at(r)]) - top)), add);
}

inline AxisView rows_view(Index rows, Index n) { return {Shape{rows, n}, 1, 2}; }

template <class T>
void label_loss(Cuda device, const T* x, const Index* labels, T* loss, accum_t<T>* normaliser, Index rows,
                Index n, double smoothing, double scale) {
  DeviceScratch<double> losses(device, rows);
  const AxisView v = rows_view(rows, n);
  launch_along(device, v, label_loss_kernel<T, 1>, label_loss_kernel<T, warp_size>,
               label_loss_kernel<T, block_threads>, x, labels, losses.data(), normaliser, v,
               static_cast<accum_t<T>>(smoothing));
  total_loss(device, losses.data(), rows, loss, scale);
}
template <class T>
void soft_loss(Cuda device, const T* x, const T* t, T* loss, accum_t<T>* normaliser, Index rows, Index n,
               double smoothing, double scale) {
  DeviceScratch<double> losses(device, rows);
  const AxisView v = rows_view(rows, n);
  launch_along(device, v, soft_loss_kernel<T, 1>, soft_loss_kernel<T, warp_size>,
               soft_loss_kernel<T, block_threads>, x, t, losses.data(), normaliser, v,
               static_cast<accum_t<T>>(smoothing));
  total_loss(device, losses.data(), rows, loss, scale);
}
template <class T>
void label_loss_grad(Cuda device, const T* x, const Index* labels, const accum_t<T>* normaliser, const T* dy,
                     T* dx, bool add, Index rows, Index n, double smoothing, double scale) {
  const AxisView v = rows_view(rows, n);
  launch_along(device, v, label_loss_grad_kernel<T, 1>, label_loss_grad_kernel<T, warp_size>,
               label_loss_grad_kernel<T, block_threads>, x, labels, normaliser, dy, dx, add, v,
               static_cast<accum_t<T>>(smoothing), scale);
}
template <class T>
void soft_loss_grad(Cuda device, const T* x, const T* t, const accum_t<T>* normaliser, const T* dy, T* dx,
                    bool add, Index rows, Index n, double smoothing, double scale) {
  const AxisView v = rows_view(rows, n);
  launch_along(device, v, soft_loss_grad_kernel<T, 1>, soft_loss_grad_kernel<T, warp_size>,
               soft_loss_grad_kernel<T, block_threads>, x, t, normaliser, dy, dx, add, v,
               static_cast<accum_t<T>>(smoothing), scale);
}
template <class T>
void target_grad(Cuda device, const T* x, const accum_t<T>* normaliser, const T* dy, T* dt, bool add,
                 Index rows, Index n, double smoothing, double scale) {
  const AxisView v = rows_view(rows, n);
  launch_along(device, v, target_grad_kernel<T, 1>, target_grad_kernel<T, warp_size>,
               target_grad_kernel<T, block_threads>, x, normaliser, dy, dt, add, v,
               static_cast<accum_t<T>>(smoothing), scale);
}

}  // namespace gram::cuda
