// SPDX-License-Identifier: MIT
// Batch statistics over the batches of several processes, without a wait of the host: the number of all rows
// stays in device memory, so that a step with these can be captured in a graph.
#pragma once
#include "gram/core/communicator.hpp"
#include "gram/cuda/context.cuh"
#include "gram/kernels/batch_norm.hpp"

namespace gram::cuda {

/// all (ranks, 1 + 2 channels): in the row of this rank its number of rows, the means, the sums of squared
/// deviations; zeros in the others.
template <class A>
__global__ void batch_norm_own_kernel(const A* mean, const A* variance, double rows, Index channels,
                                      Index rank, Index ranks, double* all) {
  const Index wide = 1 + 2 * channels;
  for (Index i = first_item(); i < ranks * wide; i += item_step()) {
    const Index k = i - rank * wide;
    double value = 0;
    if (k == 0) value = rows;
    if (k > 0 && k <= channels) value = static_cast<double>(mean[k - 1]);
    if (k > channels && k < wide) value = static_cast<double>(variance[k - 1 - channels]) * rows;
    all[i] = value;
  }
}
/// Brings the ranks together in their order, by the formula of cpu/batch_norm_shared.hpp.
template <class A>
__global__ void batch_norm_combine_kernel(const double* all, Index ranks, Index channels, A* mean,
                                          A* variance, double* total) {
  const Index wide = 1 + 2 * channels;
  for (Index c = first_item(); c < channels; c += item_step()) {
    double n = 0, m = 0, s = 0;
    for (Index r = 0; r < ranks; ++r) {
      const double* const other = all + r * wide;
      const double sum = n + other[0], d = other[1 + c] - m;
      if (other[0] == 0) continue;
      m += d * other[0] / sum;
      s += other[1 + channels + c] + d * d * n * other[0] / sum;
      n = sum;
    }
    mean[c] = static_cast<A>(m);
    variance[c] = static_cast<A>(n > 0 ? s / n : 0.0);
    if (c == 0) *total = n;
  }
}
template <class A>
void batch_norm_combine(Cuda device, Communicator& communicator, Index rows, Index channels, A* mean,
                        A* variance, double* total) {
  const Index ranks = communicator.size(), count = ranks * (1 + 2 * channels);
  DeviceScratch<double> all(device, count);
  launch(device, batch_norm_own_kernel<A>, grid_blocks(count), block_threads, 0, mean, variance,
         static_cast<double>(rows), channels, Index{communicator.rank()}, ranks, all.data());
  communicator.all_reduce(all.data(), count, Device::cuda(device.index));  // the sum with zeros gathers
  launch(device, batch_norm_combine_kernel<A>, grid_blocks(channels), block_threads, 0, all.data(), ranks,
         channels, mean, variance, total);
}

/// slope and constant of the gradient (batch_norm_grad.cuh) from sums (2, channels) over all processes.
template <class T>
__global__ void batch_norm_shared_coefficients_kernel(kernels::BatchNormArguments<T> in, const double* sums,
                                                      const double* total, accum_t<T>* slope,
                                                      accum_t<T>* constant) {
  using A = accum_t<T>;
  for (Index c = first_item(); c < in.channels; c += item_step()) {
    const double rstd = 1 / std::sqrt(static_cast<double>(in.variance[c]) + in.epsilon);
    const double s = rstd * (in.weight ? static_cast<double>(in.weight[c]) : 1.0);
    slope[c] = static_cast<A>(-s * rstd * rstd * sums[in.channels + c] / *total);
    constant[c] = static_cast<A>(-s * sums[c] / *total);
  }
}
template <class T>
void batch_norm_shared_coefficients(Cuda device, const kernels::BatchNormArguments<T>& in,
                                    const kernels::BatchNormGradients<T>& out, double* sums,
                                    accum_t<T>* slope, accum_t<T>* constant) {
  out.communicator->all_reduce(sums, 2 * in.channels, Device::cuda(device.index));
  launch(device, batch_norm_shared_coefficients_kernel<T>, grid_blocks(in.channels), block_threads, 0, in,
         sums, out.total_rows.there, slope, constant);
}

}  // namespace gram::cuda
