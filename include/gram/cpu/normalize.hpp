// SPDX-License-Identifier: MIT
// Division by the Euclidean length along n of an AxisView.
#pragma once
#include "gram/core/device.hpp"
#include "gram/cpu/panel.hpp"

namespace gram::cpu {

template <class T>
struct NormalizeTable {
  void (*row)(Index n, accum_t<T> epsilon, const T* x, T* y, accum_t<T>* length);
  void (*columns)(Index n, Index width, Index stride, accum_t<T> epsilon, const T* x, T* y,
                  accum_t<T>* length);
  void (*row_grad)(Index n, accum_t<T> epsilon, const T* y, const accum_t<T>* length, const T* dy, T* dx,
                   bool add);
  void (*columns_grad)(Index n, Index width, Index stride, accum_t<T> epsilon, const T* y,
                       const accum_t<T>* length, const T* dy, T* dx, bool add);
};
template <class T>
const NormalizeTable<T>& normalize_table();

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/normalize.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::NormalizeTable<T>& gram::cpu::normalize_table() {
  return GRAM_SELECT(normalize_kernels<T>);
}
#endif

namespace gram::kernels {

/// length (outer, inner) = |x|, y = x / max(length, epsilon)
template <class T>
void l2_normalize(Cpu, const T* x, T* y, accum_t<T>* length, const AxisView& v, double epsilon) {
  const auto& table = cpu::normalize_table<T>();
  const cpu::PanelPlan plan(v, std::max<Index>(v.n, 1), 64);
  const auto floor = static_cast<accum_t<T>>(epsilon);
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int) {
    const Index at = plan.offset(p), to = p.outer * v.inner + p.column;
    if (v.inner == 1)
      table.row(v.n, floor, x + at, y + at, length + to);
    else
      table.columns(v.n, p.columns, v.inner, floor, x + at, y + at, length + to);
  });
}

/// dx = (dy - y <y, dy>) / length where length > epsilon, dy / epsilon elsewhere
template <class T>
void l2_normalize_grad(Cpu, const T* y, const accum_t<T>* length, const T* dy, T* dx, bool add,
                       const AxisView& v, double epsilon) {
  const auto& table = cpu::normalize_table<T>();
  const cpu::PanelPlan plan(v, std::max<Index>(v.n, 1), 64);
  const auto floor = static_cast<accum_t<T>>(epsilon);
  cpu::for_each_panel(plan, [&](const cpu::Panel& p, int) {
    const Index at = plan.offset(p), from = p.outer * v.inner + p.column;
    if (v.inner == 1)
      table.row_grad(v.n, floor, y + at, length + from, dy + at, dx + at, add);
    else
      table.columns_grad(v.n, p.columns, v.inner, floor, y + at, length + from, dy + at, dx + at, add);
  });
}

}  // namespace gram::kernels
