// SPDX-License-Identifier: MIT
// KL divergence of each classifier head from the consensus of all, p = softmax(m), m the mean of the logits
// z_k. With L(z) = log sum exp(z), the sum over the heads is
//     sum_k sum_i p_i (m_i - L(m) - z_ki + L(z_k)) = sum_k L(z_k) - K L(m),
// since the p_i add up to one and the z_k to K m: only normalisers are needed, none of the p. All logits are
// read from memory once; the gradient reads them and writes all gradients once.
#pragma once
#include "gram/cuda/cross_entropy.cuh"

namespace gram::cuda {

inline constexpr Index most_heads = 128;

/// Pointers to the logits of all heads, as an argument of a kernel.
template <class T>
struct HeadLogits {
  const T* z[most_heads];
  Index heads;

  HeadLogits(const T* const* logits, Index count) : heads(count) {
    require<ArgumentError>(count <= most_heads, "decorrelation: ", count, " heads, but a GPU takes at most ",
                           most_heads);
    for (Index k = 0; k < count; ++k) z[k] = logits[k];
  }
};
template <class T>
struct HeadSinks {
  T* data[most_heads];
  bool add[most_heads];

  HeadSinks(const GradientSink<T>* sinks, Index heads) {
    for (Index k = 0; k < heads; ++k) data[k] = sinks[k].data, add[k] = sinks[k].add;
  }
};

/// Logit r of a row of head k, or, for k = heads, of the mean of all.
template <class T, int threads>
struct HeadElements {
  const Along<threads>& along;
  const HeadLogits<T>& logits;
  Index k, offset;

  GRAM_DEVICE accum_t<T> operator()(Index r) const {
    if (k < logits.heads) return wide(logits.z[k][offset + r]);
    accum_t<T> total = 0;
    for (Index h = 0; h < logits.heads; ++h) total += wide(logits.z[h][offset + r]);
    return total * (1 / static_cast<accum_t<T>>(logits.heads));
  }
};

/// kept (rows, heads + 1, 2) = (top, log_sum) of every head and of the mean; v is (rows (heads + 1), n).
template <class T, int threads>
__global__ void head_normalisers_kernel(HeadLogits<T> logits, accum_t<T>* kept, AxisView v) {
  const Along<threads> along(v);
  if (!along.inside(v)) return;
  const Index each = logits.heads + 1;
  const HeadElements<T, threads> value{along, logits, along.number % each, along.number / each * v.n};
  const Normaliser<accum_t<T>> z = normaliser<accum_t<T>>(along, value);
  if (along.lane > 0) return;
  kept[2 * along.number] = z.top;
  kept[2 * along.number + 1] = z.log_sum;
}
template <class T>
void head_normalisers(Cuda device, const HeadLogits<T>& logits, accum_t<T>* kept, Index rows, Index n) {
  const AxisView v = rows_view(rows * (logits.heads + 1), n);
  launch_along(device, v, head_normalisers_kernel<T, 1>, head_normalisers_kernel<T, warp_size>,
               head_normalisers_kernel<T, block_threads>, logits, kept, v);
}

/// losses[row] = sum over k of L(z_k) - L(m)
template <class A>
__global__ void divergence_kernel(const A* kept, double* losses, Index rows, Index heads) {
  for (Index row = first_item(); row < rows; row += item_step()) {
    const A* const of_row = kept + row * (heads + 1) * 2;
    double total = 0;
    for (Index k = 0; k < heads; ++k)
      total += (static_cast<double>(of_row[2 * k]) - static_cast<double>(of_row[2 * heads])) +
               (static_cast<double>(of_row[2 * k + 1]) - static_cast<double>(of_row[2 * heads + 1]));
    losses[row] = total;
  }
}
template <class T>
void decorrelation(Cuda device, Index heads, const T* const* z, T* loss, Index rows, Index n, double scale) {
  using A = accum_t<T>;
  const HeadLogits<T> logits(z, heads);
  DeviceScratch<A> kept(device, rows * (heads + 1) * 2);
  DeviceScratch<double> losses(device, rows);
  head_normalisers(device, logits, kept.data(), rows, n);
  launch(device, divergence_kernel<A>, grid_blocks(rows), block_threads, 0, kept.data(), losses.data(), rows,
         heads);
  total_loss(device, losses.data(), rows, loss, scale);
}

/// dz_k [+]= dy scale (softmax(z_k) - p)
template <class T>
__global__ void decorrelation_grad_kernel(HeadLogits<T> logits, HeadSinks<T> sinks, const accum_t<T>* kept,
                                          const T* dy, Index rows, Index n, double scale) {
  using A = accum_t<T>;
  const auto factor = static_cast<A>(scale * static_cast<double>(*dy));
  for (Index i = first_item(); i < rows * n; i += item_step()) {
    const A* const of_row = kept + i / n * (logits.heads + 1) * 2;
    A mean = 0;
    for (Index k = 0; k < logits.heads; ++k) mean += wide(logits.z[k][i]);
    mean *= 1 / static_cast<A>(logits.heads);
    const A p = std::exp(mean - of_row[2 * logits.heads] - of_row[2 * logits.heads + 1]);
    for (Index k = 0; k < logits.heads; ++k)
      if (sinks.data[k]) {
        const A s = std::exp(wide(logits.z[k][i]) - of_row[2 * k] - of_row[2 * k + 1]);
        put(sinks.data[k][i], factor * (s - p), sinks.add[k]);
      }
  }
}
template <class T>
void decorrelation_grad(Cuda device, Index heads, const T* const* z, const T* dy,
                        const GradientSink<T>* sinks, Index rows, Index n, double scale) {
  const HeadLogits<T> logits(z, heads);
  DeviceScratch<accum_t<T>> kept(device, rows * (heads + 1) * 2);
  head_normalisers(device, logits, kept.data(), rows, n);
  launch(device, decorrelation_grad_kernel<T>, grid_blocks(rows * n), block_threads, 0, logits,
         HeadSinks<T>(sinks, heads), kept.data(), dy, rows, n, scale);
}

}  // namespace gram::cuda
