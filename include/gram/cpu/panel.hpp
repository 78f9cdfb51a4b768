// SPDX-License-Identifier: MIT
// A tensor seen along one of its axes, and the parallel loop over its panels.
#pragma once
#include <algorithm>

#include "gram/core/parallel.hpp"
#include "gram/cpu/simd.hpp"
#include "gram/kernels/axis_view.hpp"

namespace gram {

namespace cpu {

/// A piece of an AxisView: rows [row, row + rows) of n and columns [column, column + columns) of inner, at
/// one outer position.
struct Panel {
  Index outer, segment, row, rows, column, columns;
};

/// How an AxisView is cut into panels. Depends on the shape alone.
struct PanelPlan {
  static constexpr Index work = Index{1} << 16;

  AxisView view;
  Index rows, columns;     ///< extents of a panel; the last ones are smaller
  Index segments, chunks;  ///< panels along n and along inner

  /// At most max_rows rows to a panel; as many columns as fill it, but not fewer than min_columns.
  PanelPlan(const AxisView& v, Index max_rows, Index min_columns = 256)
      : view(v),
        rows(std::clamp<Index>(v.n, 1, max_rows)),
        columns(std::clamp<Index>(std::max(work / rows, min_columns), 1, std::max<Index>(v.inner, 1))),
        segments(std::max<Index>(ceil_div(v.n, rows), 1)),
        chunks(ceil_div(v.inner, columns)) {}

  Index panels() const { return view.outer * segments * chunks; }
  Panel panel(Index number) const {
    const Index chunk = number % chunks, segment = number / chunks % segments;
    const Index row = segment * rows, column = chunk * columns;
    return {number / chunks / segments,   segment, row,
            std::min(rows, view.n - row), column,  std::min(columns, view.inner - column)};
  }
  /// Offset of the panel's first element.
  Index offset(const Panel& p) const { return (p.outer * view.n + p.row) * view.inner + p.column; }
  /// Small panels are handed out in groups of this many.
  Index group() const { return std::max<Index>(1, work / (rows * columns)); }
  /// How many slices of scratch for_each_panel needs.
  int workers() const { return gram::workers(ceil_div(panels(), group())); }
};

/// f(panel, worker) for every panel, in parallel.
template <class F>
void for_each_panel(const PanelPlan& plan, F&& f) {
  const Index panels = plan.panels(), group = plan.group();
  parallel_blocks(ceil_div(panels, group), [&](Index block, int worker) {
    for (Index p = block * group; p < std::min(panels, (block + 1) * group); ++p) f(plan.panel(p), worker);
  });
}

}  // namespace cpu
}  // namespace gram

#define GRAM_KERNEL_FILE "gram/cpu/panel.inl"
#include "gram/cpu/for_each_isa.hpp"
