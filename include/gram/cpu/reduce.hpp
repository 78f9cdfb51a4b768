// SPDX-License-Identifier: MIT
// Sums and maxima along n of an AxisView. Panels leave partial results, which are then combined in the order
// of the rows.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"
#include "gram/cpu/copy.hpp"
#include "gram/cpu/panel.hpp"

namespace gram::cpu {

template <class T>
struct ReduceTable {
  accum_t<T> (*sum_row)(Index n, const T* x);
  void (*sum_columns)(Index rows, Index width, Index stride, const T* x, accum_t<T>* y);
  void (*max_row)(Index n, const T* x, accum_t<T>* best, Index* at);
  void (*max_columns)(Index rows, Index width, Index stride, const T* x, accum_t<T>* best, Index* at);
  void (*spread_row)(Index n, accum_t<T> value, T* y, bool add);
  void (*spread_columns)(Index rows, Index width, Index stride, accum_t<T> scale, const T* x, T* y, bool add);
};
template <class T>
const ReduceTable<T>& reduce_table();

/// Short columns keep float sums accurate: what lies above is added in double.
inline PanelPlan reduce_plan(const AxisView& v) { return {v, v.inner == 1 ? 8192 : 512}; }

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/reduce.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::ReduceTable<T>& gram::cpu::reduce_table() {
  return GRAM_SELECT(reduce_kernels<T>);
}
#endif

namespace gram::kernels {

/// y (outer, inner) = scale * sum over n of x (outer, n, inner)
template <class T>
void reduce_sum(Cpu, const T* x, T* y, const AxisView& v, double scale) {
  const auto& table = cpu::reduce_table<T>();
  const auto plan = cpu::reduce_plan(v);
  Scratch<accum_t<T>> partial(v.outer * plan.segments * v.inner);  // (outer, segments, inner)
  accum_t<T>* const sums = partial.data();
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int) {
    accum_t<T>* to = sums + (p.outer * plan.segments + p.segment) * v.inner + p.column;
    if (v.inner == 1)
      *to = table.sum_row(p.rows, x + plan.offset(p));
    else
      table.sum_columns(p.rows, p.columns, v.inner, x + plan.offset(p), to);
  });
  parallel_for(v.outer * v.inner, grain / 8, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const accum_t<T>* from = sums + i / v.inner * plan.segments * v.inner + i % v.inner;
      double total = 0;
      for (Index s = 0; s < plan.segments; ++s) total += static_cast<double>(from[s * v.inner]);
      y[i] = static_cast<T>(scale * total);
    }
  });
}

/// dx (outer, n, inner) = scale * dy (outer, inner) for every row
template <class T>
void reduce_sum_grad(Cpu, const T* dy, T* dx, bool add, const AxisView& v, double scale) {
  const auto& table = cpu::reduce_table<T>();
  const auto plan = cpu::reduce_plan(v);
  const auto factor = static_cast<accum_t<T>>(scale);
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int) {
    const T* from = dy + p.outer * v.inner + p.column;
    if (v.inner == 1)
      table.spread_row(p.rows, factor * static_cast<accum_t<T>>(*from), dx + plan.offset(p), add);
    else
      table.spread_columns(p.rows, p.columns, v.inner, factor, from, dx + plan.offset(p), add);
  });
}

/// y (outer, inner) = largest of x (outer, n, inner) over n; `at` is the first row that holds it. NaN counts
/// as largest. n >= 1.
template <class T>
void reduce_max(Cpu, const T* x, T* y, Index* at, const AxisView& v) {
  const auto& table = cpu::reduce_table<T>();
  const auto plan = cpu::reduce_plan(v);
  const Index partials = v.outer * plan.segments * v.inner;
  Scratch<accum_t<T>> partial(partials);
  Scratch<Index> partial_at(partials);
  accum_t<T>* const best = partial.data();
  Index* const row = partial_at.data();
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int) {
    const Index to = (p.outer * plan.segments + p.segment) * v.inner + p.column;
    if (v.inner == 1)
      table.max_row(p.rows, x + plan.offset(p), best + to, row + to);
    else
      table.max_columns(p.rows, p.columns, v.inner, x + plan.offset(p), best + to, row + to);
  });
  parallel_for(v.outer * v.inner, grain / 8, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      const Index first = i / v.inner * plan.segments * v.inner + i % v.inner;
      Index chosen = 0;
      for (Index s = 1; s < plan.segments; ++s) {
        const accum_t<T> value = best[first + s * v.inner], top = best[first + chosen * v.inner];
        if (!(value <= top) && top == top) chosen = s;
      }
      y[i] = static_cast<T>(best[first + chosen * v.inner]);
      at[i] = chosen * plan.rows + row[first + chosen * v.inner];
    }
  });
}

/// dx (outer, n, inner) = dy (outer, inner) in row `at`, zero elsewhere
template <class T>
void reduce_max_grad(Cpu cpu, const T* dy, const Index* at, T* dx, bool add, const AxisView& v) {
  if (!add) fill(cpu, dx, T(0.0F), v.outer * v.n * v.inner);
  parallel_for(v.outer * v.inner, grain / 8, [&](Index begin, Index end) {
    for (Index i = begin; i < end; ++i) {
      T& target = dx[(i / v.inner * v.n + at[i]) * v.inner + i % v.inner];
      target = static_cast<T>(static_cast<accum_t<T>>(target) + static_cast<accum_t<T>>(dy[i]));
    }
  });
}

}  // namespace gram::kernels
