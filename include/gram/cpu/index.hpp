// SPDX-License-Identifier: MIT
// Reading along n of an AxisView at positions given by an index tensor, and the gradient of that.
#pragma once
#include <algorithm>
#include <cstring>

#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/cpu/panel.hpp"
#include "gram/kernels/index.hpp"

namespace gram {

namespace kernels {

/// Position of the first index outside [0, n), or -1.
inline Index first_outside(Cpu, const Index* index, Index count, Index n) {
  for (Index i = 0; i < count; ++i)
    if (index[i] < 0 || index[i] >= n) return i;
  return -1;
}

/// y (outer, count, inner) = x (outer, n, inner) at row index(o, k, i) of n
template <class T>
void gather(Cpu, const T* x, const IndexView& index, T* y, const AxisView& v) {
  parallel_for(v.outer * index.count, std::max<Index>(1, grain / std::max<Index>(v.inner, 1)),
               [&](Index begin, Index end) {
                 for (Index row = begin; row < end; ++row) {
                   const Index o = row / index.count, k = row % index.count;
                   const T* from = x + o * v.n * v.inner;
                   T* to = y + row * v.inner;
                   if (index.inner == 0)
                     std::memcpy(static_cast<void*>(to), from + index(o, k, 0) * v.inner,
                                 static_cast<std::size_t>(v.inner) * sizeof(T));
                   else
                     for (Index i = 0; i < v.inner; ++i) to[i] = from[index(o, k, i) * v.inner + i];
                 }
               });
}

/// dx = 0, then dx[index(o, k, i)] += dy for k = 0, 1, ... A panel of columns belongs to one worker, so equal
/// indices are added in the order of k, in accum_t.
template <class T>
void gather_grad(Cpu, const T* dy, const IndexView& index, T* dx, bool add, const AxisView& v) {
  using A = accum_t<T>;
  const cpu::PanelPlan plan(v, std::max<Index>(v.n, 1), 16);
  const Index size = plan.rows * plan.columns;
  Scratch<A> scratch(plan.workers() * size);
  A* const sums = scratch.data();
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int worker) {
    A* const sum = sums + worker * size;  // (n, columns)
    std::fill(sum, sum + v.n * p.columns, A(0));
    for (Index k = 0; k < index.count; ++k) {
      const T* from = dy + (p.outer * index.count + k) * v.inner + p.column;
      for (Index i = 0; i < p.columns; ++i)
        sum[index(p.outer, k, p.column + i) * p.columns + i] += static_cast<A>(from[i]);
    }
    for (Index r = 0; r < v.n; ++r) {
      T* to = dx + (p.outer * v.n + r) * v.inner + p.column;
      for (Index i = 0; i < p.columns; ++i) {
        const A value = sum[r * p.columns + i];
        to[i] = static_cast<T>(add ? static_cast<A>(to[i]) + value : value);
      }
    }
  });
}

/// y (rows, classes) = `on` in the column of the row's label, `off` elsewhere
template <class T>
void one_hot(Cpu, const Index* labels, T on, T off, T* y, Index rows, Index classes) {
  parallel_for(rows * classes, grain, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) y[i] = i % classes == labels[i / classes] ? on : off;
  });
}

}  // namespace kernels
}  // namespace gram
