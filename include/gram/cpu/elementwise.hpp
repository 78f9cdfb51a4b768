// SPDX-License-Identifier: MIT
// Element-wise operations: y = f(x), y = f(a, b) with broadcasting, and their gradients. The formulas are the
// functors of elementwise.inl; here are the loops over blocks.
#pragma once
#include <array>

#include "gram/core/memory.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/kernels/broadcast.hpp"
#include "gram/kernels/elementwise.hpp"

namespace gram::cpu {

/// Rows of an operand: `row` elements apart; step 1 along a row, or 0 where one element is repeated.
template <class T>
struct RowOperand {
  const T* data;
  Index row, step;
};

template <class T>
struct ElementwiseTable {
  using Unary = void (*)(Index n, const T* x, T* y, kernels::Constants c);
  using UnaryGrad = void (*)(Index n, const T* kept, const T* dy, T* dx, bool add, kernels::Constants c);
  using Binary = void (*)(Index rows, Index n, RowOperand<T> a, RowOperand<T> b, T* y, Index y_row);
  /// dx [+]= g(mine, other, dy); dx lies as dy does.
  using BinaryGrad = void (*)(Index rows, Index n, RowOperand<T> mine, RowOperand<T> other, RowOperand<T> dy,
                              T* dx, bool add);
  /// sums[c] += sum of g over the rows
  using SumRows = void (*)(Index rows, Index n, RowOperand<T> mine, RowOperand<T> other, RowOperand<T> dy,
                           accum_t<T>* sums);
  /// sum of g over rows and columns
  using SumAll = double (*)(Index rows, Index n, RowOperand<T> mine, RowOperand<T> other, RowOperand<T> dy);

  std::array<Unary, 17> unary;
  std::array<UnaryGrad, 17> unary_grad;
  std::array<Binary, 6> binary;
  std::array<BinaryGrad, 7> binary_grad;
  std::array<SumRows, 7> sum_rows;
  std::array<SumAll, 7> sum_all;
};
template <class T>
const ElementwiseTable<T>& elementwise_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#include "gram/cpu/math.hpp"
#define GRAM_KERNEL_FILE "gram/cpu/elementwise.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::ElementwiseTable<T>& gram::cpu::elementwise_table() {
  return GRAM_SELECT(elementwise_kernels<T>);
}
#endif

namespace gram::cpu {

/// Cuts a result of `rows` rows of n elements into tiles of about kernels::grain elements, and calls
/// f(first_row, last_row, first_column, columns) for each.
template <class F>
void parallel_tiles(Index rows, Index n, F&& f) {
  if (rows == 0 || n == 0) return;
  const Index columns = std::min(n, kernels::grain), high = std::max<Index>(1, kernels::grain / n);
  const Index across = ceil_div(n, columns);
  parallel_blocks(ceil_div(rows, high) * across, [&](Index block, int) {
    const Index r = block / across * high, c = block % across * columns;
    f(r, std::min(rows, r + high), c, std::min(columns, n - c));
  });
}

/// dx [+]= the sum of g(mine, other, dy) over the axes along which mine is repeated. Sums of at most 256 rows
/// (or of 64 K elements along the inner axis) are made in accum_t, and added in double in their order.
template <class T>
void binary_grad_sum(kernels::BinaryGrad op, const kernels::Broadcast& s, const T* mine, const T* other,
                     const T* dy, T* dx, bool add) {
  kernels::BroadcastAxes kept, reduced;
  for (int i = 0; i < s.outer.count(); ++i) (s.outer[i].a ? kept : reduced).append(s.outer[i]);
  const kernels::BroadcastAxis inner = s.inner, run = reduced.last();
  const Index units = kept.size(), rows = reduced.size(), n = inner.extent;
  const Index high = 256, wide = kernels::grain;
  const Index down = ceil_div(rows, high), across = ceil_div(n, wide);
  const Index width = inner.a ? n : 1;                 // elements of dx to a unit
  const Index parts = inner.a ? down : down * across;  // sums to each of them
  const Index tile = std::max<Index>(1, std::min(rows, high) * std::min(n, wide));

  Scratch<accum_t<T>> sums(units * parts * width);
  const auto& table = elementwise_table<T>();
  const auto sum_rows = table.sum_rows[static_cast<std::size_t>(op)];
  const auto sum_all = table.sum_all[static_cast<std::size_t>(op)];
  parallel_for(units * down * across, std::max<Index>(1, kernels::grain / tile), [&](Index begin, Index end) {
    for (Index job = begin; job < end; ++job) {
      const Index unit = job / (down * across), r = job / across % down * high, c = job % across * wide;
      const Index columns = std::min(wide, n - c);
      const kernels::BroadcastOffset start = kept.at(unit);
      accum_t<T>* const out = sums.data() + (inner.a ? job / across * width + c : job);
      std::fill(out, out + (inner.a ? columns : 1), accum_t<T>(0));
      double total = 0;
      reduced.for_runs(r, std::min(rows, r + high), [&](Index count, kernels::BroadcastOffset o) {
        const RowOperand<T> m{mine + start.a + c * inner.a, 0, inner.a};
        const RowOperand<T> t{other + start.b + o.b + c * inner.b, run.b, inner.b};
        const RowOperand<T> d{dy + start.y + o.y + c, run.y, 1};
        if (inner.a)
          sum_rows(count, columns, m, t, d, out);
        else
          total += sum_all(count, columns, m, t, d);
      });
      if (!inner.a) *out = static_cast<accum_t<T>>(total);
    }
  });
  parallel_for(units * width, std::max<Index>(1, kernels::grain / (parts + 1)), [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const accum_t<T>* part = sums.data() + i / width * parts * width + i % width;
      double total = add ? static_cast<double>(dx[i]) : 0.0;
      for (Index p = 0; p < parts; ++p) total += static_cast<double>(part[p * width]);
      dx[i] = static_cast<T>(total);
    }
  });
}

}  // namespace gram::cpu

namespace gram::kernels {

/// y = op(x)
template <class T>
void unary(Cpu, Unary op, const T* x, T* y, Index n, Constants c = {}) {
  const auto kernel = cpu::elementwise_table<T>().unary[static_cast<std::size_t>(op)];
  parallel_for(n, grain, [&](Index begin, Index end) { kernel(end - begin, x + begin, y + begin, c); });
}

/// dx [+]= dy op'(x). kept is x or y, as kept_by says; where it says nothing, any memory of n elements.
template <class T>
void unary_grad(Cpu, Unary op, const T* kept, const T* dy, T* dx, bool add, Index n, Constants c = {}) {
  const auto kernel = cpu::elementwise_table<T>().unary_grad[static_cast<std::size_t>(op)];
  parallel_for(n, grain, [&](Index begin, Index end) {
    kernel(end - begin, kept + begin, dy + begin, dx + begin, add, c);
  });
}

/// y = op(a, b); s describes how a and b lie under y.
template <class T>
void binary(Cpu, Binary op, const kernels::Broadcast& s, const T* a, const T* b, T* y) {
  const auto kernel = cpu::elementwise_table<T>().binary[static_cast<std::size_t>(op)];
  const kernels::BroadcastAxis in = s.inner, run = s.outer.last();
  cpu::parallel_tiles(s.outer.size(), in.extent, [&](Index begin, Index end, Index c, Index columns) {
    s.outer.for_runs(begin, end, [&](Index rows, kernels::BroadcastOffset o) {
      kernel(rows, columns, {a + o.a + c * in.a, run.a, in.a}, {b + o.b + c * in.b, run.b, in.b}, y + o.y + c,
             run.y);
    });
  });
}

/// dx [+]= the gradient with respect to the first operand of s, summed over the axes along which it is
/// repeated.
template <class T>
void binary_grad(Cpu, BinaryGrad op, const kernels::Broadcast& s, const T* mine, const T* other, const T* dy,
                 T* dx, bool add) {
  if (s.repeats_a) return cpu::binary_grad_sum(op, s, mine, other, dy, dx, add);
  const auto kernel = cpu::elementwise_table<T>().binary_grad[static_cast<std::size_t>(op)];
  const kernels::BroadcastAxis in = s.inner, run = s.outer.last();
  cpu::parallel_tiles(s.outer.size(), in.extent, [&](Index begin, Index end, Index c, Index columns) {
    s.outer.for_runs(begin, end, [&](Index rows, kernels::BroadcastOffset o) {
      kernel(rows, columns, {mine + o.a + c, run.a, 1}, {other + o.b + c * in.b, run.b, in.b},
             {dy + o.y + c, run.y, 1}, dx + o.y + c, add);
    });
  });
}

}  // namespace gram::kernels
