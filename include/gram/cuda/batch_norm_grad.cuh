// SPDX-License-Identifier: MIT
// The gradient of batch normalisation. With g = dy where the ReLU let it through, h = (x - mean) / s and s^2
// = variance + epsilon: dbias = sum g, dweight = sum g h, dx = weight / s (g - mean g - h mean(g h)) in
// training, weight / s g otherwise.
#pragma once
#include <cmath>

#include "gram/cuda/batch_norm_shared.cuh"
#include "gram/cuda/columns.cuh"
#include "gram/kernels/batch_norm.hpp"

namespace gram::cuda {

/// The normalisation of V channels as (x - mean) scale + bias: the same bits in the forward pass and in the
/// gradient, which asks again whether that is positive.
template <int V, class A>
struct BatchNormAffine {
  A mean[V], scale[V], bias[V];

  template <class T>
  GRAM_DEVICE BatchNormAffine(const kernels::BatchNormArguments<T>& in, Index channel) {
    const A epsilon = static_cast<A>(in.epsilon);
    for (int v = 0; v < V; ++v) {
      const Index c = channel + v;
      mean[v] = in.mean[c];
      scale[v] = (in.weight ? in.weight[c] : A(1)) / std::sqrt(in.variance[c] + epsilon);
      bias[v] = in.bias ? in.bias[c] : A(0);
    }
  }
  GRAM_DEVICE A centered(int v, A x) const { return x - mean[v]; }
  GRAM_DEVICE A operator()(int v, A centered) const { return std::fma(centered, scale[v], bias[v]); }
};

/// What both passes read of a row, and the gradient behind the ReLU.
template <int V, kernels::BatchNormMask Mask, class T>
struct BatchNormFlow {
  using A = accum_t<T>;
  struct Row {
    Pack<T, V> x, dy, y;
  };
  BatchNormAffine<V, A> affine;
  const T *x, *dy, *y;
  Index channels;

  GRAM_DEVICE Row load(Index r) const {
    Row in;
    in.x = load_pack<V>(x + r * channels);
    in.dy = load_pack<V>(dy + r * channels);
    if constexpr (Mask == kernels::BatchNormMask::y) in.y = load_pack<V>(y + r * channels);
    return in;
  }
  GRAM_DEVICE A gradient(const Row& in, int v, A centered) const {
    bool passed = true;
    if constexpr (Mask == kernels::BatchNormMask::y) passed = wide(in.y.value[v]) > 0;
    if constexpr (Mask == kernels::BatchNormMask::x) passed = affine(v, centered) > 0;
    return passed ? wide(in.dy.value[v]) : A(0);
  }
};

template <int V, kernels::BatchNormMask Mask, class T>
struct BatchNormGradSums : BatchNormFlow<V, Mask, T> {
  using A = accum_t<T>;
  using Row = typename BatchNormFlow<V, Mask, T>::Row;
  T* g;
  A sums[2 * V] = {};

  GRAM_DEVICE void use(Index r, const Row& in) {
    Pack<T, V> out;
    for (int v = 0; v < V; ++v) {
      const A centered = this->affine.centered(v, wide(in.x.value[v]));
      const A gradient = this->gradient(in, v, centered);
      sums[v] += gradient;
      sums[V + v] = std::fma(gradient, centered, sums[V + v]);
      out.value[v] = narrow<T>(gradient);
    }
    if (g) store_pack(g + r * this->channels, out);
  }
};
/// partial (row blocks, 2, channels): sum g and sum g (x - mean); where g is not null, also g itself, which
/// may replace dy.
template <int V, kernels::BatchNormMask Mask, class T>
__global__ void __launch_bounds__(block_threads)
    batch_norm_grad_sums_kernel(kernels::BatchNormArguments<T> in, const T* dy, const T* y, T* g,
                                accum_t<T>* partial) {
  using A = accum_t<T>;
  __shared__ A scratch[2 * V * block_threads];
  const ColumnPlace<V> at;
  A sums[2 * V] = {};
  if (at.channel < in.channels) {
    BatchNormGradSums<V, Mask, T> op{{BatchNormAffine<V, A>(in, at.channel), in.x + at.channel,
                                      dy + at.channel, y ? y + at.channel : nullptr, in.channels},
                                     g ? g + at.channel : nullptr};
    for_rows<2>(op, at.row, at.step, in.rows);
    for (int i = 0; i < 2 * V; ++i) sums[i] = op.sums[i];
  }
  sum_over_block_rows(sums, scratch);
  if (threadIdx.y || at.channel >= in.channels) return;
  A* const to = partial + 2 * blockIdx.y * in.channels + at.channel;
  for (int v = 0; v < V; ++v) to[v] = sums[v], to[in.channels + v] = sums[V + v];
}

/// slope and constant (channels) of dx = scale g + slope (x - mean) + constant, and the gradients of weight
/// and bias. Where the sums are to be added to those of other processes, they go to own_sums (2, channels)
/// instead of slope and constant.
template <class T>
__global__ void batch_norm_grad_finish_kernel(kernels::BatchNormArguments<T> in, bool training,
                                              const accum_t<T>* partial, Index row_blocks,
                                              GradientSink<accum_t<T>> dweight,
                                              GradientSink<accum_t<T>> dbias, accum_t<T>* slope,
                                              accum_t<T>* constant, double* own_sums) {
  using A = accum_t<T>;
  __shared__ double scratch[2 * block_threads];
  const Index c = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x;
  double sums[2] = {};
  if (c < in.channels)
    for (Index i = threadIdx.y; i < row_blocks; i += blockDim.y)
      for (int k = 0; k < 2; ++k) sums[k] += static_cast<double>(partial[(2 * i + k) * in.channels + c]);
  sum_over_block_rows(sums, scratch);
  if (threadIdx.y || c >= in.channels) return;
  const double rstd = 1 / std::sqrt(static_cast<double>(in.variance[c]) + in.epsilon);
  const double s = rstd * (in.weight ? static_cast<double>(in.weight[c]) : 1.0);
  const auto n = static_cast<double>(in.rows);
  if (own_sums) {
    own_sums[c] = sums[0], own_sums[in.channels + c] = sums[1];
  } else {
    slope[c] = static_cast<A>(training ? -s * rstd * rstd * sums[1] / n : 0.0);
    constant[c] = static_cast<A>(training ? -s * sums[0] / n : 0.0);
  }
  if (dweight)
    dweight.data[c] =
        static_cast<A>(sums[1] * rstd + (dweight.add ? static_cast<double>(dweight.data[c]) : 0.0));
  if (dbias) dbias.data[c] = static_cast<A>(sums[0] + (dbias.add ? static_cast<double>(dbias.data[c]) : 0.0));
}

template <int V, kernels::BatchNormMask Mask, class T>
struct BatchNormGrad : BatchNormFlow<V, Mask, T> {
  using A = accum_t<T>;
  using Row = typename BatchNormFlow<V, Mask, T>::Row;
  Pack<A, V> slope, constant;
  GradientSink<T> dx, dresidual;

  GRAM_DEVICE static void put(T* p, const A (&values)[V], bool add) {
    Pack<T, V> out{};
    if (add) out = load_pack<V>(p);
    for (int v = 0; v < V; ++v) out.value[v] = narrow<T>(add ? wide(out.value[v]) + values[v] : values[v]);
    store_pack(p, out);
  }
  GRAM_DEVICE void use(Index r, const Row& in) {
    A gradient[V], value[V];
    for (int v = 0; v < V; ++v) {
      const A centered = this->affine.centered(v, wide(in.x.value[v]));
      gradient[v] = this->gradient(in, v, centered);
      value[v] =
          std::fma(gradient[v], this->affine.scale[v], std::fma(centered, slope.value[v], constant.value[v]));
    }
    const Index at = r * this->channels;
    if (dx) put(dx.data + at, value, dx.add);
    if (dresidual) put(dresidual.data + at, gradient, dresidual.add);  // after dx: it may be the same memory
  }
};
template <int V, kernels::BatchNormMask Mask, class T>
__global__ void __launch_bounds__(block_threads)
    batch_norm_grad_kernel(kernels::BatchNormArguments<T> in, const T* dy, const T* y,
                           const accum_t<T>* slope, const accum_t<T>* constant, GradientSink<T> dx,
                           GradientSink<T> dresidual) {
  const ColumnPlace<V> at;
  const Index c = at.channel;
  if (c >= in.channels) return;
  BatchNormGrad<V, Mask, T> op{
      {BatchNormAffine<V, accum_t<T>>(in, c), in.x + c, dy + c, y ? y + c : nullptr, in.channels},
      load_pack<V>(slope + c),
      load_pack<V>(constant + c),
      {dx ? dx.data + c : nullptr, dx.add},
      {dresidual ? dresidual.data + c : nullptr, dresidual.add}};
  for_rows<2>(op, at.row, at.step, in.rows);
}

/// Both passes, the second without a mask where the first has written g.
template <int V, kernels::BatchNormMask Mask, class T>
void batch_norm_grad_passes(Cuda device, const kernels::BatchNormArguments<T>& in,
                            const kernels::BatchNormGradients<T>& out) {
  using A = accum_t<T>;
  constexpr auto no_mask = kernels::BatchNormMask::none;
  const ColumnGrid grid(in.rows, in.channels, V, ColumnGrid::blocks_of_sums),
      passes(in.rows, in.channels, V, ColumnGrid::blocks_of_passes);
  const bool sums = out.dweight || out.dbias || (out.dx && out.training);
  const Index row_blocks = sums ? grid.row_blocks() : 0;
  const bool shared = out.communicator && out.dx && out.training;
  DeviceScratch<double> own_sums(device, shared ? 2 * in.channels : 0);
  DeviceScratch<A> coefficients(device, round_up(in.channels, 16) * 2 + 2 * row_blocks * in.channels);
  A *const slope = coefficients.data(), *const constant = slope + round_up(in.channels, 16),
           *const partial = constant + round_up(in.channels, 16);
  T* const g = sums && out.dresidual && !out.dresidual.add ? out.dresidual.data : nullptr;
  if (sums)
    launch(device, batch_norm_grad_sums_kernel<V, Mask, T>, grid.blocks, grid.threads, 0, in, out.dy, out.y,
           g, partial);
  launch(device, batch_norm_grad_finish_kernel<T>, finish_blocks(in.channels), finish_threads(), 0, in,
         out.training, partial, row_blocks, out.dweight, out.dbias, slope, constant,
         shared ? own_sums.data() : nullptr);
  if (shared) batch_norm_shared_coefficients(device, in, out, own_sums.data(), slope, constant);
  if (!out.dx && (g || !out.dresidual)) return;
  if (g)
    launch(device, batch_norm_grad_kernel<V, no_mask, T>, passes.blocks, passes.threads, 0, in, g, nullptr,
           slope, constant, out.dx, GradientSink<T>{});
  else
    launch(device, batch_norm_grad_kernel<V, Mask, T>, passes.blocks, passes.threads, 0, in, out.dy, out.y,
           slope, constant, out.dx, out.dresidual);
}
template <int V, class T>
void batch_norm_grad_masked(Cuda device, const kernels::BatchNormArguments<T>& in,
                            const kernels::BatchNormGradients<T>& out) {
  using enum kernels::BatchNormMask;
  switch (out.mask) {
    case none:
      return batch_norm_grad_passes<V, none>(device, in, out);
    case y:
      return batch_norm_grad_passes<V, y>(device, in, out);
    case x:
      return batch_norm_grad_passes<V, x>(device, in, out);
  }
}
template <class T>
void batch_norm_grad(Cuda device, const kernels::BatchNormArguments<T>& in,
                     const kernels::BatchNormGradients<T>& out) {
  if (rows_of_packs<pack_size<T>>(in.channels, in.x, out.dy, out.y, out.dx.data, out.dresidual.data))
    batch_norm_grad_masked<pack_size<T>>(device, in, out);
  else
    batch_norm_grad_masked<1>(device, in, out);
}

}  // namespace gram::cuda
