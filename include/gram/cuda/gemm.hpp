// SPDX-License-Identifier: MIT
// Matrix products, as host code calls them; gemm.cuh computes.
#pragma once
#include <type_traits>

#include "gram/core/device.hpp"
#include "gram/kernels/gemm.hpp"

namespace gram::cuda {

template <class T>
struct GemmTable {
  void (*batched)(Cuda, const GemmBatch& batch, const GemmShape& shape, const T* a, Index lda,
                  bool transpose_a, const T* b, Index ldb, bool transpose_b, T* c, Index ldc,
                  const GemmEpilogue<std::type_identity_t<T>>& epilogue);
};
template <class T>
inline GemmTable<T> gemm_table{};

}  // namespace gram::cuda

namespace gram::kernels {

template <class T>
void gemm_batched(Cuda device, const GemmBatch& batch, const GemmShape& shape, const T* a, Index lda,
                  bool transpose_a, const T* b, Index ldb, bool transpose_b, T* c, Index ldc,
                  const GemmEpilogue<std::type_identity_t<T>>& epilogue = {}) {
  return cuda::gemm_table<T>.batched(device, batch, shape, a, lda, transpose_a, b, ldb, transpose_b, c, ldc,
                                     epilogue);
}

}  // namespace gram::kernels
