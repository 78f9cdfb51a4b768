// SPDX-License-Identifier: MIT
// The micro-kernel of products whose operands are rounded to bf16: the tile of tile.hpp, with k in pairs.
//
// Two neighbours in k make one 32-bit word, the even one in the lower half. An instruction multiplies the
// words of a row of B with one word of A, and adds both products of each lane to a float:
//
//     word of A      | a(i,k) a(i,k+1) |    one for all lanes
//     words of B     | b(k,j) b(k+1,j) | b(k,j+1) b(k+1,j+1) | ...
//     sums         +=  a(i,k) b(k,j) + a(i,k+1) b(k+1,j), ...
//
// So a tile of words is a tile of floats in everything: 6 x 4 vectors of sums, four of B and one of A fill
// the registers, and a step reads as many bytes. It does twice the work.
//
// Both operands are copied, as they must be rounded:
//   rows    row i of A as it lies, bf16 side by side; the words of a row follow each other;
//   lanes   rows k and k + 1 of B interleaved: words of all columns, then those of the next pair of rows.
// The rows of A^T are the lanes of A; with the distance from a word of A to the next as an argument, one
// kernel does both. An odd k ends with a zero.
#pragma once
#include "gram/cpu/pair16.hpp"
#include "gram/cpu/tile.hpp"

namespace gram::cpu {

/// The kernels of one instruction set. T is what operands are rounded to: bf16.
template <class T>
struct PairTileTable {
  /// Rows of the tallest tile, and of the next over a panel of `columns` <= width columns. (There are no low
  /// tiles for the end of a matrix.)
  static constexpr Index max_rows = TileTable<float>::max_rows;
  Index height(Index, Index columns) const { return 2 * columns <= width ? 12 : 6; }

  Index lanes;  ///< words of a vector
  Index width;  ///< columns of a full panel, a multiple of lanes

  /// c[r][j] = epilogue(sum over t < taps, x < pairs of the products of word a[r][offsets[t] + x * step] and
  /// word (t * pairs + x) * w + j of the panel), w = round_up(columns, lanes), for r < rows, j < columns. a
  /// has height(rows, columns) readable pointers whatever `rows` is: repeat the last one. In each step
  /// the first lines of two rows of `ahead` are brought to the L2 cache.
  void (*product)(Index taps, const Index* offsets, Index pairs, Index step, const Pair16* const* a,
                  const Pair16* panel, const TileRows<float>& ahead, Index rows, float* const* c,
                  Index columns, const TileEpilogue<float>& epilogue);

  /// Rounds `rows` rows of n floats, ld apart, to rows of words, pitch apart: word x of row i holds elements
  /// 2 x and 2 x + 1. Each row ends with zeros up to whole vectors, which the pitch must leave room for.
  void (*round_rows)(Index rows, Index n, const float* from, Index ld, Pair16* to, Index pitch);

  /// Rounds B (k, n), element (i, j) at from[i * k_stride + j * n_stride], and interleaves pairs of rows:
  /// word to[x * pitch + j] holds B(2 x, j) and B(2 x + 1, j). An odd k counts a row of zeros more; columns
  /// are zeros from n up to whole vectors. One of the strides is 1.
  void (*round_lanes)(Index k, Index n, const float* from, Index k_stride, Index n_stride, Pair16* to,
                      Index pitch);
};
template <class T>
const PairTileTable<T>& pair_tile_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/tile_bf16.inl"
#include "gram/cpu/for_each_bf16_isa.hpp"
template <class T>
const gram::cpu::PairTileTable<T>& gram::cpu::pair_tile_table() {
  return GRAM_SELECT_BF16(pair_tile_kernels<T>);
}
#endif
