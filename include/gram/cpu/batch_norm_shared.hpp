// SPDX-License-Identifier: MIT
// Batch statistics over the batches of several processes.
#pragma once
#include "gram/core/communicator.hpp"
#include "gram/core/memory.hpp"
#include "gram/kernels/batch_norm.hpp"

namespace gram::kernels {

/// Turns mean and biased variance of this process's rows into those of the rows of all processes, and returns
/// how many these are. Two sets of n_a and n_b values with means m_a, m_b and sums of squared deviations s_a,
/// s_b have together s = s_a + s_b + (m_b - m_a)^2 n_a n_b / (n_a + n_b) (Chan, Golub, LeVeque 1979); taken
/// in double, in the order of the ranks. rows may be 0 and differ. The last argument is for GPUs.
template <class A>
BatchNormRows batch_norm_combine(Cpu, Communicator& communicator, Index rows, Index channels, A* mean,
                                 A* variance, double*) {
  const Index ranks = communicator.size(), wide = 2 * channels + 1;  // of each rank: n, then means, then sums
  Scratch<double> all(ranks * wide);
  for (Index i = 0; i < ranks * wide; ++i) all[i] = 0;
  double* const own = &all[communicator.rank() * wide];
  own[0] = static_cast<double>(rows);
  for (Index c = 0; c < channels && rows > 0; ++c) {
    own[1 + c] = static_cast<double>(mean[c]);
    own[1 + channels + c] = static_cast<double>(variance[c]) * static_cast<double>(rows);
  }
  communicator.all_reduce(all.data(), ranks * wide);  // the sum with zeros gathers
  double total = 0;
  for (Index r = 0; r < ranks; ++r) total += all[r * wide];
  for (Index c = 0; c < channels; ++c) {
    double n = 0, m = 0, s = 0;
    for (Index r = 0; r < ranks; ++r) {
      const double* const other = &all[r * wide];
      if (other[0] == 0) continue;
      const double sum = n + other[0], d = other[1 + c] - m;
      m += d * other[0] / sum;
      s += other[1 + channels + c] + d * d * n * other[0] / sum;
      n = sum;
    }
    mean[c] = static_cast<A>(m);
    variance[c] = static_cast<A>(n > 0 ? s / n : 0);
  }
  return {static_cast<Index>(total)};
}

/// Sums of each channel, each (channels), over all processes.
inline void batch_norm_combine_sums(Cpu, Communicator& communicator, Index channels, double* a, double* b) {
  Scratch<double> both(2 * channels);
  for (Index c = 0; c < channels; ++c) both[c] = a[c], both[channels + c] = b[c];
  communicator.all_reduce(both.data(), 2 * channels);
  for (Index c = 0; c < channels; ++c) a[c] = both[c], b[c] = both[channels + c];
}

}  // namespace gram::kernels
