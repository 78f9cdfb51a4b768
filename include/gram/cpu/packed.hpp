// SPDX-License-Identifier: MIT
// What tasks share that keep packed operands in their own scratch, to multiply with them many times.
#pragma once
#include "gram/core/parallel.hpp"
#include "gram/cpu/gemm_serial.hpp"
#include "gram/kernels/layout.hpp"

namespace gram::cpu {

using kernels::Layout;

/// A parallel loop over `count` items that take about `work` multiplications each; small ones go several to a
/// task.
struct ItemLoop {
  Index count, each;

  ItemLoop(Index items, Index work)
      : count(items),
        each(std::clamp<Index>((Index{1} << 17) / (std::max<Index>)(work, 1), 1,
                               (std::max<Index>)(items, 1))) {}
  int workers() const { return gram::workers(ceil_div(count, each)); }
  /// f(item, worker) for every item.
  template <class F>
  void run(F&& f) const {
    parallel_blocks(ceil_div(count, each), [&](Index task, int worker) {
      for (Index i = task * each; i < (std::min)(count, (task + 1) * each); ++i) f(i, worker);
    });
  }
};

/// Packs op(B) (k, n) for multiply_packed: TileTable::packed_size(k, n) elements.
template <class T>
void pack(Index k, Index n, const Operand<T>& b, T* panels) {
  tile_table<T>().pack(0, k, k, n, b.data, b.row_stride, b.column_stride, panels);
}

/// C (m, n) = epilogue(A (m, k) B) in the calling thread; B is packed.
template <class T>
void multiply_packed(const GemmShape& s, const T* a, Index lda, const T* panels, T* c, Index ldc,
                     const TileEpilogue<T>& e = {}) {
  const TileTable<T>& tile = tile_table<T>();
  for (Index p = 0; p < s.n; p += tile.width)
    gemm_panel(tile, s.m, (std::min)(tile.width, s.n - p), s.k, a, lda, panels + p * s.k, c + p, ldc,
               from_column(e, p));
}

}  // namespace gram::cpu
