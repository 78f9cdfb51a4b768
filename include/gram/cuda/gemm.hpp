// SPDX-License-Identifier: MIT
// Matrix products, as host code calls them; gemm.cuh computes.
#pragma once
#include <type_traits>

#include "gram/core/device.hpp"
#include "gram/core/scalar.hpp"
#include "gram/kernels/gemm.hpp"

namespace gram {
namespace cuda {

struct GemmSettings {
  bool tf32 = false;
  /// Algorithms that are timed when a problem is met first; with one, the library's first guess is taken.
  int candidates = 1;
  /// Problems with fewer multiplications than this go to gemm_tile.cuh.
  Index cublaslt_from = 32 * 32 * 32;
};
inline GemmSettings gemm_settings;
inline constexpr GemmBatch one_product{.count = 1, .stride_a = 0, .stride_b = 0, .stride_c = 0};

template <class T>
struct GemmTable {
  void (*batched)(Cuda, const GemmBatch& batch, const GemmShape& shape, const T* a, Index lda,
                  bool transpose_a, const T* b, Index ldb, bool transpose_b, T* c, Index ldc,
                  const GemmEpilogue<std::type_identity_t<T>>& epilogue);
  void (*wide)(Cuda, const GemmShape& shape, const T* a, Index lda, bool transpose_a, const T* b, Index ldb,
               bool transpose_b, accum_t<T>* c, Index ldc);
};
template <class T>
inline GemmTable<T> gemm_table{};

}  // namespace cuda

/// Lets products of float on GPUs round their operands to TF32, 11 significant bits, in the whole program: a
/// relative error of about 5e-4 for many times the speed. Off at first.
inline void set_tf32(bool on) { cuda::gemm_settings.tf32 = on; }
inline bool tf32() { return cuda::gemm_settings.tf32 && !detail::full_precision_scopes; }

/// Lets products and convolutions on GPUs time this many algorithms when they meet a problem for the first
/// time, and keep the fastest; 1, as at first, takes the library's guess. Nothing is timed while a graph is
/// captured. Which algorithm is fastest may differ from run to run, and with it the last bits of results.
inline void set_product_tuning(int candidates) { cuda::gemm_settings.candidates = candidates; }

}  // namespace gram

namespace gram::kernels {

template <class T>
void gemm_batched(Cuda device, const GemmBatch& batch, const GemmShape& shape, const T* a, Index lda,
                  bool transpose_a, const T* b, Index ldb, bool transpose_b, T* c, Index ldc,
                  const GemmEpilogue<std::type_identity_t<T>>& epilogue = {}) {
  return cuda::gemm_table<T>.batched(device, batch, shape, a, lda, transpose_a, b, ldb, transpose_b, c, ldc,
                                     epilogue);
}

/// C = op(A) op(B) as the sums are made: of bf16 operands in float.
template <class T>
void gemm_wide(Cuda device, const GemmShape& shape, const T* a, Index lda, bool transpose_a, const T* b,
               Index ldb, bool transpose_b, accum_t<T>* c, Index ldc) {
  return cuda::gemm_table<T>.wide(device, shape, a, lda, transpose_a, b, ldb, transpose_b, c, ldc);
}

}  // namespace gram::kernels
