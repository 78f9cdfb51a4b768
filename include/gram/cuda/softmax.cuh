// SPDX-License-Identifier: MIT
// Softmax along an axis: x is read from memory once, and twice more from the caches; y is written once.
#pragma once
#include "gram/cuda/along_axis.cuh"
#include "gram/cuda/softmax.hpp"

namespace gram::cuda {

template <class T, int threads, bool logarithm>
__global__ void softmax_kernel(const T* x, T* y, AxisView v) {
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Elements<T, threads> value{along, x};
  const Normaliser<accum_t<T>> z = normaliser<accum_t<T>>(along, value);
  const accum_t<T> scale = 1 / z.sum;
  for (Index r = along.lane; r < v.n; r += threads) {
    const accum_t<T> shifted = value(r) - z.top;
    y[along.at(r)] = narrow<T>(logarithm ? shifted - z.log_sum : std::exp(shifted) * scale);
  }
}

/// y and dy are read from memory once, and once more from the caches.
template <class T, int threads, bool logarithm>
__global__ void softmax_grad_kernel(const T* y, const T* dy, T* dx, bool add, AxisView v) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Elements<T, threads> value{along, y}, slope{along, dy};
  A total = 0;
  GRAM_UNROLL_BY(4)
  for (Index r = along.lane; r < v.n; r += threads) total += logarithm ? slope(r) : value(r) * slope(r);
  total = along.sum(total);
  for (Index r = along.lane; r < v.n; r += threads)
    put(dx[along.at(r)], logarithm ? slope(r) - std::exp(value(r)) * total : value(r) * (slope(r) - total),
        add);
}

template <class T>
void softmax(Cuda device, bool logarithm, const T* x, T* y, const AxisView& v) {
  if (logarithm)
    launch_along(device, v, softmax_kernel<T, 1, true>, softmax_kernel<T, warp_size, true>,
                 softmax_kernel<T, block_threads, true>, x, y, v);
  else
    launch_along(device, v, softmax_kernel<T, 1, false>, softmax_kernel<T, warp_size, false>,
                 softmax_kernel<T, block_threads, false>, x, y, v);
}
template <class T>
void softmax_grad(Cuda device, bool logarithm, const T* y, const T* dy, T* dx, bool add, const AxisView& v) {
  if (logarithm)
    launch_along(device, v, softmax_grad_kernel<T, 1, true>, softmax_grad_kernel<T, warp_size, true>,
                 softmax_grad_kernel<T, block_threads, true>, y, dy, dx, add, v);
  else
    launch_along(device, v, softmax_grad_kernel<T, 1, false>, softmax_grad_kernel<T, warp_size, false>,
                 softmax_grad_kernel<T, block_threads, false>, y, dy, dx, add, v);
}

template <class T>
void fill_in_softmax_tables() {
  softmax_table<T> = {softmax<T>, softmax_grad<T>};
}

}  // namespace gram::cuda
