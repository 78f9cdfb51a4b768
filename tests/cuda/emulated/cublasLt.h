// SPDX-License-Identifier: MIT
// A stand-in for NVIDIA's <cublasLt.h>: column-major products as its documentation defines them, computed by
// loops. Operands that are changed over, leading dimensions, batch strides and epilogues that are wrong show
// in the results; addresses that are aligned worse than promised, and layouts that do not fit, end the
// program. Only what the library uses is declared.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "cuda_runtime.h"

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_NOT_SUPPORTED = 15
};
enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };
enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_64F = 1, CUDA_R_16BF = 14 };
enum cublasComputeType_t {
  CUBLAS_COMPUTE_32F = 68,
  CUBLAS_COMPUTE_64F = 70,
  CUBLAS_COMPUTE_32F_FAST_TF32 = 77
};
enum cublasLtEpilogue_t {
  CUBLASLT_EPILOGUE_DEFAULT = 1,
  CUBLASLT_EPILOGUE_RELU = 2,
  CUBLASLT_EPILOGUE_BIAS = 4,
  CUBLASLT_EPILOGUE_RELU_BIAS = 6,
  CUBLASLT_EPILOGUE_BGRADB = 512
};
enum cublasLtReductionScheme_t { CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE = 2 };
enum cublasLtMatrixLayoutAttribute_t {
  CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT = 5,
  CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET = 6
};
enum cublasLtMatmulDescAttributes_t {
  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,
  CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
  CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
  CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE = 10
};
enum cublasLtMatmulPreferenceAttributes_t {
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
  CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8
};

struct EmulatedLayout {
  cudaDataType_t type;
  std::int64_t rows, columns, ld;
  std::int32_t count = 1;
  std::int64_t stride = 0;
};
struct EmulatedMatmul {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  cublasOperation_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  const void* bias = nullptr;
  std::int64_t bias_stride = 0;
};
struct EmulatedPreference {
  std::uint64_t workspace = 0;
  std::uint32_t reduction = 0, a = 256, b = 256, c = 256, d = 256;
};
struct EmulatedLt {};
inline EmulatedLt emulated_lt;

using cublasLtHandle_t = EmulatedLt*;
using cublasLtMatrixLayout_t = EmulatedLayout*;
using cublasLtMatmulDesc_t = EmulatedMatmul*;
using cublasLtMatmulPreference_t = EmulatedPreference*;
/// Keeps what was promised about the addresses.
struct cublasLtMatmulAlgo_t {
  std::uint32_t a, b, c, d;
  std::uint64_t workspace;
};
struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
  std::size_t workspaceSize;
  cublasStatus_t state;
};

[[noreturn]] inline void emulated_lt_stop(const char* what) {
  std::fprintf(stderr, "emulated cuBLASLt: %s\n", what);
  std::abort();
}
template <class V, class Field>
void emulated_lt_take(Field& field, const void* value, std::size_t bytes) {
  if (bytes != sizeof(V)) emulated_lt_stop("attribute of a wrong size");
  V v;
  std::memcpy(&v, value, bytes);
  field = static_cast<Field>(v);
}

inline const char* cublasLtGetStatusString(cublasStatus_t) { return "CUBLAS_STATUS"; }
inline cublasStatus_t cublasLtCreate(cublasLtHandle_t* h) { return *h = &emulated_lt, CUBLAS_STATUS_SUCCESS; }

inline cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* l, cudaDataType_t type,
                                                 std::uint64_t rows, std::uint64_t columns, std::int64_t ld) {
  *l = new EmulatedLayout{type, static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns), ld};
  return CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l) {
  return delete l, CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t l,
                                                       cublasLtMatrixLayoutAttribute_t attribute,
                                                       const void* value, std::size_t bytes) {
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)
    emulated_lt_take<std::int32_t>(l->count, value, bytes);
  else
    emulated_lt_take<std::int64_t>(l->stride, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

inline cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* d, cublasComputeType_t compute,
                                               cudaDataType_t scale) {
  return *d = new EmulatedMatmul{compute, scale}, CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d) {
  return delete d, CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                                     cublasLtMatmulDescAttributes_t attribute,
                                                     const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      emulated_lt_take<std::int32_t>(d->transpose_a, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
      emulated_lt_take<std::int32_t>(d->transpose_b, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      emulated_lt_take<std::uint32_t>(d->epilogue, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      emulated_lt_take<const void*>(d->bias, value, bytes);
      break;
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
      emulated_lt_take<std::int64_t>(d->bias_stride, value, bytes);
      break;
  }
  return CUBLAS_STATUS_SUCCESS;
}

inline cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* p) {
  return *p = new EmulatedPreference, CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p) {
  return delete p, CUBLAS_STATUS_SUCCESS;
}
inline cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                           cublasLtMatmulPreferenceAttributes_t attribute,
                                                           const void* value, std::size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      emulated_lt_take<std::uint64_t>(p->workspace, value, bytes);
      break;
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      emulated_lt_take<std::uint32_t>(p->reduction, value, bytes);
      break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      emulated_lt_take<std::uint32_t>(p->a, value, bytes);
      break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      emulated_lt_take<std::uint32_t>(p->b, value, bytes);
      break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      emulated_lt_take<std::uint32_t>(p->c, value, bytes);
      break;
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      emulated_lt_take<std::uint32_t>(p->d, value, bytes);
      break;
  }
  return CUBLAS_STATUS_SUCCESS;
}

/// There is an algorithm for everything but two cases that stand for those in which the real library has
/// none: bias or ReLU when five results lie in a row, and operands of bf16 whose rows are an odd number
/// apart.
inline cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t product,
                                                     cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                     cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                     cublasLtMatmulPreference_t p, int asked,
                                                     cublasLtMatmulHeuristicResult_t* results, int* count) {
  *count = 0;
  const auto inner = [](const EmulatedLayout& x, cublasOperation_t op, bool first) {
    return (op == CUBLAS_OP_N) == first ? x.columns : x.rows;
  };
  const auto outer = [](const EmulatedLayout& x, cublasOperation_t op, bool first) {
    return (op == CUBLAS_OP_N) == first ? x.rows : x.columns;
  };
  if (inner(*a, product->transpose_a, true) != inner(*b, product->transpose_b, false) ||
      outer(*a, product->transpose_a, true) != d->rows ||
      outer(*b, product->transpose_b, false) != d->columns || c->rows != d->rows || c->columns != d->columns)
    emulated_lt_stop("layouts that do not fit");
  for (const EmulatedLayout* x : {a, b, c, d})
    if (x->ld < x->rows || x->count != d->count) emulated_lt_stop("leading dimension or batch count");
  if ((product->epilogue & (CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADB)) && !product->bias)
    emulated_lt_stop("a bias without address");
  if (product->scale != (product->compute == CUBLAS_COMPUTE_64F ? CUDA_R_64F : CUDA_R_32F) ||
      (a->type == CUDA_R_64F) != (product->compute == CUBLAS_COMPUTE_64F) || a->type != b->type)
    emulated_lt_stop("types that do not fit");
  if (product->epilogue != CUBLASLT_EPILOGUE_DEFAULT && (d->rows == 5 || a->type == CUDA_R_64F))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  if (a->type == CUDA_R_16BF && (a->ld % 2 || b->ld % 2)) return CUBLAS_STATUS_SUCCESS;
  for (int i = 0; i < (asked < 3 ? asked : 3); ++i)
    results[(*count)++] = {
        {p->a, p->b, p->c, p->d, std::uint64_t{64}}, std::size_t{64}, CUBLAS_STATUS_SUCCESS};
  return CUBLAS_STATUS_SUCCESS;
}

inline double emulated_lt_value(const void* x, cudaDataType_t type, std::int64_t i) {
  if (type == CUDA_R_64F) return static_cast<const double*>(x)[i];
  if (type == CUDA_R_32F) return static_cast<double>(static_cast<const float*>(x)[i]);
  const std::uint32_t bits = std::uint32_t{static_cast<const std::uint16_t*>(x)[i]} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return static_cast<double>(value);
}
inline void emulated_lt_store(void* x, cudaDataType_t type, std::int64_t i, double value) {
  if (type == CUDA_R_64F) {
    static_cast<double*>(x)[i] = value;
    return;
  }
  const auto narrow = static_cast<float>(value);
  if (type == CUDA_R_32F) {
    static_cast<float*>(x)[i] = narrow;
    return;
  }
  std::uint32_t bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  static_cast<std::uint16_t*>(x)[i] = static_cast<std::uint16_t>(
      std::isnan(narrow) ? bits >> 16 | 0x40U : (bits + 0x7fffU + (bits >> 16 & 1U)) >> 16);
}
inline void emulated_lt_aligned(const void* x, std::uint32_t bytes) {
  if (reinterpret_cast<std::uintptr_t>(x) % bytes) emulated_lt_stop("an address aligned worse than promised");
}

/// D = epilogue(alpha op(A) op(B) + beta C), column after column. C is not read when beta is zero.
struct EmulatedProduct {
  EmulatedMatmul product;
  EmulatedLayout la, lb, lc, ld;
  double alpha, beta;
  const void *a, *b, *c;
  void *d, *workspace;
  std::size_t workspace_bytes;

  /// Each matrix read or written once; the library makes nothing of what an observer has counted.
  emulated::LibraryWork work() const {
    const auto bytes = [](const EmulatedLayout& x) {
      const int each = x.type == CUDA_R_64F ? 8 : x.type == CUDA_R_32F ? 4 : 2;
      return static_cast<double>(x.rows * x.columns * x.count * each);
    };
    const std::int64_t k = product.transpose_a == CUBLAS_OP_N ? la.columns : la.rows;
    return {"cuBLASLt", bytes(la) + bytes(lb) + bytes(ld) * (beta != 0 ? 2 : 1),
            2.0 * static_cast<double>(ld.rows * ld.columns * ld.count * k)};
  }
  void operator()() const {
    if (emulated::observer) return emulated::observer->library(work());
    const emulated::DeviceMemory::Access access;
    std::memset(workspace, 0xff, workspace_bytes);
    const bool na = product.transpose_a == CUBLAS_OP_N, nb = product.transpose_b == CUBLAS_OP_N;
    const std::int64_t k = na ? la.columns : la.rows;
    if (product.epilogue == CUBLASLT_EPILOGUE_BGRADB)  // sums of op(B)'s columns
      for (std::int64_t j = 0; j < ld.columns; ++j) {
        double sum = 0;
        for (std::int64_t l = 0; l < k; ++l)
          sum += emulated_lt_value(b, lb.type, nb ? l + j * lb.ld : j + l * lb.ld);
        emulated_lt_store(const_cast<void*>(product.bias), ld.type, j, sum);
      }
    for (std::int64_t batch = 0; batch < ld.count; ++batch)
      for (std::int64_t j = 0; j < ld.columns; ++j)
        for (std::int64_t i = 0; i < ld.rows; ++i) {
          double value = 0;
          for (std::int64_t l = 0; l < k; ++l)
            value += emulated_lt_value(a, la.type, batch * la.stride + (na ? i + l * la.ld : l + i * la.ld)) *
                     emulated_lt_value(b, lb.type, batch * lb.stride + (nb ? l + j * lb.ld : j + l * lb.ld));
          value *= alpha;
          if (beta != 0) value += beta * emulated_lt_value(c, lc.type, batch * lc.stride + i + j * lc.ld);
          if (product.epilogue & CUBLASLT_EPILOGUE_BIAS)
            value += emulated_lt_value(product.bias, ld.type, batch * product.bias_stride + i);
          if ((product.epilogue & CUBLASLT_EPILOGUE_RELU) && value < 0) value = 0;
          emulated_lt_store(d, ld.type, batch * ld.stride + i + j * ld.ld, value);
        }
  }
};

/// Alpha and beta are read, and descriptors copied, when the call is made, not when a graph replays it.
inline cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t product, const void* alpha,
                                     const void* a, cublasLtMatrixLayout_t la, const void* b,
                                     cublasLtMatrixLayout_t lb, const void* beta, const void* c,
                                     cublasLtMatrixLayout_t lc, void* d, cublasLtMatrixLayout_t ld,
                                     const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                                     std::size_t workspace_bytes, cudaStream_t stream) {
  emulated_lt_aligned(a, algorithm->a), emulated_lt_aligned(b, algorithm->b);
  emulated_lt_aligned(c, algorithm->c), emulated_lt_aligned(d, algorithm->d);
  if (workspace_bytes < algorithm->workspace) emulated_lt_stop("workspace too small");
  const auto scale = [&](const void* x) {
    return product->scale == CUDA_R_64F ? *static_cast<const double*>(x)
                                        : static_cast<double>(*static_cast<const float*>(x));
  };
  emulated::submit(stream, EmulatedProduct{*product, *la, *lb, *lc, *ld, scale(alpha), scale(beta), a, b, c,
                                           d, workspace, workspace_bytes});
  return CUBLAS_STATUS_SUCCESS;
}
