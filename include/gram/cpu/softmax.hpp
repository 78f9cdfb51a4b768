// SPDX-License-Identifier: MIT
// Softmax along n of an AxisView. The largest value is subtracted first, so nothing overflows.
#pragma once
#include "gram/core/device.hpp"
#include "gram/cpu/math.hpp"
#include "gram/cpu/panel.hpp"

namespace gram::cpu {

/// Each entry twice: softmax, log_softmax. Columns lie `stride` apart; a row is contiguous.
template <class T>
struct SoftmaxTable {
  void (*row[2])(Index n, const T* x, T* y);
  void (*columns[2])(Index n, Index width, Index stride, const T* x, T* y);
  void (*row_grad[2])(Index n, const T* y, const T* dy, T* dx, bool add);
  void (*columns_grad[2])(Index n, Index width, Index stride, const T* y, const T* dy, T* dx, bool add);
};
template <class T>
const SoftmaxTable<T>& softmax_table();

}  // namespace gram::cpu

#define GRAM_KERNEL_FILE "gram/cpu/softmax_row.inl"
#include "gram/cpu/for_each_isa.hpp"
#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/softmax.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::SoftmaxTable<T>& gram::cpu::softmax_table() {
  return GRAM_SELECT(softmax_kernels<T>);
}
#endif

namespace gram::kernels {

/// y = exp(x) / sum exp(x) over n, or its logarithm
template <class T>
void softmax(Cpu, bool logarithm, const T* x, T* y, const AxisView& v) {
  const auto& table = cpu::softmax_table<T>();
  const cpu::PanelPlan plan(v, std::max<Index>(v.n, 1), 64);
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int) {
    const Index at = plan.offset(p);
    if (v.inner == 1)
      table.row[logarithm](v.n, x + at, y + at);
    else
      table.columns[logarithm](v.n, p.columns, v.inner, x + at, y + at);
  });
}

/// dx = y (dy - sum y dy); for the logarithm dx = dy - exp(y) sum dy
template <class T>
void softmax_grad(Cpu, bool logarithm, const T* y, const T* dy, T* dx, bool add, const AxisView& v) {
  const auto& table = cpu::softmax_table<T>();
  const cpu::PanelPlan plan(v, std::max<Index>(v.n, 1), 64);
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int) {
    const Index at = plan.offset(p);
    if (v.inner == 1)
      table.row_grad[logarithm](v.n, y + at, dy + at, dx + at, add);
    else
      table.columns_grad[logarithm](v.n, p.columns, v.inner, y + at, dy + at, dx + at, add);
  });
}

}  // namespace gram::kernels
