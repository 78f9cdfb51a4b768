// SPDX-License-Identifier: MIT
// Losses that are a sum over elements: each operand is read once, each gradient written once.
#pragma once
#include "gram/cuda/cross_entropy.cuh"
#include "gram/cuda/formulas.hpp"

namespace gram::cuda {

/// max(z, 0) - z t + log(1 + e^-|z|), which overflows for no z.
template <class A>
struct BinaryCrossEntropy {
  GRAM_DEVICE static A value(A z, A t) {
    const A positive = z < 0 ? A(0) : z;
    return positive - z * t + std::log1p(std::exp(z - 2 * positive));
  }
  GRAM_DEVICE static A grad_a(A z, A t) { return sigmoid(z) - t; }
  GRAM_DEVICE static A grad_b(A z, A) { return -z; }
};
/// e^q (q - p) for log-probabilities p and q of the target; zero where e^q is.
template <class A>
struct KlDivergence {
  GRAM_DEVICE static A value(A p, A q) {
    const A weight = std::exp(q);
    return weight == 0 ? A(0) : weight * (q - p);
  }
  GRAM_DEVICE static A grad_a(A, A q) { return -std::exp(q); }
  GRAM_DEVICE static A grad_b(A p, A q) {
    const A weight = std::exp(q);
    return weight == 0 ? A(0) : weight * (q - p + 1);
  }
};

/// The sum of each block; blocks depend on n alone.
template <class T, class F>
__global__ void pointwise_loss_kernel(const T* a, const T* b, double* sums, Index n) {
  __shared__ double scratch[warp_size];
  double total = 0;
  GRAM_UNROLL_BY(4)
  for (Index i = first_item(); i < n; i += item_step())
    total += static_cast<double>(F::value(wide(a[i]), wide(b[i])));
  total = block_sum(total, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}
template <class T, class F>
__global__ void pointwise_loss_grad_kernel(const T* a, const T* b, const T* dy, GradientSink<T> da,
                                           GradientSink<T> db, Index n, double scale) {
  const auto factor = static_cast<accum_t<T>>(scale * static_cast<double>(*dy));
  for (Index i = first_item(); i < n; i += item_step()) {
    const accum_t<T> u = wide(a[i]), v = wide(b[i]);
    if (da.data) put(da.data[i], factor * F::grad_a(u, v), da.add);
    if (db.data) put(db.data[i], factor * F::grad_b(u, v), db.add);
  }
}

template <class T>
void pointwise_loss(Cuda device, kernels::PointwiseLoss kind, const T* a, const T* b, T* loss, Index n,
                    double scale) {
  using A = accum_t<T>;
  const Index wanted = ceil_div(n, 4 * block_threads), blocks = wanted < 528 ? wanted : 528;
  DeviceScratch<double> sums(device, blocks);
  launch(device,
         kind == kernels::PointwiseLoss::kl_divergence ? pointwise_loss_kernel<T, KlDivergence<A>>
                                                       : pointwise_loss_kernel<T, BinaryCrossEntropy<A>>,
         static_cast<unsigned>(blocks), block_threads, 0, a, b, sums.data(), n);
  total_loss(device, sums.data(), blocks, loss, scale);
}
template <class T>
void pointwise_loss_grad(Cuda device, kernels::PointwiseLoss kind, const T* a, const T* b, const T* dy,
                         GradientSink<T> da, GradientSink<T> db, Index n, double scale) {
  using A = accum_t<T>;
  launch(device,
         kind == kernels::PointwiseLoss::kl_divergence ? pointwise_loss_grad_kernel<T, KlDivergence<A>>
                                                       : pointwise_loss_grad_kernel<T, BinaryCrossEntropy<A>>,
         grid_blocks(n), block_threads, 0, a, b, dy, da, db, n, scale);
}

}  // namespace gram::cuda
