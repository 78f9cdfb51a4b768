// SPDX-License-Identifier: MIT
// Cross-entropy of softmax, row by row: one pass makes loss and normaliser, another one the gradient.
#pragma once
#include "gram/core/device.hpp"
#include "gram/core/memory.hpp"
#include "gram/cpu/softmax.hpp"

namespace gram::cpu {

/// normaliser holds (largest logit, log sum exp(logit - largest)). targets are smoothed: t <- (1 - s) t + s /
/// n.
template <class T>
struct CrossEntropyTable {
  double (*label)(Index n, const T* x, Index label, accum_t<T> s, accum_t<T>* normaliser);
  double (*soft)(Index n, const T* x, const T* t, accum_t<T> s, accum_t<T>* normaliser);
  void (*label_grad)(Index n, const T* x, Index label, accum_t<T> s, const accum_t<T>* normaliser,
                     accum_t<T> scale, T* dx, bool add);
  void (*soft_grad)(Index n, const T* x, const T* t, accum_t<T> s, const accum_t<T>* normaliser,
                    accum_t<T> scale, T* dx, bool add);
  void (*target_grad)(Index n, const T* x, accum_t<T> s, const accum_t<T>* normaliser, accum_t<T> scale,
                      T* dt, bool add);
};
template <class T>
const CrossEntropyTable<T>& cross_entropy_table();

/// Rows to a block.
inline Index loss_rows(Index n) { return std::max<Index>(1, (Index{1} << 14) / std::max<Index>(n, 1)); }

/// Sum of f(row) over all rows, added in their order.
template <class F>
double sum_over_rows(Index rows, Index n, F&& f) {
  Scratch<double> values(rows);
  double* const value = values.data();
  parallel_for(rows, loss_rows(n), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row) value[row] = f(row);
  });
  double total = 0;
  for (Index row = 0; row < rows; ++row) total += value[row];
  return total;
}

}  // namespace gram::cpu

#if !defined(GRAM_COMPILED)
#define GRAM_KERNEL_FILE "gram/cpu/cross_entropy.inl"
#include "gram/cpu/for_each_isa.hpp"
template <class T>
const gram::cpu::CrossEntropyTable<T>& gram::cpu::cross_entropy_table() {
  return GRAM_SELECT(cross_entropy_kernels<T>);
}
#endif

namespace gram::kernels {

/// loss = scale * sum over rows of log sum exp(x) - x[label], x (rows, n); normaliser (rows, 2) is kept for
/// the gradient
template <class T>
void cross_entropy(Cpu, const T* x, const Index* labels, T* loss, accum_t<T>* normaliser, Index rows, Index n,
                   double smoothing, double scale) {
  const auto& table = cpu::cross_entropy_table<T>();
  *loss = static_cast<T>(scale * cpu::sum_over_rows(rows, n, [&](Index row) {
                           return table.label(n, x + row * n, labels[row], static_cast<accum_t<T>>(smoothing),
                                              normaliser + 2 * row);
                         }));
}

/// loss = scale * sum over rows of sum t (log sum exp(x) - x), t (rows, n)
template <class T>
void cross_entropy(Cpu, const T* x, const T* t, T* loss, accum_t<T>* normaliser, Index rows, Index n,
                   double smoothing, double scale) {
  const auto& table = cpu::cross_entropy_table<T>();
  *loss = static_cast<T>(scale * cpu::sum_over_rows(rows, n, [&](Index row) {
                           return table.soft(n, x + row * n, t + row * n, static_cast<accum_t<T>>(smoothing),
                                             normaliser + 2 * row);
                         }));
}

/// dx = dy scale (softmax(x) - one-hot target)
template <class T>
void cross_entropy_grad(Cpu, const T* x, const Index* labels, const accum_t<T>* normaliser, const T* dy,
                        T* dx, bool add, Index rows, Index n, double smoothing, double scale) {
  const auto& table = cpu::cross_entropy_table<T>();
  const auto s = static_cast<accum_t<T>>(smoothing),
             factor = static_cast<accum_t<T>>(scale * static_cast<double>(*dy));
  parallel_for(rows, cpu::loss_rows(n), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      table.label_grad(n, x + row * n, labels[row], s, normaliser + 2 * row, factor, dx + row * n, add);
  });
}

/// dx = dy scale (softmax(x) sum t - t)
template <class T>
void cross_entropy_grad(Cpu, const T* x, const T* t, const accum_t<T>* normaliser, const T* dy, T* dx,
                        bool add, Index rows, Index n, double smoothing, double scale) {
  const auto& table = cpu::cross_entropy_table<T>();
  const auto s = static_cast<accum_t<T>>(smoothing),
             factor = static_cast<accum_t<T>>(scale * static_cast<double>(*dy));
  parallel_for(rows, cpu::loss_rows(n), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      table.soft_grad(n, x + row * n, t + row * n, s, normaliser + 2 * row, factor, dx + row * n, add);
  });
}

/// dt = dy scale (1 - smoothing) (log sum exp(x) - x)
template <class T>
void cross_entropy_target_grad(Cpu, const T* x, const accum_t<T>* normaliser, const T* dy, T* dt, bool add,
                               Index rows, Index n, double smoothing, double scale) {
  const auto& table = cpu::cross_entropy_table<T>();
  const auto s = static_cast<accum_t<T>>(smoothing),
             factor = static_cast<accum_t<T>>(scale * static_cast<double>(*dy));
  parallel_for(rows, cpu::loss_rows(n), [&](Index begin, Index end) {
    for (Index row = begin; row < end; ++row)
      table.target_grad(n, x + row * n, s, normaliser + 2 * row, factor, dt + row * n, add);
  });
}

}  // namespace gram::kernels
