// SPDX-License-Identifier: MIT
// A^T B, the product of weight gradients, over all threads: the sum over k is long. It is cut in parts with a
// result each, while these stay small together, and the parts are added in order. How many there are depends
// on the shape alone, so that the bits do not depend on the number of threads. The rest of the cutting is
// over rows and columns of C, which no sum notices.
#pragma once
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/gemm_serial.hpp"

namespace gram::cpu {

/// How A^T B is cut: `parts` of the sum, `depth` long, times blocks (rows, columns) of C.
struct PartsPlan {
  GemmShape s;
  Index parts = 8, depth, rows = 384, columns = 256;

  /// `element`: bytes of an element of C; parts are multiples of `unit` long.
  PartsPlan(const GemmShape& shape, Index element, Index unit) : s(shape) {
    constexpr Index partial_bytes = Index{4} << 20, least = 256;
    while (parts > 1 && (parts * s.m * s.n * element > partial_bytes || s.k / parts < least)) parts /= 2;
    // A block of C stays in the L2 cache while slices pass; smaller ones where there are too few to go round.
    const Index pieces = std::max(8, 4 * threads());
    if (blocks() < pieces) rows = 192;
    if (blocks() < pieces) rows = 96;
    if (blocks() < pieces) rows = 48, columns = 128;
    depth = round_up(std::max<Index>(ceil_div(s.k, parts), 1), unit);
    parts = std::max<Index>(1, ceil_div(s.k, depth));
  }
  Index blocks() const { return parts * ceil_div(s.m, rows) * ceil_div(s.n, columns); }
};

/// C = epilogue(the sum of all parts). multiply(piece, k, i, j, to, ld, epilogue, worker) makes piece.m rows
/// from i and piece.n columns from j of the product of the piece.k rows of A and B from k.
template <class T, class F>
void gemm_in_parts(const PartsPlan& plan, T* c, Index ldc, const TileEpilogue<T>& e, F&& multiply) {
  const GemmShape& s = plan.s;
  const Index parts = plan.parts, m_cuts = ceil_div(s.m, plan.rows), n_cuts = ceil_div(s.n, plan.columns);
  Scratch<T> partial(parts > 1 ? parts * s.m * s.n : 0);
  parallel_blocks(plan.blocks(), [&](Index block, int worker) {
    const Index part = block / (m_cuts * n_cuts), k = part * plan.depth;
    const Index i = block / n_cuts % m_cuts * plan.rows, j = block % n_cuts * plan.columns;
    const GemmShape piece{std::min(plan.rows, s.m - i), std::min(plan.columns, s.n - j),
                          std::min(plan.depth, s.k - k)};
    if (parts == 1)
      multiply(piece, k, i, j, c + i * ldc + j, ldc, from_column(e, j), worker);
    else
      multiply(piece, k, i, j, &partial[(part * s.m + i) * s.n + j], s.n, TileEpilogue<T>{}, worker);
  });
  if (parts == 1) return;
  parallel_for(s.m, std::max<Index>(1, 16384 / (parts * s.n)), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i)
      tile_table<T>().reduce(parts, partial.data() + i * s.n, s.m * s.n, c + i * ldc, s.n, e);
  });
}

}  // namespace gram::cpu
