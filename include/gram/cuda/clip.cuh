// SPDX-License-Identifier: MIT
// Clipping of the norm of all gradients without a number that the host would have to wait for: squares are
// summed piece by piece, one block adds the pieces in order and makes the factor, and the gradients are
// scaled by what that block wrote. Gradients are read once; scaling them reads and writes them again, and
// touches nothing when the factor is 1.
#pragma once
#include <cmath>

#include "gram/cuda/chunks.cuh"
#include "gram/cuda/columns.cuh"
#include "gram/kernels/optimizer.hpp"

namespace gram::cuda {

template <class T>
__global__ void __launch_bounds__(block_threads)
    sum_squares_kernel(ItemChunk<kernels::GradientSpan<T>> chunk, double* partial) {
  constexpr int V = pack_size<T>;
  constexpr Index piece = decltype(chunk)::piece;
  __shared__ double scratch[warp_size];
  const int number = chunk.find(blockIdx.x);
  const T* const x = chunk.item[number].data;
  const Index n = chunk.item[number].n, begin = (blockIdx.x - chunk.first_block[number]) * piece,
              end = begin + piece < n ? begin + piece : n;
  const bool packs = reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
  accum_t<T> squares = 0;
  for (Index i = begin + threadIdx.x * V; i < end; i += block_threads * V) {
    if (packs && i + V <= end) {
      const auto in = load_pack<V>(x + i);
      for (int v = 0; v < V; ++v) squares += wide(in.value[v]) * wide(in.value[v]);
    } else {
      for (Index k = i; k < i + V && k < end; ++k) squares += wide(x[k]) * wide(x[k]);
    }
  }
  const double total = block_sum(static_cast<double>(squares), scratch);
  if (threadIdx.x == 0) partial[blockIdx.x] = total;
}

/// norm = sqrt(sum of the pieces), factor = min(1, max_norm / (norm + 1e-6)); NaN stays NaN.
static __global__ void clip_factor_kernel(const double* partial, Index pieces, double max_norm, double* norm,
                                          double* factor) {
  __shared__ double scratch[warp_size];
  double squares = 0;
  for (Index i = threadIdx.x; i < pieces; i += blockDim.x) squares += partial[i];
  squares = block_sum(squares, scratch);
  if (threadIdx.x) return;
  *norm = std::sqrt(squares);
  const double ratio = max_norm / (*norm + 1e-6);
  *factor = ratio >= 1 ? 1 : ratio;
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    scale_kernel(ItemChunk<kernels::GradientSpan<T>> chunk, const double* factor) {
  constexpr int V = pack_size<T>;
  constexpr Index piece = decltype(chunk)::piece;
  const auto scale = static_cast<accum_t<T>>(*factor);
  if (*factor == 1) return;
  const int number = chunk.find(blockIdx.x);
  T* const x = chunk.item[number].data;
  const Index n = chunk.item[number].n, begin = (blockIdx.x - chunk.first_block[number]) * piece,
              end = begin + piece < n ? begin + piece : n;
  const bool packs = reinterpret_cast<std::uintptr_t>(x) % 16 == 0;
  for (Index i = begin + threadIdx.x * V; i < end; i += block_threads * V) {
    if (packs && i + V <= end) {
      auto values = load_pack<V>(x + i);
      for (int v = 0; v < V; ++v) values.value[v] = narrow<T>(wide(values.value[v]) * scale);
      store_pack(x + i, values);
    } else {
      for (Index k = i; k < i + V && k < end; ++k) x[k] = narrow<T>(wide(x[k]) * scale);
    }
  }
}

template <class T>
void clip_gradients(Cuda device, std::span<const kernels::GradientSpan<T>> gradients,
                    std::span<const kernels::GradientSpan<accum_t<T>>> wide, double max_norm, double* norm) {
  Index pieces = 0;
  const auto count = [&](const auto&, unsigned blocks) { pieces += blocks; };
  for_chunks(gradients, count), for_chunks(wide, count);
  DeviceScratch<double> scratch(device, pieces + 1);
  double *const factor = scratch.data(), *partial = factor + 1;
  const auto sum = [&]<class P>(const ItemChunk<kernels::GradientSpan<P>>& chunk, unsigned blocks) {
    launch(device, sum_squares_kernel<P>, blocks, block_threads, 0, chunk, partial);
    partial += blocks;
  };
  for_chunks(gradients, sum), for_chunks(wide, sum);
  launch(device, clip_factor_kernel, 1, 1024, 0, factor + 1, pieces, max_norm, norm, factor);
  const auto scale = [&]<class P>(const ItemChunk<kernels::GradientSpan<P>>& chunk, unsigned blocks) {
    launch(device, scale_kernel<P>, blocks, block_threads, 0, chunk, factor);
  };
  for_chunks(gradients, scale), for_chunks(wide, scale);
}

}  // namespace gram::cuda
