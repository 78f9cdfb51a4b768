// SPDX-License-Identifier: MIT
// Division by the Euclidean length along an axis: x is read from memory once, and once more from the caches.
#pragma once
#include "gram/cuda/along_axis.cuh"
#include "gram/cuda/normalize.hpp"

namespace gram::cuda {

template <class T, int threads>
__global__ void normalize_kernel(const T* x, T* y, accum_t<T>* length, AxisView v, accum_t<T> epsilon) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Elements<T, threads> value{along, x};
  A squares = 0;
  GRAM_UNROLL_BY(4)
  for (Index r = along.lane; r < v.n; r += threads) squares = std::fma(value(r), value(r), squares);
  const A root = std::sqrt(along.sum(squares)), divisor = root > epsilon ? root : epsilon;
  if (along.lane == 0) length[along.number] = root;
  for (Index r = along.lane; r < v.n; r += threads) y[along.at(r)] = narrow<T>(value(r) / divisor);
}

template <class T, int threads>
__global__ void normalize_grad_kernel(const T* y, const accum_t<T>* length, const T* dy, T* dx, bool add,
                                      AxisView v, accum_t<T> epsilon) {
  using A = accum_t<T>;
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Elements<T, threads> value{along, y}, slope{along, dy};
  A direct = 0;
  GRAM_UNROLL_BY(4)
  for (Index r = along.lane; r < v.n; r += threads) direct = std::fma(value(r), slope(r), direct);
  const A root = length[along.number], divisor = root > epsilon ? root : epsilon;
  direct = along.sum(direct);
  if (!(root > epsilon)) direct = 0;  // y = x / epsilon, a linear map
  for (Index r = along.lane; r < v.n; r += threads)
    put(dx[along.at(r)], (slope(r) - value(r) * direct) / divisor, add);
}

template <class T>
void l2_normalize(Cuda device, const T* x, T* y, accum_t<T>* length, const AxisView& v, double epsilon) {
  launch_along(device, v, normalize_kernel<T, 1>, normalize_kernel<T, warp_size>,
               normalize_kernel<T, block_threads>, x, y, length, v, static_cast<accum_t<T>>(epsilon));
}
template <class T>
void l2_normalize_grad(Cuda device, const T* y, const accum_t<T>* length, const T* dy, T* dx, bool add,
                       const AxisView& v, double epsilon) {
  launch_along(device, v, normalize_grad_kernel<T, 1>, normalize_grad_kernel<T, warp_size>,
               normalize_grad_kernel<T, block_threads>, y, length, dy, dx, add, v,
               static_cast<accum_t<T>>(epsilon));
}

template <class T>
void fill_in_normalize_tables() {
  normalize_table<T> = {l2_normalize<T>, l2_normalize_grad<T>};
}

}  // namespace gram::cuda
