// SPDX-License-Identifier: MIT
// Normalised Gram vectors: one batched product for all images makes the Gram matrices, in float also where
// maps are bf16, and one kernel takes their upper triangles, norms and quotients. Backward, one kernel makes
// the symmetric matrices that a batched product multiplies the maps with.
#pragma once
#include "gram/cuda/copy.cuh"
#include "gram/cuda/gemm.cuh"
#include "gram/cuda/gram.hpp"

namespace gram::cuda {

/// Where row a of the upper triangle of a matrix (g, g) begins, counted from its column 0.
GRAM_DEVICE Index triangle_row(Index g, Index a) { return a * g - a * (a + 1) / 2; }

/// y = v / max(|v|, epsilon), v the upper triangle of scale G. A block for each image; reads G's triangle
/// twice, the second time from the L2 cache, and writes y.
template <class A, class T>
__global__ void gram_triangle_kernel(kernels::GramShape s, const A* G, T* y, double* norm) {
  __shared__ double scratch[warp_size];
  const Index g = s.width, n = blockIdx.x;
  const int lane = static_cast<int>(threadIdx.x) % warp_size,
            warp = static_cast<int>(threadIdx.x) / warp_size,
            warps = static_cast<int>(blockDim.x) / warp_size;
  const A scale = static_cast<A>(s.scale);
  G += n * g * g;
  y += n * g * (g + 1) / 2;
  double squares = 0;
  for (Index a = warp; a < g; a += warps) {
    A sum = 0;
    for (Index b = a + lane; b < g; b += warp_size) {
      const A v = G[a * g + b] * scale;
      sum += v * v;
    }
    squares += static_cast<double>(sum);
  }
  const double length = std::sqrt(block_sum(squares, scratch));
  const A inverse = static_cast<A>(1 / (length < s.epsilon ? s.epsilon : length));
  for (Index a = warp; a < g; a += warps)
    for (Index b = a + lane; b < g; b += warp_size)
      y[triangle_row(g, a) + b] = static_cast<T>(G[a * g + b] * scale * inverse);
  if (threadIdx.x == 0) norm[n] = length;
}

/// factors (images, 2): of dy and of y in the gradient of v, dv = (dy - y <y, dy>) / |v|, times the scale.
template <class T>
__global__ void gram_factors_kernel(kernels::GramShape s, const T* y, const double* norm, const T* dy,
                                    double* factors) {
  __shared__ double scratch[warp_size];
  const Index n = blockIdx.x, k = s.width * (s.width + 1) / 2;
  double dot = 0;
  for (Index i = threadIdx.x; i < k; i += blockDim.x)
    dot += static_cast<double>(y[n * k + i]) * static_cast<double>(dy[n * k + i]);
  dot = block_sum(dot, scratch);
  if (threadIdx.x != 0) return;
  if (norm[n] <= s.epsilon) dot = 0;  // the floor is a constant
  const double factor = s.scale / (norm[n] < s.epsilon ? s.epsilon : norm[n]);
  factors[2 * n] = factor;
  factors[2 * n + 1] = -factor * dot;
}

/// S = V + V^T, V the upper triangular matrix of dv. A block for each tile of 32 x 32 on or above the
/// diagonal, which writes the one below, too. Reads y and dy once, writes S once.
template <class A, class T, class S>
__global__ void gram_symmetric_kernel(kernels::GramShape s, Index tiles, const T* y, const T* dy,
                                      const double* factors, S* symmetric) {
  __shared__ A tile[warp_size][warp_size + 1];
  const Index g = s.width, n = blockIdx.y, k = g * (g + 1) / 2;
  const Index a0 = blockIdx.x / tiles * warp_size, b0 = blockIdx.x % tiles * warp_size;
  if (b0 < a0) return;
  const A of_dy = static_cast<A>(factors[2 * n]), of_y = static_cast<A>(factors[2 * n + 1]);
  symmetric += n * g * g;
  const int column = static_cast<int>(threadIdx.x);
  for (int row = static_cast<int>(threadIdx.y); row < warp_size; row += static_cast<int>(blockDim.y)) {
    const Index a = a0 + row, b = b0 + column, i = n * k + triangle_row(g, a) + b;
    if (a < g && b < g && a <= b) {
      const A v = of_dy * static_cast<A>(dy[i]) + of_y * static_cast<A>(y[i]);
      tile[row][column] = a == b ? 2 * v : v;
      symmetric[a * g + b] = static_cast<S>(tile[row][column]);
    }
  }
  __syncthreads();
  for (int row = static_cast<int>(threadIdx.y); row < warp_size; row += static_cast<int>(blockDim.y)) {
    const Index a = a0 + column, b = b0 + row;
    if (a < g && b < g && a < b) symmetric[b * g + a] = static_cast<S>(tile[column][row]);
  }
}

template <class A, class T>
void gram_triangle(Cuda device, const kernels::GramShape& s, const A* G, T* y, double* norm) {
  launch(device, gram_triangle_kernel<A, T>, static_cast<unsigned>(s.images), block_threads, 0, s, G, y,
         norm);
}

/// One product for all images.
inline GemmBatch gram_batch(const kernels::GramShape& s, Index a, Index b, Index c) {
  return {.count = s.images, .stride_a = a, .stride_b = b, .stride_c = c};
}

/// G (images, g, g) = X^T X
template <class T, class A>
void gram_matrices(Cuda device, const kernels::GramShape& s, const T* x, A* G) {
  const Index g = s.width, map = s.pixels * g;
  gemm_batched(device, gram_batch(s, map, map, g * g), {g, g, s.pixels}, x, g, true, x, g, false, G, g, {});
}

template <class T>
void gram_vector(Cuda device, const kernels::GramShape& s, const T* x, T* y, double* norm) {
  DeviceScratch<accum_t<T>> G(device, s.images * s.width * s.width);
  gram_matrices(device, s, x, G.data());
  gram_triangle(device, s, G.data(), y, norm);
}

/// dX = X S with what S is multiplied as: S itself of float maps, rounded for bf16.
template <class A, class S, class T>
void gram_symmetric(Cuda device, const kernels::GramShape& s, const T* y, const double* norm, const T* dy,
                    S* symmetric) {
  DeviceScratch<double> factors(device, 2 * s.images);
  launch(device, gram_factors_kernel<T>, static_cast<unsigned>(s.images), block_threads, 0, s, y, norm, dy,
         factors.data());
  constexpr Index most = 65535;  // blocks along the second axis of a grid
  const Index g = s.width, tiles = ceil_div(g, warp_size), k = g * (g + 1) / 2;
  for (Index first = 0; first < s.images; first += most)
    launch(
        device, gram_symmetric_kernel<A, T, S>,
        dim3(static_cast<unsigned>(tiles * tiles), static_cast<unsigned>(std::min(most, s.images - first))),
        dim3(warp_size, 8), 0, s, tiles, y + first * k, dy + first * k, factors.data() + 2 * first,
        symmetric + first * g * g);
}

template <class T>
void gram_vector_grad(Cuda device, const kernels::GramShape& s, const T* x, const T* y, const double* norm,
                      const T* dy, T* dx, bool add) {
  const Index g = s.width, map = s.pixels * g;
  DeviceScratch<T> S(device, s.images * g * g);
  gram_symmetric<accum_t<T>>(device, s, y, norm, dy, S.data());
  gemm_batched(device, gram_batch(s, map, g * g, map), {s.pixels, g, g}, x, g, false, S.data(), g, false, dx,
               g, {.add = add});
}

template <class T>
void fill_in_gram_tables() {
  gram_table<T> = {gram_vector<T>, gram_vector_grad<T>};
}

}  // namespace gram::cuda
