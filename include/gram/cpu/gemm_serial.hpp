// SPDX-License-Identifier: MIT
// Matrix products in one thread with memory of the caller: the pieces that gemm.hpp spreads over threads, and
// the product to use inside the tasks of other kernels. T is float or double.
#pragma once
#include <algorithm>
#include <utility>

#include "gram/cpu/tile.hpp"

namespace gram {

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
  return {e.bias ? e.bias + column : nullptr, e.add, e.relu, e.residual, e.base, e.gelu};
}

/// m rows of C against one packed panel: C (m, columns) = A (m, k) panel (k, columns).
template <class T>
void gemm_panel(const TileTable<T>& tile, Index m, Index columns, Index k, const T* a, Index lda,
                const T* panel, T* c, Index ldc, const TileEpilogue<T>& e) {
  const Index offset = 0;
  // With few columns a tile is done before the processor has found out which rows of A are next.
  const bool passing = columns <= tile.lanes && lda == k;
  const T* from[TileTable<T>::max_rows];
  T* to[TileTable<T>::max_rows];
  for (Index i = 0, height; i < m; i += height) {
    height = tile.height(m - i, columns);
    const Index rows = std::min(height, m - i);
    for (Index r = 0; r < height; ++r) {
      const Index row = i + std::min(r, rows - 1);
      from[r] = a + row * lda;
      to[r] = c + row * ldc;
    }
    const T* const next = a + std::min(i + 2 * height, m) * lda;
    for (const T* line = a + (i + height) * lda; passing && line < next; line += 64 / sizeof(T))
      __builtin_prefetch(line);
    tile.product(1, &offset, k, from, panel, rows, to, columns, e);
  }
}

/// Most rows of A and B that gemm_outer passes over at a time: they stay in the L2 cache.
inline constexpr Index gemm_slice = 128;

/// Rows of each slice of k rows of A, lda elements apart. The columns that a tile takes from A stay in the L1
/// cache for the next tiles, which share their lines; rows 512 bytes apart fall on an eighth of its sets,
/// where half as many have room. (Rows further apart find room in no slice that is long enough to be worth
/// it.)
template <class T>
Index gemm_slice_rows(Index k, Index lda) {
  const Index most = lda * Index{sizeof(T)} % 1024 == 512 ? gemm_slice / 2 : gemm_slice;
  return ceil_div(k, std::max<Index>(1, ceil_div(k, most)));
}

/// The rows of A and B that come next, as columns of cache lines. Each tile fetches one column, a line for
/// each of its steps: so they cost nothing, while asked for all at once they would keep the core waiting.
template <class T>
class LinesAhead {
 public:
  LinesAhead(TileRows<T> a, Index a_columns, TileRows<T> b, Index b_columns)
      : a_(a), b_(b), a_lines_(ceil_div(a_columns, line)), b_lines_(ceil_div(b_columns, line)) {}
  /// The next column, or `otherwise` when all are on their way.
  TileRows<T> next(Index, TileRows<T> otherwise) {
    const Index column = next_++;
    if (column < a_lines_) return {a_.data + column * line, a_.stride};
    if (column < a_lines_ + b_lines_) return {b_.data + (column - a_lines_) * line, b_.stride};
    return otherwise;
  }

 private:
  static constexpr Index line = 64 / sizeof(T);
  TileRows<T> a_, b_;
  Index a_lines_, b_lines_, next_ = 0;
};

/// The same for rows that fill memory without gaps: lines in the order in which they lie, first those of a,
/// then those of b.
template <class T>
class MemoryAhead {
 public:
  MemoryAhead(const T* a, Index a_elements, const T* b, Index b_elements)
      : data_{a, b}, lines_{a_elements / line, b_elements / line} {}
  /// The next `steps` lines.
  TileRows<T> next(Index steps, TileRows<T> otherwise) {
    for (int i = 0; i < 2; ++i)
      if (lines_[i] >= steps) {
        lines_[i] -= steps;
        return {std::exchange(data_[i], data_[i] + steps * line), line};
      }
    return otherwise;
  }

 private:
  static constexpr Index line = 64 / sizeof(T);
  const T* data_[2];
  Index lines_[2];
};

/// Scratch of gemm_outer_slice, in elements.
template <class T>
Index gemm_outer_scratch(Index slice = gemm_slice) {
  return slice * (tile_table<T>().width + TileTable<T>::max_rows);
}

/// C (m, n) = epilogue(A^T B): the sum of outer products of the rows of A (k, m) and B (k, n), B through its
/// strides, which all fit the cache. Tiles read both where they lie, but for what is copied first: a panel of
/// B that many tiles pass over, since rows that are not close share few sets of the L1 cache; columns of B
/// that do not fill a vector; and columns of A that do not fill a tile, unless a tile may read the few values
/// `behind` them.
template <class T, class Ahead>
void gemm_outer_slice(const GemmShape& s, const T* a, Index lda, bool behind, const Operand<T>& b, T* c,
                      Index ldc, const TileEpilogue<T>& e, Ahead& ahead, T* scratch) {
  const TileTable<T>& tile = tile_table<T>();
  T* const packed = scratch;
  T* const strip = scratch + s.k * tile.width;
  T* to[TileTable<T>::max_rows];
  for (Index p = 0; p < s.n; p += tile.width) {
    const Index columns = std::min(tile.width, s.n - p);
    TileRows<T> panel{b.at(0, p), b.row_stride};
    const bool shared = s.m >= 16 * tile.height(s.m, columns) && b.row_stride >= 2 * tile.width;
    if (shared || b.column_stride != 1 || columns % tile.lanes != 0) {
      tile.pack(0, s.k, s.k, columns, panel.data, b.row_stride, b.column_stride, packed);
      panel = {packed, round_up(columns, tile.lanes)};
    }
    const TileEpilogue<T> now = from_column(e, p);
    for (Index i = 0, height; i < s.m; i += height) {
      height = tile.height(s.m - i, columns);
      const Index rows = std::min(height, s.m - i);
      TileRows<T> x{a + i, lda};
      if (rows < height && !behind) {
        for (Index k = 0; k < s.k; ++k)
          for (Index r = 0; r < height; ++r) strip[k * height + r] = r < rows ? x.data[k * lda + r] : T(0);
        x = {strip, height};
      }
      for (Index r = 0; r < rows; ++r) to[r] = c + (i + r) * ldc + p;
      tile.outer(s.k, x, panel, ahead.next(s.k, x), rows, to, columns, now);
    }
  }
}

/// C (m, n) = epilogue(A^T B) for any k, in slices, with gemm_outer_scratch<T>() elements of scratch.
template <class T>
void gemm_outer(const GemmShape& s, const T* a, Index lda, const Operand<T>& b, T* c, Index ldc,
                const TileEpilogue<T>& e, T* scratch) {
  const Index slice = gemm_slice_rows<T>(s.k, lda);
  for (Index begin = 0, end; begin == 0 || begin < s.k; begin = end) {
    end = std::min(s.k, begin + slice);
    const Index count = end - begin;
    const bool last = end == s.k, fetch = !last;
    LinesAhead<T> ahead({a + end * lda, lda}, fetch ? s.m : 0, {b.at(end, 0), b.row_stride},
                        fetch && b.column_stride == 1 ? s.n : 0);
    const TileEpilogue<T> now{
        last ? e.bias : nullptr, e.add || begin > 0, last && e.relu, last ? e.residual : nullptr, e.base,
        last && e.gelu};
    const bool behind = (s.k - end) * lda >= TileTable<T>::max_rows;
    gemm_outer_slice({s.m, s.n, count}, a + begin * lda, lda, behind, b.from(begin, 0), c, ldc, now, ahead,
                     scratch);
    if (last) break;
  }
}

/// Scratch of gemm_serial, in elements.
template <class T>
Index gemm_serial_scratch(const GemmShape& s, bool transpose_a) {
  return transpose_a ? gemm_outer_scratch<T>() : s.k * tile_table<T>().width;
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
