// SPDX-License-Identifier: MIT
// Matrix products on a GPU. cuBLASLt makes the product, with `add` or a residual as the matrix it adds and,
// where it can, bias and ReLU on the finished sums; what is left of the epilogue is one pass over C. Its GELU
// is the approximation with tanh, so GELU is in that pass, or cuDNN makes the whole. Sums are float, double
// for double.
#pragma once
#include "gram/cuda/cublaslt.cuh"
#include "gram/cuda/gelu_cudnn.cuh"
#include "gram/cuda/gemm.hpp"
#include "gram/cuda/gemm_tile.cuh"

namespace gram::cuda {

/// c = [relu or GELU](c [+ bias] [+ residual]), N neighbours for each thread. Reads and writes C once, and
/// reads the residual.
template <class T, int N>
__global__ void epilogue_kernel(GemmArguments<T, T> g) {
  const GemmEpilogue<T>& e = g.epilogue;
  const Index columns = g.shape.n / N, rows = g.shape.m, stride = g.batch.stride_c, batch = blockIdx.z;
  const Index row_step = static_cast<Index>(gridDim.y) * blockDim.y;
  for (Index j = static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; j < columns;
       j += static_cast<Index>(gridDim.x) * blockDim.x) {
    Pack<T, N> bias{};
    if (e.bias) bias = *reinterpret_cast<const Pack<T, N>*>(e.bias + batch * g.batch.stride_bias + j * N);
    for (Index i = static_cast<Index>(blockIdx.y) * blockDim.y + threadIdx.y; i < rows; i += row_step) {
      const Index at = batch * stride + i * g.ldc + j * N;
      auto* const c = reinterpret_cast<Pack<T, N>*>(g.c + at);
      Pack<T, N> value = *c, residual{};
      if (e.residual) residual = *reinterpret_cast<const Pack<T, N>*>(e.residual + at);
      for (int v = 0; v < N; ++v) {
        accum_t<T> sum = wide(value.value[v]);
        if (e.bias) sum += wide(bias.value[v]);
        if (e.residual) sum += wide(residual.value[v]);
        value.value[v] = narrow<T>(activated(sum, e.relu, e.gelu));
      }
      *c = value;
    }
  }
}

template <class T, int N>
void finish(Cuda device, const GemmArguments<T, T>& g) {
  const Index columns = g.shape.n / N;
  unsigned x = 1;
  while (x < 32 && x < columns) x *= 2;
  const unsigned y = block_threads / x;
  const Index rows = ceil_div(g.shape.m, y);
  launch(device, epilogue_kernel<T, N>,
         dim3(static_cast<unsigned>(ceil_div(columns, x)), static_cast<unsigned>(std::min<Index>(rows, 1024)),
              static_cast<unsigned>(g.batch.count)),
         dim3(x, y), 0, g);
}

/// The rest of an epilogue, over C as the library left it.
template <class T>
void finish(Cuda device, const GemmArguments<T, T>& g) {
  const GemmEpilogue<T>& e = g.epilogue;
  if (!e.bias && !e.residual && !e.relu && !e.gelu) return;
  constexpr int N = pack_size<T>;
  const Index sizes = g.shape.n | g.ldc | g.batch.stride_c | (e.bias ? g.batch.stride_bias : 0);
  const bool whole = sizes % N == 0 && alignment_of(g.c) >= 16 && alignment_of(e.bias) >= 16 &&
                     alignment_of(e.residual) >= 16;
  whole ? finish<T, N>(device, g) : finish<T, 1>(device, g);
}

/// Not worth a library's call, or nothing that it takes.
template <class T, class Out>
bool is_small(const GemmArguments<T, Out>& g) {
  const Index work = g.batch.count * g.shape.m * g.shape.n * g.shape.k;
  return work == 0 || work < gemm_settings.cublaslt_from;
}

/// The product as cuBLASLt is asked for it, without an epilogue; it adds the matrix c unless that is null.
template <class T, class Out>
LtProblem lt_problem(const GemmArguments<T, Out>& g, const Out* c) {
  return {.m = g.shape.m,
          .n = g.shape.n,
          .k = g.shape.k,
          .lda = g.lda,
          .ldb = g.ldb,
          .ldc = g.ldc,
          .count = g.batch.count,
          .stride_a = g.batch.stride_a,
          .stride_b = g.batch.stride_b,
          .stride_c = g.batch.stride_c,
          .stride_bias = 0,
          .transpose_a = g.transpose_a,
          .transpose_b = g.transpose_b,
          .add = c != nullptr,
          .tf32 = std::is_same_v<T, float> && tf32(),
          .in = data_type<T>,
          .out = data_type<Out>,
          .epilogue = CUBLASLT_EPILOGUE_DEFAULT,
          .align_a = alignment_of(g.a),
          .align_b = alignment_of(g.b),
          .align_c = alignment_of(c ? c : g.c),
          .align_d = alignment_of(g.c),
          .align_bias = 0};
}

/// The product by cuBLASLt; false when it has no algorithm.
template <class T, class Out>
bool gemm_by_library(Cuda device, const GemmArguments<T, Out>& g) {
  GemmEpilogue<Out> rest = g.epilogue;
  const Out* const c = rest.add ? g.c : rest.residual;
  if (!rest.add) rest.residual = nullptr;
  const LtProblem p = lt_problem(g, c);
  CublasLt& library = CublasLt::of(device);
  const auto bias_bytes = static_cast<std::size_t>(g.batch.stride_bias) * sizeof(Out);
  const bool bias_fits = !rest.bias || (alignment_of(rest.bias) >= 16 && bias_bytes % 16 == 0);
  if (!std::is_same_v<T, double> && (rest.bias || rest.relu) && !rest.residual && !rest.gelu && bias_fits) {
    LtProblem fused = p;
    fused.epilogue =
        rest.bias ? rest.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_RELU;
    fused.stride_bias = rest.bias ? g.batch.stride_bias : 0;
    fused.align_bias = rest.bias ? alignment_of(rest.bias) : 0;
    const LtOperands with_bias{g.a, g.b, c, g.c, rest.bias};
    if (library.run(fused, with_bias)) return true;
  }
  const LtOperands plain{g.a, g.b, c, g.c, nullptr};
  if (!library.run(p, plain)) return false;
  if constexpr (std::is_same_v<T, Out>) {
    GemmArguments<T, T> left = g;
    left.epilogue = rest;
    finish(device, left);
  }
  return true;
}

/// One product, with the sums of op(A)'s rows beside it in `sums` (m); false, and nothing has happened, when
/// cuBLASLt does not make both at once.
template <class T>
bool gemm_with_row_sums(Cuda device, const GemmArguments<T, T>& g, T* sums) {
  if (std::is_same_v<T, double> || is_small(g) || alignment_of(sums) < 16) return false;
  LtProblem p = lt_problem<T, T>(g, nullptr);
  p.epilogue = CUBLASLT_EPILOGUE_BGRADB;  // its B is our A
  p.align_bias = alignment_of(sums);
  const LtOperands operands{g.a, g.b, nullptr, g.c, sums};
  return CublasLt::of(device).run(p, operands);
}

template <class T, class Out>
void gemm_in_passes(Cuda device, const GemmArguments<T, Out>& g) {
  if (is_small(g) || !gemm_by_library(device, g)) gemm_by_tiles(device, g);
}

/// A product with bias and GELU in one pass, where cuDNN has one that is faster than two.
template <class T, class Out>
bool gemm_with_gelu(Cuda device, const GemmArguments<T, Out>& g) {
  if constexpr (std::is_same_v<T, bf16> && std::is_same_v<Out, bf16>) {
    const GemmEpilogue<bf16>& e = g.epilogue;
    const bool is_linear = !g.transpose_a && g.transpose_b && g.lda == g.shape.k && g.ldb == g.shape.k &&
                           g.ldc == g.shape.n && g.batch.count == 1;
    if (!e.gelu || e.add || e.relu || e.residual || !is_linear || is_small(g)) return false;
    const auto in_one = [&] {
      return cudnn_gelu_linear(device, g.shape.m, g.shape.k, g.shape.n, g.a, g.b, e.bias, nullptr, g.c);
    };
    const auto in_two = [&] { return gemm_in_passes(device, g), true; };
    const PlanKey key{"product with GELU in one", {g.shape.m, g.shape.k, g.shape.n, e.bias != nullptr}};
    return first_is_faster(device, key, in_one, in_two) && in_one();
  }
  return false;
}

/// Products of a batch, see kernels::gemm_batched; results may be float where operands are bf16, then without
/// an epilogue but `add`.
template <class T, class Out>
void gemm_batched(Cuda device, const GemmBatch& batch, const GemmShape& shape, const T* a, Index lda,
                  bool transpose_a, const T* b, Index ldb, bool transpose_b, Out* c, Index ldc,
                  const GemmEpilogue<std::type_identity_t<Out>>& epilogue) {
  if (shape.m == 0 || shape.n == 0) return;
  constexpr Index most = 65535;  // blocks along the axes of a grid that count batches
  for (Index first = 0; first < batch.count; first += most) {
    GemmArguments<T, Out> g{shape,
                            batch,
                            a + first * batch.stride_a,
                            b + first * batch.stride_b,
                            c + first * batch.stride_c,
                            lda,
                            ldb,
                            ldc,
                            transpose_a,
                            transpose_b,
                            epilogue};
    g.batch.count = std::min(batch.count - first, most);
    if (epilogue.bias) g.epilogue.bias += first * batch.stride_bias;
    if (epilogue.residual) g.epilogue.residual += first * batch.stride_c;
    if (!gemm_with_gelu(device, g)) gemm_in_passes(device, g);
  }
}

/// c = op(a) op(b), as the sums are.
template <class T>
void gemm_wide(Cuda device, const GemmShape& shape, const T* a, Index lda, bool transpose_a, const T* b,
               Index ldb, bool transpose_b, accum_t<T>* c, Index ldc) {
  gemm_batched(device, {.count = 1, .stride_a = 0, .stride_b = 0, .stride_c = 0}, shape, a, lda, transpose_a,
               b, ldb, transpose_b, c, ldc, {});
}

template <class T>
void fill_in_gemm_tables() {
  gemm_table<T> = {gemm_batched<T, T>, gemm_wide<T>};
}

}  // namespace gram::cuda
