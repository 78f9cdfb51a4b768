// SPDX-License-Identifier: MIT
// Means and covariances of the columns of a tall matrix: A^T A as gemm_parts.hpp makes it, but of centred
// rows.
#pragma once
#include <algorithm>

#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"
#include "gram/core/parallel.hpp"
#include "gram/cpu/gemm_serial.hpp"
#include "gram/kernels/layout.hpp"

namespace gram::cpu {

template <class T>
struct CovarianceTable {
  void (*center)(Index rows, Index columns, const T* x, const accum_t<T>* shift, accum_t<T>* d,
                 accum_t<T>* sums);
};
template <class T>
const CovarianceTable<T>& covariance_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/covariance.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::CovarianceTable<T>& gram::cpu::covariance_table() {
  return GRAM_SELECT(covariance_kernels<T>);
}
#endif

namespace gram::cpu {

/// How x (rows, columns) is cut: parts with sums of their own, at most 16 of them and 8 MB together.
struct CovarianceParts {
  template <class A>
  CovarianceParts(Index rows, Index columns, A*)
      : count(std::clamp<Index>(
            std::min(rows / 512, (Index{8} << 20) / (columns * columns * Index{sizeof(A)})), 1, 16)),
        depth(round_up(ceil_div(rows, count), gemm_slice)) {
    count = ceil_div(rows, depth);
  }
  Index count, depth;
};

/// Of one part: shift k, the mean of its first rows; sums of d = x - k; and the upper triangle of the sum of
/// d^T d, in whole panels. `slice` holds gemm_slice rows.
template <class T, class A>
void covariance_part(const T* x, Index rows, Index columns, A* shift, A* sums, A* products, A* slice,
                     A* scratch) {
  const Index first = std::min<Index>(rows, 64), panel = tile_table<A>().width;
  for (Index j = 0; j < columns; ++j) shift[j] = sums[j] = 0;
  for (Index i = 0; i < first; ++i)
    for (Index j = 0; j < columns; ++j) shift[j] += static_cast<A>(x[i * columns + j]);
  for (Index j = 0; j < columns; ++j) shift[j] /= static_cast<A>(first);
  for (Index at = 0; at < rows; at += gemm_slice) {
    const Index count = std::min(gemm_slice, rows - at);
    covariance_table<T>().center(count, columns, x + at * columns, shift, slice, sums);
    for (Index b = 0; b < columns; b += panel) {  // from the first row to the diagonal
      const Index end = std::min(columns, b + panel);
      gemm_outer({end, end - b, count}, slice, columns, operand(slice + b, columns, false), products + b,
                 columns, TileEpilogue<A>{.add = at > 0}, scratch);
    }
  }
}

}  // namespace gram::cpu

namespace gram::kernels {

/// mean (columns) and covariance (columns, columns) of the rows of x, rows >= 1: with m the mean, sum (x -
/// m)^T (x - m) / rows, symmetric to the bit. The sums of a part are made in accum_t<T> around a shift of its
/// own and combined in double, in the order of the parts: a large mean costs no digits.
template <class T>
void covariance(Cpu, const T* x, Index rows, Index columns, accum_t<T>* mean, accum_t<T>* result) {
  using A = accum_t<T>;
  const cpu::CovarianceParts parts(rows, columns, mean);
  Layout at;
  const Index products = at.take(columns * columns), shift = at.take(columns), sums = at.take(columns);
  Layout each;
  const Index slice = each.take(cpu::gemm_slice * columns + cpu::TileTable<A>::max_rows),
              scratch = each.take(cpu::gemm_outer_scratch<A>());
  Scratch<A> partial(parts.count * at.size), memory(workers(parts.count) * each.size);
  parallel_blocks(parts.count, [&](Index part, int worker) {
    A* const to = partial.data() + part * at.size;
    A* const mine = memory.data() + worker * each.size;
    const Index first = part * parts.depth;
    cpu::covariance_part(x + first * columns, std::min(parts.depth, rows - first), columns, to + shift,
                         to + sums, to + products, mine + slice, mine + scratch);
  });

  // sum over parts of d^T d + offset^T sums + sums^T offset + n offset^T offset, offset = shift - mean
  const auto n = static_cast<double>(rows);
  const auto rows_of = [&](Index part) {
    return static_cast<double>(std::min(parts.depth, rows - part * parts.depth));
  };
  Scratch<double> offset(parts.count * columns);
  for (Index j = 0; j < columns; ++j) {
    double total = 0;
    for (Index p = 0; p < parts.count; ++p) {
      const A* const from = partial.data() + p * at.size + j;
      total += rows_of(p) * static_cast<double>(from[shift]) + static_cast<double>(from[sums]);
    }
    mean[j] = static_cast<A>(total / n);
    for (Index p = 0; p < parts.count; ++p)
      offset[p * columns + j] = static_cast<double>(partial[p * at.size + shift + j]) - total / n;
  }
  const Index height = std::max<Index>(1, 16384 / (columns * parts.count)),
              blocks = ceil_div(columns, height);
  Scratch<double> totals(workers(blocks) * columns);
  parallel_blocks(blocks, [&](Index block, int worker) {
    double* const row = totals.data() + worker * columns;
    for (Index i = block * height; i < std::min(columns, (block + 1) * height); ++i) {
      std::fill(row + i, row + columns, 0.0);
      for (Index p = 0; p < parts.count; ++p) {
        const A* const from = partial.data() + p * at.size;
        const double* const o = offset.data() + p * columns;
        const A *const product = from + products + i * columns, *const sum = from + sums;
        const double a = o[i], both = static_cast<double>(sum[i]) + rows_of(p) * a;
        for (Index j = i; j < columns; ++j)
          row[j] += static_cast<double>(product[j]) + a * static_cast<double>(sum[j]) + both * o[j];
      }
      for (Index j = i; j < columns; ++j)
        result[i * columns + j] = result[j * columns + i] = static_cast<A>(row[j] / n);
    }
  });
}

}  // namespace gram::kernels
