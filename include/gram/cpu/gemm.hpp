// SPDX-License-Identifier: MIT
// Matrix products over all threads. Work is cut by shape alone and partial sums are added in a fixed order,
// so results do not depend on the number of threads.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/gemm_bf16.hpp"
#include "gram/cpu/gemm_parts.hpp"
#include "gram/cpu/gemm_serial.hpp"
#include "gram/cpu/thin.hpp"

namespace gram {

namespace cpu {

/// Few rows: each task packs a panel of B and multiplies it with all of A.
template <class T>
void gemm_by_columns(const GemmShape& s, const T* a, Index lda, const Operand<T>& b, T* c, Index ldc,
                     const TileEpilogue<T>& e) {
  const TileTable<T>& tile = tile_table<T>();
  const Index panels = ceil_div(s.n, tile.width), size = s.k * tile.width;
  Scratch<T> scratch(workers(panels) * size);
  parallel_blocks(panels, [&](Index block, int worker) {
    const Index p = block * tile.width, columns = std::min(tile.width, s.n - p);
    T* const panel = scratch.data() + worker * size;
    tile.pack(0, s.k, s.k, columns, b.at(0, p), b.row_stride, b.column_stride, panel);
    gemm_panel(tile, s.m, columns, s.k, a, lda, panel, c + p, ldc, from_column(e, p));
  });
}

/// Packs op(B) (k, n) over all threads: TileTable::packed_size(k, n) elements.
template <class T>
void gemm_pack(Index k, Index n, const Operand<T>& b, T* packed) {
  const TileTable<T>& tile = tile_table<T>();
  const Index panels = ceil_div(n, tile.width), chunk = 256, chunks = ceil_div(k, chunk);
  parallel_blocks(panels * chunks, [&](Index block, int) {
    const Index p = block / chunks * tile.width, columns = std::min(tile.width, n - p);
    const Index first = block % chunks * chunk, count = std::min(chunk, k - first);
    tile.pack(first, count, k, columns, b.at(first, p), b.row_stride, b.column_stride, packed + p * k);
  });
}

/// C = epilogue(A B) with B packed. Each task multiplies a block of rows that fits the L2 cache with all
/// panels, or with a part of them where blocks are few. Where rows are few (one image), most of the memory to
/// read is B, and each panel is one task's, or two. The bits are those of every other way to multiply but the
/// forms for few rows (thin.hpp): an element is one sum over k, in order.
template <class T>
void gemm_packed(const GemmShape& s, const T* a, Index lda, const T* packed, T* c, Index ldc,
                 const TileEpilogue<T>& e) {
  if (s.m == 0 || s.n == 0) return;
  const TileTable<T>& tile = tile_table<T>();
  const Index panels = ceil_div(s.n, tile.width);
  constexpr Index l2_part = 192 * 1024 / sizeof(T), step = TileTable<T>::max_rows;
  const Index fitting = l2_part / std::max<Index>(s.k, 1),
              even = std::max(std::min<Index>(384, ceil_div(s.m, 8)), s.m / 32);
  const bool few = s.m <= 256;
  const Index most = few ? ceil_div(s.m, panels >= 16 ? 1 : 2) : std::min(fitting, even);
  const Index rows = round_up(std::clamp<Index>(most, 1, s.m), step);
  const Index blocks = ceil_div(s.m, rows), cuts = few            ? panels
                                                   : blocks >= 16 ? 1
                                                                  : std::min<Index>(panels, 4);
  const Index span = ceil_div(panels, cuts);
  parallel_blocks(blocks * cuts, [&](Index block, int) {
    const Index i = block % blocks * rows, m = std::min(rows, s.m - i);
    const Index first = block / blocks * span, last = std::min(panels, first + span);
    for (Index p = first * tile.width; p < std::min(s.n, last * tile.width); p += tile.width)
      gemm_panel(tile, m, std::min(tile.width, s.n - p), s.k, a + i * lda, lda, packed + p * s.k,
                 c + i * ldc + p, ldc, from_column(e, p));
  });
}

/// Many rows: B is packed once.
template <class T>
void gemm_by_rows(const GemmShape& s, const T* a, Index lda, const Operand<T>& b, T* c, Index ldc,
                  const TileEpilogue<T>& e) {
  Scratch<T> packed(tile_table<T>().packed_size(s.k, s.n));
  gemm_pack(s.k, s.n, b, packed.data());
  gemm_packed(s, a, lda, packed.data(), c, ldc, e);
}

/// A^T B, see gemm_parts.hpp.
template <class T>
void gemm_by_parts(const GemmShape& s, const T* a, Index lda, const Operand<T>& b, T* c, Index ldc,
                   const TileEpilogue<T>& e) {
  const PartsPlan plan(s, sizeof(T), 4);
  const Index size = gemm_outer_scratch<T>();
  Scratch<T> scratch(workers(plan.blocks()) * size);
  gemm_in_parts(plan, c, ldc, e,
                [&](const GemmShape& piece, Index k, Index i, Index j, T* to, Index ld,
                    const TileEpilogue<T>& now, int worker) {
                  gemm_outer(piece, a + k * lda + i, lda, b.from(k, j), to, ld, now,
                             scratch.data() + worker * size);
                });
}

/// Products below this many multiplications are not worth waking other threads for.
inline constexpr Index gemm_serial_limit = Index{1} << 17;

template <class T>
void gemm_parallel(const GemmShape& s, const T* a, Index lda, bool transpose_a, const T* b, Index ldb,
                   bool transpose_b, T* c, Index ldc, const TileEpilogue<T>& e) {
  if (s.m == 0 || s.n == 0) return;
  if constexpr (std::is_same_v<T, float>)
    if (product_precision() == Precision::bf16 && worth_rounding(s))
      return gemm_bf16(s, a, lda, transpose_a, b, ldb, transpose_b, c, ldc, e);
  const Operand<T> right = operand(b, ldb, transpose_b);
  if (s.m * s.n * s.k <= gemm_serial_limit) {
    Scratch<T> scratch(gemm_serial_scratch<T>(s, transpose_a));
    gemm_serial(s, a, lda, transpose_a, b, ldb, transpose_b, c, ldc, e, scratch.data());
  } else if (transpose_a) {
    gemm_by_parts(s, a, lda, right, c, ldc, e);
  } else if (s.m <= 64 ||
             (s.m * s.k <= (Index{512} << 10) / Index{sizeof(T)} && s.n >= 8 * tile_table<T>().width)) {
    gemm_by_columns(s, a, lda, right, c, ldc, e);
  } else {
    gemm_by_rows(s, a, lda, right, c, ldc, e);
  }
}

/// Matrices up to this size (A, B and C together) are multiplied one to a task.
template <class T>
bool gemm_fits_task(const GemmShape& s) {
  return (s.m * s.k + s.k * s.n + s.m * s.n) * Index{sizeof(T)} <= Index{1} << 20;
}

template <class T>
void gemm_batch_parallel(const GemmBatch& batch, const GemmShape& s, const T* a, Index lda, bool transpose_a,
                         const T* b, Index ldb, bool transpose_b, T* c, Index ldc, const TileEpilogue<T>& e) {
  const auto epilogue = [&](Index i) { return from_column(e, i * batch.stride_bias); };
  if (is_thin(s, transpose_a, transpose_b, e) && batch.count * s.m * s.n * s.k > gemm_serial_limit) {
    const auto operands = [&](Index i) {
      return ThinOperands<T>{a + i * batch.stride_a, b + i * batch.stride_b, c + i * batch.stride_c,
                             epilogue(i)};
    };
    return transpose_a   ? thin_spread<T>(batch.count, s, lda, ldb, ldc, operands)
           : transpose_b ? thin_dots<T>(batch.count, s, lda, ldb, ldc, operands)
                         : thin_mix<T>(batch.count, s, lda, ldb, ldc, operands);
  }
  if (batch.count == 1 || !gemm_fits_task<T>(s)) {
    for (Index i = 0; i < batch.count; ++i)
      gemm_parallel(s, a + i * batch.stride_a, lda, transpose_a, b + i * batch.stride_b, ldb, transpose_b,
                    c + i * batch.stride_c, ldc, epilogue(i));
    return;
  }
  const Index each =
      std::clamp<Index>(gemm_serial_limit / std::max<Index>(1, s.m * s.n * s.k), 1, batch.count);
  const Index blocks = ceil_div(batch.count, each), size = gemm_serial_scratch<T>(s, transpose_a);
  Scratch<T> scratch(workers(blocks) * size);
  parallel_blocks(blocks, [&](Index block, int worker) {
    for (Index i = block * each; i < std::min(batch.count, (block + 1) * each); ++i)
      gemm_serial(s, a + i * batch.stride_a, lda, transpose_a, b + i * batch.stride_b, ldb, transpose_b,
                  c + i * batch.stride_c, ldc, epilogue(i), scratch.data() + worker * size);
  });
}

/// `count` matrices (rows, columns), rows ld and matrices `stride` apart, as contiguous floats.
inline void widen(Index count, Index rows, Index columns, const bf16* x, Index ld, Index stride, float* y) {
  parallel_for(count * rows, ceil_div(16384, std::max<Index>(columns, 1)), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const bf16* from = x + i / rows * stride + i % rows * ld;
      for (Index j = 0; j < columns; ++j) y[i * columns + j] = from[j];
    }
  });
}
inline void narrow(Index count, Index rows, Index columns, const float* x, bf16* y, Index ld, Index stride) {
  parallel_for(count * rows, ceil_div(16384, std::max<Index>(columns, 1)), [=](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      bf16* to = y + i / rows * stride + i % rows * ld;
      for (Index j = 0; j < columns; ++j) to[j] = bf16(x[i * columns + j]);
    }
  });
}

/// bf16: the product of the widened operands in float, rounded once.
inline void gemm_batch_parallel(const GemmBatch& batch, const GemmShape& s, const bf16* a, Index lda,
                                bool transpose_a, const bf16* b, Index ldb, bool transpose_b, bf16* c,
                                Index ldc, const TileEpilogue<bf16>& e) {
  const Index count = batch.count, biases = !e.bias ? 0 : batch.stride_bias ? count : 1;
  const Index a_count = batch.stride_a ? count : 1, a_rows = transpose_a ? s.k : s.m,
              a_columns = transpose_a ? s.m : s.k;
  const Index b_count = batch.stride_b ? count : 1, b_rows = transpose_b ? s.n : s.k,
              b_columns = transpose_b ? s.k : s.n;
  Scratch<float> wide_a(a_count * s.m * s.k), wide_b(b_count * s.k * s.n), wide_c(count * s.m * s.n),
      bias(biases * s.n), residual(e.residual ? count * s.m * s.n : 0);
  widen(a_count, a_rows, a_columns, a, lda, batch.stride_a, wide_a.data());
  widen(b_count, b_rows, b_columns, b, ldb, batch.stride_b, wide_b.data());
  widen(biases, 1, s.n, e.bias, s.n, batch.stride_bias, bias.data());
  if (e.residual) widen(count, s.m, s.n, e.residual, ldc, batch.stride_c, residual.data());
  if (e.add) widen(count, s.m, s.n, c, ldc, batch.stride_c, wide_c.data());
  const GemmBatch wide{count, batch.stride_a ? s.m * s.k : 0, batch.stride_b ? s.k * s.n : 0, s.m * s.n,
                       batch.stride_bias ? s.n : 0};
  gemm_batch_parallel(wide, s, wide_a.data(), a_columns, transpose_a, wide_b.data(), b_columns, transpose_b,
                      wide_c.data(), s.n,
                      TileEpilogue<float>{e.bias ? bias.data() : nullptr, e.add, e.relu,
                                          e.residual ? residual.data() : nullptr, wide_c.data(), e.gelu});
  narrow(count, s.m, s.n, wide_c.data(), c, ldc, batch.stride_c);
}

}  // namespace cpu

namespace kernels {

/// Products of a batch: C_i = epilogue(op(A_i) op(B_i)), i < batch.count, operands batch.stride_x elements
/// apart. Rows are lda, ldb and ldc elements apart; op(X) is X, or X^T when transpose_x is set. The C_i must
/// not overlap.
template <class T>
void gemm_batched(Cpu, const GemmBatch& batch, const GemmShape& shape, const T* a, Index lda,
                  bool transpose_a, const T* b, Index ldb, bool transpose_b, T* c, Index ldc,
                  GemmEpilogue<std::type_identity_t<T>> epilogue = {}) {
  epilogue.base = c;
  if (batch.count > 0 && shape.m > 0 && shape.n > 0)
    cpu::gemm_batch_parallel(batch, shape, a, lda, transpose_a, b, ldb, transpose_b, c, ldc, epilogue);
}

/// C = epilogue(op(A) op(B)).
template <class T>
void gemm(Cpu device, const GemmShape& shape, const T* a, Index lda, bool transpose_a, const T* b, Index ldb,
          bool transpose_b, T* c, Index ldc, const GemmEpilogue<std::type_identity_t<T>>& epilogue = {}) {
  gemm_batched(device, {.count = 1, .stride_a = 0, .stride_b = 0, .stride_c = 0}, shape, a, lda, transpose_a,
               b, ldb, transpose_b, c, ldc, epilogue);
}

/// C = op(A) op(B) as the sums are made: of bf16 operands in float.
template <class T>
void gemm_wide(Cpu device, const GemmShape& s, const T* a, Index lda, bool transpose_a, const T* b, Index ldb,
               bool transpose_b, accum_t<T>* c, Index ldc) {
  if constexpr (std::is_same_v<T, accum_t<T>>) {
    gemm(device, s, a, lda, transpose_a, b, ldb, transpose_b, c, ldc);
  } else {
    const Index a_columns = transpose_a ? s.m : s.k, b_columns = transpose_b ? s.k : s.n;
    Scratch<accum_t<T>> wide_a(s.m * s.k), wide_b(s.k * s.n);
    cpu::widen(1, transpose_a ? s.k : s.m, a_columns, a, lda, 0, wide_a.data());
    cpu::widen(1, transpose_b ? s.n : s.k, b_columns, b, ldb, 0, wide_b.data());
    gemm(device, s, wide_a.data(), a_columns, transpose_a, wide_b.data(), b_columns, transpose_b, c, ldc);
  }
}

}  // namespace kernels
}  // namespace gram
