// SPDX-License-Identifier: MIT
// Matrix products in one thread with memory of the caller: the pieces that gemm.hpp spreads over threads, and
// the product to use inside the tasks of other kernels. T is float or double.
#pragma once
#include <algorithm>

#include "gram/cpu/tile.hpp"

namespace gram {

/// C (m, n) = op(A) (m, k) op(B) (k, n).
struct GemmShape {
  Index m, n, k;
};

/// What becomes of a product: C = [relu](op(A) op(B) [+ bias] [+ C]); bias has n values.
template <class T>
using GemmEpilogue = cpu::TileEpilogue<T>;

namespace cpu {

/// A matrix operand: element (i, j) of op(X) at data[i * row_stride + j * column_stride]. One of the strides
/// is 1.
template <class T>
struct Operand {
  const T* data;
  Index row_stride, column_stride;

  const T* at(Index row, Index column) const { return data + row * row_stride + column * column_stride; }
  Operand from(Index row, Index column) const { return {at(row, column), row_stride, column_stride}; }
};
template <class T>
Operand<T> operand(const T* x, Index ld, bool transposed) {
  return {x, transposed ? 1 : ld, transposed ? ld : 1};
}

/// The part of an epilogue that belongs to the columns from `column` on.
template <class T>
TileEpilogue<T> from_column(const TileEpilogue<T>& e, Index column) {
  return {e.bias ? e.bias + column : nullptr, e.add, e.relu};
}

/// m rows of C against one packed panel: C (m, columns) = A (m, k) panel (k, columns).
template <class T>
void gemm_panel(const TileTable<T>& tile, Index m, Index columns, Index k, const T* a, Index lda,
                const T* panel, T* c, Index ldc, const TileEpilogue<T>& e) {
  const Index step = tile.rows(columns), offset = 0;
  const T* from[TileTable<T>::max_rows];
  T* to[TileTable<T>::max_rows];
  for (Index i = 0; i < m; i += step) {
    const Index rows = std::min(step, m - i);
    for (Index r = 0; r < step; ++r) {
      const Index row = i + std::min(r, rows - 1);
      from[r] = a + row * lda;
      to[r] = c + row * ldc;
    }
    tile.product(1, &offset, k, from, panel, rows, to, columns, e);
  }
}

/// Rows of A and B that gemm_outer copies at a time: a panel of B and a strip of A stay in the caches.
inline constexpr Index gemm_slice = 128;

/// Rows on their way to the L2 cache, a few lines at a time: asked for between tiles they cost nothing, asked
/// for all at once they would keep the core waiting.
struct RowsAhead {
  const char* data;
  Index rows, bytes, stride;  ///< bytes of a row, and from one row to the next
  Index row = 0, byte = 0;

  template <class T>
  RowsAhead(const T* first, Index count, Index columns, Index ld)
      : data(reinterpret_cast<const char*>(first)),
        rows(count),
        bytes(columns * Index{sizeof(T)}),
        stride(ld * Index{sizeof(T)}) {}
  Index lines() const { return rows * ceil_div(bytes, 64); }
  void fetch(Index count) {
    for (; count > 0 && row < rows; --count) {
      __builtin_prefetch(data + row * stride + byte, 0, 2);
      byte += 64;
      if (byte >= bytes) byte = 0, ++row;
    }
  }
};

/// Scratch of gemm_outer, in elements.
template <class T>
Index gemm_outer_scratch(Index m) {
  const TileTable<T>& tile = tile_table<T>();
  return gemm_slice * (tile.width + round_up(m, TileTable<T>::max_rows));
}

/// C (m, n) = A^T B as a sum of outer products of the rows of A (k, m) and B (k, n), B through its strides.
template <class T>
void gemm_outer(const GemmShape& s, const T* a, Index lda, const Operand<T>& b, T* c, Index ldc,
                const TileEpilogue<T>& e, T* scratch) {
  const TileTable<T>& tile = tile_table<T>();
  T* const panel = scratch;
  T* const strips = scratch + gemm_slice * tile.width;
  T* to[TileTable<T>::max_rows];
  for (Index begin = 0, end; begin == 0 || begin < s.k; begin = end) {
    end = std::min(s.k, begin + gemm_slice);
    const Index count = end - begin;
    const bool last = end == s.k;
    const Index next = std::min(gemm_slice, s.k - end),
                tiles = ceil_div(s.n, tile.width) * ceil_div(s.m, Index{6});
    RowsAhead next_a(a + end * lda, next, s.m, lda);
    RowsAhead next_b(b.at(end, 0), b.column_stride == 1 ? next : 0, s.n, b.row_stride);
    const Index a_lines = ceil_div(next_a.lines(), tiles), b_lines = ceil_div(next_b.lines(), tiles);
    Index strip = 0;  // rows of the strips made so far
    for (Index p = 0; p < s.n; p += tile.width) {
      const Index columns = std::min(tile.width, s.n - p), step = tile.rows(columns);
      if (strip != step) tile.interleave(count, s.m, a + begin * lda, lda, strip = step, strips);
      tile.pack(0, count, count, columns, b.at(begin, p), b.row_stride, b.column_stride, panel);
      const TileEpilogue<T> now{last && e.bias ? e.bias + p : nullptr, e.add || begin > 0, last && e.relu};
      for (Index i = 0; i < s.m; i += step) {
        const Index rows = std::min(step, s.m - i);
        for (Index r = 0; r < rows; ++r) to[r] = c + (i + r) * ldc + p;
        tile.outer(count, strips + i * count, panel, rows, to, columns, now);
        next_a.fetch(a_lines), next_b.fetch(b_lines);
      }
    }
    if (last) break;
  }
}

/// Scratch of gemm_serial, in elements.
template <class T>
Index gemm_serial_scratch(const GemmShape& s, bool transpose_a) {
  return transpose_a ? gemm_outer_scratch<T>(s.m) : s.k * tile_table<T>().width;
}

/// C = epilogue(op(A) op(B)) in the calling thread, with gemm_serial_scratch<T>(s, transpose_a) elements of
/// scratch, 64-byte aligned. Rows of A, B and C are lda, ldb and ldc elements apart; op(X) is X, or X^T when
/// transpose_x is set.
template <class T>
void gemm_serial(const GemmShape& s, const T* a, Index lda, bool transpose_a, const T* b, Index ldb,
                 bool transpose_b, T* c, Index ldc, const TileEpilogue<std::type_identity_t<T>>& e,
                 T* scratch) {
  const Operand<T> right = operand(b, ldb, transpose_b);
  if (s.m == 0 || s.n == 0) return;
  if (transpose_a) return gemm_outer(s, a, lda, right, c, ldc, e, scratch);
  const TileTable<T>& tile = tile_table<T>();
  for (Index p = 0; p < s.n; p += tile.width) {
    const Index columns = std::min(tile.width, s.n - p);
    tile.pack(0, s.k, s.k, columns, right.at(0, p), right.row_stride, right.column_stride, scratch);
    gemm_panel(tile, s.m, columns, s.k, a, lda, scratch, c + p, ldc, from_column(e, p));
  }
}

}  // namespace cpu
}  // namespace gram
