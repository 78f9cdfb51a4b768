// SPDX-License-Identifier: MIT
// The small matrices of a norm that a 1x1 convolution takes in: a warp for each row. What takes the time is
// to start a kernel, so all of a pass is in one.
#pragma once
#include <cmath>

#include "gram/cuda/batch_norm.cuh"
#include "gram/cuda/fold_norm.hpp"

namespace gram::cuda {

/// sum over k of f(k), along a row, in every lane.
template <class F>
GRAM_DEVICE double row_sum(Index n, const F& f) {
  double sum = 0;
  for (Index k = threadIdx.x % warp_size; k < n; k += warp_size) sum += f(k);
  return warp_sum(sum);
}
/// The row of this warp.
GRAM_DEVICE Index row_of_warp() {
  return static_cast<Index>(blockIdx.x) * (block_threads / warp_size) + threadIdx.x / warp_size;
}
inline unsigned blocks_of_rows(Index rows) {
  return static_cast<unsigned>(ceil_div(rows, Index{block_threads / warp_size}));
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    fold_norm_kernel(kernels::FoldNormArguments<accum_t<T>> in, kernels::FoldNormStatistics<accum_t<T>> to,
                     T* scaled, T* shift, kernels::BatchNormRunning<accum_t<T>> running) {
  using A = accum_t<T>;
  const Index c = row_of_warp(), lane = threadIdx.x % warp_size;
  if (c >= in.out) return;  // a whole warp
  const A* const w = in.weight + c * in.in;
  const auto times = [](A a, A b) { return static_cast<double>(a) * static_cast<double>(b); };
  A mean, variance;
  if (in.spread) {
    const A* const v = in.spread + c * in.in;
    mean = static_cast<A>(row_sum(in.in, [&](Index k) { return times(w[k], in.x_mean[k]); }));
    const double sum = row_sum(in.in, [&](Index k) { return times(w[k], v[k]); });
    variance = static_cast<A>(sum < 0 ? 0.0 : sum);  // NaN stays NaN
  } else {
    mean = to.mean[c], variance = to.variance[c];
  }
  const A rstd = static_cast<A>(1 / std::sqrt(static_cast<double>(variance) + in.epsilon)),
          scale = in.gamma ? in.gamma[c] * rstd : rstd;
  T* const s = scaled + c * in.in;
  double moved = times(mean, scale);
  if (in.spread) {
    moved = row_sum(in.in, [&](Index k) {
      s[k] = narrow<T>(w[k] * scale);
      return times(wide(s[k]), in.x_mean[k]);
    });
  } else {
    for (Index k = lane; k < in.in; k += warp_size) s[k] = narrow<T>(w[k] * scale);
  }
  if (lane) return;
  if (running.mean) move_running(running, c, mean, variance);
  to.mean[c] = mean, to.variance[c] = variance, to.rstd[c] = rstd, to.scale[c] = scale;
  shift[c] = narrow<T>(static_cast<A>((in.beta ? static_cast<double>(in.beta[c]) : 0.0) - moved));
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    fold_norm_grad_kernel(kernels::FoldNormArguments<accum_t<T>> in,
                          kernels::FoldNormStatistics<accum_t<T>> of, kernels::FoldNormGradients<T> out) {
  using A = accum_t<T>;
  const Index c = row_of_warp(), lane = threadIdx.x % warp_size;
  if (c >= in.out) return;
  const A *const w = in.weight + c * in.in, *const p = out.products + c * in.in;
  const A sum = out.sums[c], rstd = of.rstd[c], scale = of.scale[c];
  const auto times = [](A a, A b) { return static_cast<double>(a) * static_cast<double>(b); };
  const auto centered = [&](Index k) { return in.spread ? p[k] - sum * in.x_mean[k] : p[k]; };
  double dot = row_sum(in.in, [&](Index k) { return times(w[k], centered(k)); });
  if (!in.spread) dot -= static_cast<double>(of.mean[c]) * static_cast<double>(sum);
  const A slope = static_cast<A>(dot) * rstd;
  if (out.dgamma && lane == 0) out.dgamma.data[c] = slope + (out.dgamma.add ? out.dgamma.data[c] : A(0));
  if (out.dweight)
    for (Index k = lane; k < in.in; k += warp_size) {
      T& to = out.dweight.data[c * in.in + k];
      A q = centered(k);
      if (in.spread) q -= rstd * slope * in.spread[c * in.in + k];
      to = narrow<T>(scale * q + (out.dweight.add ? wide(to) : A(0)));
    }
  if (!out.pull) return;
  const auto share = static_cast<A>(1 / static_cast<double>(out.rows)), d = -share * scale * rstd * slope;
  for (Index k = lane; k < in.in; k += warp_size) out.pull[c * in.in + k] = d * w[k];
  if (lane == 0) out.push[c] = -(d * of.mean[c] + share * scale * sum);
}

template <class T>
void fold_norm(Cuda device, const kernels::FoldNormArguments<accum_t<T>>& in,
               const kernels::FoldNormStatistics<accum_t<T>>& to, T* scaled, T* shift,
               const kernels::BatchNormRunning<accum_t<T>>& running) {
  launch(device, fold_norm_kernel<T>, blocks_of_rows(in.out), block_threads, 0, in, to, scaled, shift,
         running);
}
template <class T>
void fold_norm_grad(Cuda device, const kernels::FoldNormArguments<accum_t<T>>& in,
                    const kernels::FoldNormStatistics<accum_t<T>>& of,
                    const kernels::FoldNormGradients<T>& out) {
  launch(device, fold_norm_grad_kernel<T>, blocks_of_rows(in.out), block_threads, 0, in, of, out);
}

template <class T>
void fill_in_fold_norm_tables() {
  fold_norm_table<T> = {fold_norm<T>, fold_norm_grad<T>};
}

}  // namespace gram::cuda
