// SPDX-License-Identifier: MIT
// Products with few rows: a layer on the vectors of a small batch. With N rows a weight takes part in N
// multiplications, 4 bytes for 2 N operations, so the time is that of reading the weights (of writing them,
// for their gradient), as long as they are read once, where they lie, in the order of memory:
//     y  = x W^T    dots:    8 x 3 sums in registers, one for each row of x and of W; W runs along k
//     dx = dy W     mix:     8 x 3 sums again, over 32 rows of W at a time, which are read from end to end
//     dW = dy^T x   spread:  6 rows of dW are written from end to end
// To pack W as for other products would read it, write it and read it again. All three ask for the next rows
// while they work: the processor alone follows one stream well, but not several. Work is cut by shape alone.
#pragma once
#include <utility>

#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/gemm_serial.hpp"

namespace gram::cpu {

template <class A>
struct ThinTable {
  /// C (m, n) = A (m, k) B (n, k)^T
  void (*dots)(Index m, Index n, Index k, const A* a, Index lda, const A* b, Index ldb, A* c, Index ldc);
  /// C (m, n) += A (m, k) B (k, n)
  void (*mix)(Index m, Index n, Index k, const A* a, Index lda, const A* b, Index ldb, A* c, Index ldc);
  /// C (m, n) = A (k, m)^T B (k, n), added to C on request
  void (*spread)(Index m, Index n, Index k, const A* a, Index lda, const A* b, Index ldb, bool add, A* c,
                 Index ldc);
};
template <class A>
const ThinTable<A>& thin_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/thin.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class A>
const gram::cpu::ThinTable<A>& gram::cpu::thin_table() {
  return GRAM_SELECT(thin_kernels<A>);
}
#endif

namespace gram::cpu {

/// Most rows of x (and of dy) that are worth it: with more, multiplications take longer than memory.
inline constexpr Index thin_rows = 16;

/// One product of several of the same shape, which may lie anywhere.
template <class T>
struct ThinOperands {
  const T *a, *b;
  T* c;
  TileEpilogue<T> epilogue = {};
};

/// Rows of a matrix with rows of n elements that make a task of about 128 KB.
template <class T>
Index thin_task_rows(Index n) {
  return std::max<Index>(1, (Index{128} << 10) / Index{sizeof(T)} / std::max<Index>(n, 1));
}

/// The distance of rows of n elements that do not share the sets of the L1 cache: rows 4 KB apart all would.
template <class T>
Index spread_out(Index n) {
  return round_up(n, 64 / Index{sizeof(T)}) + 64 / Index{sizeof(T)};
}

/// C (m, n) = epilogue(A (m, k) B (n, k)^T) for i < count, operands of(i). Each task copies A.
template <class T, class Of>
void thin_dots(Index count, const GemmShape& s, Index lda, Index ldb, Index ldc, Of&& of) {
  const Index columns = std::min(s.n, round_up(thin_task_rows<T>(s.k), 3)), tasks = ceil_div(s.n, columns);
  const Index ld = spread_out<T>(s.k), size = s.m * (ld + columns);
  Scratch<T> scratch(workers(count * tasks) * size);
  parallel_blocks(count * tasks, [&](Index task, int worker) {
    const Index j = task % tasks * columns, n = std::min(columns, s.n - j);
    const ThinOperands<T> p = of(task / tasks);
    T *const a = scratch.data() + worker * size, *const sums = a + s.m * ld;
    for (Index i = 0; i < s.m; ++i) std::copy_n(p.a + i * lda, s.k, a + i * ld);
    thin_table<T>().dots(s.m, n, s.k, a, ld, p.b + j * ldb, ldb, sums, columns);
    for (Index i = 0; i < s.m; ++i)
      tile_table<T>().reduce(1, sums + i * columns, 0, p.c + i * ldc + j, n, from_column(p.epilogue, j));
  });
}

/// C (m, n) = epilogue(A (m, k) B (k, n)) for i < count. Columns are cut so that a task's part of C stays in
/// the L1 cache, rows of B in parts, whose sums are added in order.
template <class T, class Of>
void thin_mix(Index count, const GemmShape& s, Index lda, Index ldb, Index ldc, Of&& of) {
  const Index columns = std::min<Index>(512, s.n), cuts = ceil_div(s.n, columns);
  const Index depth = std::max<Index>(4, round_up(thin_task_rows<T>(columns), 4)),
              parts = std::max<Index>(1, ceil_div(s.k, depth));
  const Index ld = spread_out<T>(s.n), size = s.m * ld;
  Scratch<T> partial(count * parts * size);
  parallel_blocks(count * parts * cuts, [&](Index task, int) {
    const Index j = task % cuts * columns, n = std::min(columns, s.n - j);
    const Index part = task / cuts % parts, item = task / cuts / parts, x = part * depth;
    const ThinOperands<T> p = of(item);
    T* const sums = partial.data() + (item * parts + part) * size + j;
    for (Index i = 0; i < s.m; ++i) std::fill_n(sums + i * ld, n, T(0));
    thin_table<T>().mix(s.m, n, std::min(depth, s.k - x), p.a + x, lda, p.b + x * ldb + j, ldb, sums, ld);
  });
  parallel_for(count * s.m, std::max<Index>(1, 16384 / (parts * s.n)), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const ThinOperands<T> p = of(i / s.m);
      tile_table<T>().reduce(parts, partial.data() + i / s.m * parts * size + i % s.m * ld, size,
                             p.c + i % s.m * ldc, s.n, p.epilogue);
    }
  });
}

/// C (m, n) = A (k, m)^T B (k, n) [+ C] for i < count.
template <class T, class Of>
void thin_spread(Index count, const GemmShape& s, Index lda, Index ldb, Index ldc, Of&& of) {
  const Index rows = std::min(s.m, round_up(thin_task_rows<T>(s.n), 6)), tasks = ceil_div(s.m, rows);
  parallel_blocks(count * tasks, [&](Index task, int) {
    const Index i = task % tasks * rows;
    const ThinOperands<T> p = of(task / tasks);
    thin_table<T>().spread(std::min(rows, s.m - i), s.n, s.k, p.a + i, lda, p.b, ldb, p.epilogue.add,
                           p.c + i * ldc, ldc);
  });
}

/// Whether a product is one of these: few rows against a matrix, or the gradient of one, of some size.
template <class T>
bool is_thin(const GemmShape& s, bool transpose_a, bool transpose_b, const TileEpilogue<T>& e) {
  constexpr Index least = 4096;  // elements of the matrix
  if (transpose_a)
    return !transpose_b && s.k <= thin_rows && s.m * s.n >= least && s.n >= 32 && !e.bias && !e.relu &&
           !e.residual && !e.gelu;
  return s.m <= thin_rows && s.k * s.n >= least && (transpose_b ? s.k : s.n) >= 32;
}

}  // namespace gram::cpu
