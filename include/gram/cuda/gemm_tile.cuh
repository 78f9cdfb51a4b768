// SPDX-License-Identifier: MIT
// Matrix products without a library: 64 x 64 results for each block, 4 x 4 for each thread, slices of 16 of
// the sum in shared memory. For small problems, where any kernel takes as long as its launch, and for those
// that cuBLASLt has no algorithm for.
#pragma once
#include "gram/cuda/context.cuh"
#include "gram/kernels/gemm.hpp"

namespace gram::cuda {

/// C = epilogue(op(A) op(B)) for a batch, see kernels::gemm_batched.
template <class T, class Out>
struct GemmArguments {
  GemmShape shape;
  GemmBatch batch;
  const T *a, *b;
  Out* c;
  Index lda, ldb, ldc;
  bool transpose_a, transpose_b;
  GemmEpilogue<Out> epilogue;
};

/// ReLU or GELU of a finished sum.
template <class A>
GRAM_DEVICE A activated(A sum, bool relu, bool gelu) {
  if (relu && sum < A(0)) sum = 0;
  if (gelu) sum *= A(0.5) * (1 + std::erf(sum * A(0.70710678118654752440)));
  return sum;
}

inline constexpr int gemm_tile = 64, gemm_slice = 16, gemm_per_thread = 4;

/// A slice of 16 of op(X)^T for 64 rows of op(X) (rows, k), zeros outside; threads run along what lies side
/// by side in memory.
template <class T, class A>
GRAM_DEVICE void load_slice(const T* x, Index ld, bool transposed, Index first, Index rows, Index at, Index k,
                            A (*slice)[gemm_tile + 1]) {
  for (int i = static_cast<int>(threadIdx.x); i < gemm_tile * gemm_slice; i += block_threads) {
    const int row = transposed ? i % gemm_tile : i / gemm_slice,
              step = transposed ? i / gemm_tile : i % gemm_slice;
    const Index r = first + row, s = at + step;
    slice[step][row] = r < rows && s < k ? static_cast<A>(x[transposed ? s * ld + r : r * ld + s]) : A(0);
  }
}

template <class T, class Out>
__global__ void __launch_bounds__(block_threads) gemm_tile_kernel(GemmArguments<T, Out> g) {
  using A = accum_t<T>;
  __shared__ A a[gemm_slice][gemm_tile + 1], b[gemm_slice][gemm_tile + 1];
  constexpr int P = gemm_per_thread, lanes = gemm_tile / P;
  const Index m = g.shape.m, n = g.shape.n, k = g.shape.k, batch = blockIdx.y;
  const Index column_tiles = ceil_div(n, gemm_tile);
  const Index row0 = blockIdx.x / column_tiles * gemm_tile, column0 = blockIdx.x % column_tiles * gemm_tile;
  const int y = static_cast<int>(threadIdx.x) / lanes, x = static_cast<int>(threadIdx.x) % lanes;

  A sum[P][P] = {};
  for (Index at = 0; at < k; at += gemm_slice) {
    load_slice(g.a + batch * g.batch.stride_a, g.lda, g.transpose_a, row0, m, at, k, a);
    load_slice(g.b + batch * g.batch.stride_b, g.ldb, !g.transpose_b, column0, n, at, k, b);
    __syncthreads();
    GRAM_UNROLL
    for (int s = 0; s < gemm_slice; ++s) {
      GRAM_UNROLL
      for (int i = 0; i < P; ++i) {
        GRAM_UNROLL
        for (int j = 0; j < P; ++j) sum[i][j] += a[s][y + i * lanes] * b[s][x + j * lanes];
      }
    }
    __syncthreads();
  }

  const GemmEpilogue<Out>& e = g.epilogue;
  GRAM_UNROLL
  for (int i = 0; i < P; ++i) {
    GRAM_UNROLL
    for (int j = 0; j < P; ++j) {
      const Index row = row0 + y + i * lanes, column = column0 + x + j * lanes;
      const Index at = batch * g.batch.stride_c + row * g.ldc + column;
      if (row >= m || column >= n) continue;
      auto value = static_cast<accum_t<Out>>(sum[i][j]);
      if (e.bias) value += wide(e.bias[batch * g.batch.stride_bias + column]);
      if (e.residual) value += wide(e.residual[at]);
      if (e.add) value += wide(g.c[at]);
      g.c[at] = narrow<Out>(activated(value, e.relu, e.gelu));
    }
  }
}

template <class T, class Out>
void gemm_by_tiles(Cuda device, const GemmArguments<T, Out>& g) {
  const Index tiles = ceil_div(g.shape.m, gemm_tile) * ceil_div(g.shape.n, gemm_tile);
  launch(device, gemm_tile_kernel<T, Out>,
         dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(g.batch.count)), block_threads, 0, g);
}

}  // namespace gram::cuda
