// SPDX-License-Identifier: MIT
// The micro-kernel of every matrix product: a tile of C(M, N) = A(M, K) B(K, N) that stays in registers.
//
// A is read where it lies, through one pointer for each row of the tile; a convolution gives several "taps",
// k values of each row at several offsets. B is packed: panels of `width` columns (the last one narrower), k
// outermost inside a panel, zeros up to whole vectors. Element (k, j) of a packed matrix lies at
//     panels[p * K + k * w + (j - p)],  p = j / width * width,  w = min(width, round_up(N - p, lanes)),
// so the panel of column p starts at panels + p * K.
#pragma once
#include "gram/cpu/math.hpp"
#include "gram/kernels/gemm.hpp"

namespace gram::cpu {

/// What becomes of a finished tile.
template <class T>
using TileEpilogue = GemmEpilogue<T>;

/// Rows that a tile of A^T B walks down: row i at data + i * stride.
template <class T>
struct TileRows {
  const T* data;
  Index stride;
};

/// Rows of the next tile, `left` rows before the end: 6, or 12 where a narrow panel leaves registers for
/// them; towards the end 4 where that multiplies fewer rows that do not exist, as in 128 = 20 x 6 + 2 x 4.
constexpr Index tile_height(Index left, bool narrow) {
  return left <= 4 || (left <= 8 && (narrow || left > 6)) ? 4 : narrow ? 12 : 6;
}

/// The kernels of one instruction set. T is float or double.
template <class T>
struct TileTable {
  /// Rows of the tallest tile.
  static constexpr Index max_rows = 12;
  /// Rows of the next tile over a panel of `columns` <= width columns, `left` rows before the end.
  Index height(Index left, Index columns) const { return tile_height(left, 2 * columns <= width); }
  /// Elements of a packed (K, N) matrix.
  Index packed_size(Index k, Index n) const { return k * round_up(n, lanes); }

  Index lanes;  ///< elements of a vector
  Index width;  ///< columns of a full panel, a multiple of lanes

  /// c[r][j] = epilogue(sum over t < taps, i < k of a[r][offsets[t] + i] * panel(t * k + i, j)) for r < rows,
  /// j < columns. panel holds taps * k rows of round_up(columns, lanes) values. rows is at
  /// most height(rows, columns), and that many pointers a must be readable: repeat the last one. Only the
  /// given rows and columns of c are read and written.
  void (*product)(Index taps, const Index* offsets, Index k, const T* const* a, const T* panel, Index rows,
                  T* const* c, Index columns, const TileEpilogue<T>& epilogue);

  /// c[r][j] = epilogue(sum over i < k of x(i, r) * panel(i, j)): a tile of A^T B. Rows of x have
  /// height(rows, columns) readable values, those of panel round_up(columns, lanes). Of each row of `ahead`
  /// the first line is brought to the L2 cache.
  void (*outer)(Index k, const TileRows<T>& x, const TileRows<T>& panel, const TileRows<T>& ahead, Index rows,
                T* const* c, Index columns, const TileEpilogue<T>& epilogue);

  /// Packs `count` rows of B, element (i, j) at b[i * k_stride + j * n_stride], as rows first .. first +
  /// count - 1 of the packed (K, N) matrix. Fast when one stride is 1: plain (n_stride) or transposed
  /// (k_stride) storage.
  void (*pack)(Index first, Index count, Index k, Index n, const T* b, Index k_stride, Index n_stride,
               T* panels);

  /// c[j] = epilogue(sum over p < parts of partial[p * stride + j]), added in the order of p.
  void (*reduce)(Index parts, const T* partial, Index stride, T* c, Index columns,
                 const TileEpilogue<T>& epilogue);
};
template <class T>
const TileTable<T>& tile_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/tile.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::TileTable<T>& gram::cpu::tile_table() {
  return GRAM_SELECT(tile_kernels<T>);
}
#endif
