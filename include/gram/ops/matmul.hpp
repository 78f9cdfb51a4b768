// SPDX-License-Identifier: MIT
#pragma once
#include "gram/cpu/gemm.hpp"
#include "gram/cuda/gemm.hpp"
#include "gram/tensor/tape.hpp"

namespace gram {

struct MatmulOptions {
  bool transpose_a = false;  ///< a is (..., K, M)
  bool transpose_b = false;  ///< b is (..., N, K)
};

/// While it lives, products of float that this thread asks for have operands of float, whatever
/// set_product_precision() and set_tf32() say: for sums of which differences are taken.
class FullPrecision {
 public:
  FullPrecision() { ++detail::full_precision_scopes; }
  ~FullPrecision() { --detail::full_precision_scopes; }
  FullPrecision(const FullPrecision&) = delete;
  FullPrecision& operator=(const FullPrecision&) = delete;
};

namespace detail {

/// The sizes of a product of matrices or of batches of them; throws ShapeError when the arguments do not fit.
struct MatmulShape {
  Index batch = 1, m, n, k;
  bool transpose_a, transpose_b;
  bool shared_b;  ///< one b for the whole batch
  Shape result;

  MatmulShape(const AnyTensor& a, const AnyTensor& b, MatmulOptions options)
      : transpose_a(options.transpose_a), transpose_b(options.transpose_b), shared_b(b.rank() == 2) {
    require(a.rank() >= 2 && b.rank() >= 2, "matmul: a has shape ", a.shape(), " and b ", b.shape(),
            "; matrices or batches of matrices are needed");
    require(b.rank() == 2 || b.rank() == a.rank(), "matmul: a has shape ", a.shape(), ", but b ", b.shape(),
            "; b is one matrix or has the leading axes of a");
    for (int i = 0; i + 2 < a.rank(); ++i) {
      require(shared_b || a.dim(i) == b.dim(i), "matmul: a has shape ", a.shape(), ", but b ", b.shape(),
              "; the leading axes must agree");
      batch *= a.dim(i);
      result.append(a.dim(i));
    }
    m = a.dim(transpose_a ? -1 : -2), k = a.dim(transpose_a ? -2 : -1), n = b.dim(transpose_b ? -2 : -1);
    const Index b_k = b.dim(transpose_b ? -1 : -2);
    require(k == b_k, "matmul: a ", a.shape(), transpose_a ? ", transposed," : "", " has ", k,
            " columns, but b ", b.shape(), transpose_b ? ", transposed," : "", " has ", b_k, " rows");
    result.append(m);
    result.append(n);
    if (shared_b && !transpose_a) m *= batch, batch = 1;  // the rows of all matrices are rows of one
  }

  GemmShape product() const { return {m, n, k}; }
  Index lda() const { return transpose_a ? m : k; }
  Index ldb() const { return transpose_b ? k : n; }
  Index a_size() const { return m * k; }
  Index b_size() const { return shared_b ? 0 : k * n; }  // from one b to the next
  Index c_size() const { return m * n; }
};

/// da = dc op(b)^T, transposed when a is.
template <class D, class T>
void matmul_grad_a(D device, const MatmulShape& s, const T* b, const T* dc, const GradientSink<T>& da) {
  if (s.transpose_a)
    kernels::gemm_batched(device, {s.batch, s.b_size(), s.c_size(), s.a_size()}, {s.k, s.m, s.n}, b, s.ldb(),
                          s.transpose_b, dc, s.n, true, da.data, s.m, {.add = da.add});
  else
    kernels::gemm_batched(device, {s.batch, s.c_size(), s.b_size(), s.a_size()}, {s.m, s.k, s.n}, dc, s.n,
                          false, b, s.ldb(), !s.transpose_b, da.data, s.k, {.add = da.add});
}

/// db = op(a)^T dc, transposed when b is; summed over the batch when that shares one b.
template <class D, class T>
void matmul_grad_b(D device, const MatmulShape& s, const T* a, const T* dc, const GradientSink<T>& db) {
  const Index rounds = s.shared_b ? s.batch : 1;
  if (rounds == 0 && !db.add) kernels::fill(device, db.data, T(0.0F), s.k * s.n);
  for (Index i = 0; i < rounds; ++i) {
    const T *x = a + i * s.a_size(), *dy = dc + i * s.c_size();
    const Index count = s.batch / std::max<Index>(rounds, 1);
    if (s.transpose_b)
      kernels::gemm_batched(device, {count, s.c_size(), s.a_size(), s.b_size()}, {s.n, s.k, s.m}, dy, s.n,
                            true, x, s.lda(), s.transpose_a, db.data, s.k, {.add = db.add || i > 0});
    else
      kernels::gemm_batched(device, {count, s.a_size(), s.c_size(), s.b_size()}, {s.k, s.n, s.m}, x, s.lda(),
                            !s.transpose_a, dy, s.n, false, db.data, s.n, {.add = db.add || i > 0});
  }
}

}  // namespace detail

/// c = op(a) op(b), op(x) = x or x^T.  a (..., M, K), b (..., K, N)  ->  (..., M, N); the leading axes of a
/// and b agree, or b is one matrix for all. Throws ShapeError when the sizes do not fit.
template <Scalar T>
Tensor<T> matmul(const Tensor<T>& a, const Tensor<T>& b, MatmulOptions options = {}) {
  const detail::MatmulShape s(a, b, options);
  require_one_device("matmul", {&a, &b});
  Tensor<T> c(s.result, a.device());
  on(a.device(), [&](auto device) {
    kernels::gemm_batched(device, {s.batch, s.a_size(), s.b_size(), s.c_size()}, s.product(), a.data(),
                          s.lda(), s.transpose_a, b.data(), s.ldb(), s.transpose_b, c.data(), s.n);
  });
  return record("matmul", c, {a, b},
                [s, da = a.gradient(), db = b.gradient(), a = b.requires_grad() ? a.detach() : Tensor<T>{},
                 b = a.requires_grad() ? b.detach() : Tensor<T>{}](const Tensor<T>& dc) {
                  on(dc.device(), [&](auto device) {
                    if (const GradientSink<T> sink = da.sink())
                      detail::matmul_grad_a(device, s, b.data(), dc.data(), sink);
                    if (const GradientSink<T> sink = db.sink())
                      detail::matmul_grad_b(device, s, a.data(), dc.data(), sink);
                  });
                });
}

}  // namespace gram
